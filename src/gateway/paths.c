/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/paths.h"

#include <string.h>

#include "base/mem.h"
#include "gateway/gateway.h"

/* clang-format off */
static const struct gateway_path paths[] = {
	{"/v1/chat/completions",      &dialect_openai,          "chat",      true,  false, false, OLLAMA_NONE},
	{"/v1/completions",           &dialect_openai,          "chat",      true,  false, false, OLLAMA_NONE},
	{"/v1/embeddings",            &dialect_openai,          "embedding", true,  false, false, OLLAMA_NONE},
	{"/v1/rerank",                &dialect_openai,          "rerank",    true,  false, false, OLLAMA_NONE},
	{"/tokenize",                 &dialect_openai,          NULL,        true,  false, false, OLLAMA_NONE},
	{"/detokenize",               &dialect_openai,          NULL,        true,  false, false, OLLAMA_NONE},
	{"/apply-template",           &dialect_openai,          NULL,        true,  false, false, OLLAMA_NONE},
	{"/infill",                   &dialect_openai,          "chat",      true,  false, false, OLLAMA_NONE},
	{"/v1/audio/transcriptions",  &dialect_openai,          "chat",      false, false, true,  OLLAMA_NONE},
	{"/v1/responses",             &dialect_responses,       "chat",      false, false, false, OLLAMA_NONE},
	{"/v1/messages",              &dialect_anthropic,       "chat",      false, true,  false, OLLAMA_NONE},
	{"/v1/messages/count_tokens", &dialect_anthropic,       NULL,        false, true,  false, OLLAMA_NONE},
	{"/api/chat",                 &dialect_ollama_chat,     "chat",      false, false, false, OLLAMA_CHAT},
	{"/api/generate",             &dialect_ollama_generate, "chat",      false, false, false, OLLAMA_GENERATE},
	{"/api/embed",                &dialect_ollama_generate, "embedding", false, false, false, OLLAMA_EMBED},
	{"/api/embeddings",           &dialect_ollama_generate, "embedding", false, false, false, OLLAMA_EMBEDDINGS},
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

	if (!known && strncmp(path, "/api/", 5) == 0)
		return &dialect_ollama_generate;
	return known ? known->dialect : &dialect_openai;
}

struct MHD_Response *gateway_error(const char *path, const struct err *e)
{
	return dialect_response(dialect_of(path), e, NULL);
}
