/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/paths.h"

#include <string.h>

#include "base/mem.h"
#include "gateway/gateway.h"

/* clang-format off */
static const struct gateway_path paths[] = {
	{"/v1/chat/completions",      &dialect_openai,          "chat",      .plain = true, .python = true,
	 .summary = "Answer a conversation"},
	{"/v1/completions",           &dialect_openai,          "chat",      .plain = true, .python = true,
	 .summary = "Continue a text"},
	{"/v1/embeddings",            &dialect_openai,          "embedding", .plain = true, .python = true,
	 .summary = "Vectors of texts"},
	{"/v1/rerank",                &dialect_openai,          "rerank",    .plain = true,
	 .summary = "Order texts by a question"},
	{"/tokenize",                 &dialect_openai,          NULL,        .plain = true,
	 .summary = "The tokens of a text"},
	{"/detokenize",               &dialect_openai,          NULL,        .plain = true,
	 .summary = "The text of tokens"},
	{"/apply-template",           &dialect_openai,          NULL,        .plain = true,
	 .summary = "The prompt of a conversation"},
	{"/infill",                   &dialect_openai,          "chat",      .plain = true,
	 .summary = "Fill a gap in code"},
	{"/v1/audio/transcriptions",  &dialect_openai,          "chat",      .form = true,
	 .summary = "Write down what is said"},
	{"/v1/responses",             &dialect_responses,       "chat",
	 .summary = "Answer, as OpenAI's newer clients ask"},
	{"/v1/messages",              &dialect_anthropic,       "chat",      .messages = true,
	 .summary = "Answer a conversation, as Anthropic's clients ask"},
	{"/v1/messages/count_tokens", &dialect_anthropic,       NULL,        .messages = true,
	 .summary = "How many tokens a conversation has"},
	{"/api/chat",                 &dialect_ollama_chat,     "chat",                     .python = true, .ollama = OLLAMA_CHAT,
	 .summary = "Answer a conversation, as Ollama's clients ask"},
	{"/api/generate",             &dialect_ollama_generate, "chat",                     .python = true, .ollama = OLLAMA_GENERATE,
	 .summary = "Continue a text, as Ollama's clients ask"},
	{"/api/embed",                &dialect_ollama_generate, "embedding",                .python = true, .ollama = OLLAMA_EMBED,
	 .summary = "Vectors of texts, as Ollama's clients ask"},
	{"/api/embeddings",           &dialect_ollama_generate, "embedding",                .python = true, .ollama = OLLAMA_EMBEDDINGS,
	 .summary = "A vector of a text, as Ollama's older clients ask"},
};
/* clang-format on */

const struct gateway_path *gateway_path(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (strcmp(paths[i].path, path) == 0)
			return &paths[i];
	return NULL;
}

const char *gateway_path_at(size_t i, const char **ret_summary)
{
	if (i >= ARRAY_LEN(paths))
		return NULL;
	*ret_summary = paths[i].summary;
	return paths[i].path;
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
