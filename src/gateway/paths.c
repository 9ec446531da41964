/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/paths.h"

#include <string.h>

#include "base/mem.h"
#include "gateway/gateway.h"

/* clang-format off */
static const struct gateway_path paths[] = {
	{"/v1/chat/completions",      &dialect_openai,    "chat",      true,  false, false},
	{"/v1/completions",           &dialect_openai,    "chat",      true,  false, false},
	{"/v1/embeddings",            &dialect_openai,    "embedding", true,  false, false},
	{"/v1/rerank",                &dialect_openai,    "rerank",    true,  false, false},
	{"/tokenize",                 &dialect_openai,    NULL,        true,  false, false},
	{"/detokenize",               &dialect_openai,    NULL,        true,  false, false},
	{"/apply-template",           &dialect_openai,    NULL,        true,  false, false},
	{"/infill",                   &dialect_openai,    "chat",      true,  false, false},
	{"/v1/audio/transcriptions",  &dialect_openai,    "chat",      false, false, true},
	{"/v1/responses",             &dialect_responses, "chat",      false, false, false},
	{"/v1/messages",              &dialect_anthropic, "chat",      false, true,  false},
	{"/v1/messages/count_tokens", &dialect_anthropic, NULL,        false, true,  false},
};
/* clang-format on */

const struct gateway_path *gateway_path(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (strcmp(paths[i].path, path) == 0)
			return &paths[i];
	return NULL;
}

bool gateway_owns(const char *path)
{
	return gateway_path(path) != NULL;
}

bool gateway_takes_form(const char *path)
{
	const struct gateway_path *known = gateway_path(path);

	return known && known->form;
}

const struct dialect *dialect_of(const char *path)
{
	const struct gateway_path *known = gateway_path(path);

	return known ? known->dialect : &dialect_openai;
}

struct MHD_Response *gateway_error(const char *path, const struct err *e)
{
	return dialect_response(dialect_of(path), e, NULL);
}
