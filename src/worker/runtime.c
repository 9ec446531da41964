/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/runtime.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

const struct runtime runtime_server = {
	.name = "server",
	.health = "/health",
	.slots = true,
	.metrics = true,
	.moves = true,
	.proofs =
		{
			{"chat", "/completion",
			 "{\"prompt\":\"Hello\",\"n_predict\":1,\"n_probs\":1,\"temperature\":0,"
			 "\"ignore_eos\":true,\"cache_prompt\":false}",
			 "\"logprob\":"},
			{"embedding", "/embeddings", "{\"input\":\"Hello\"}", "\"embedding\":"},
			{"rerank", "/rerank", "{\"query\":\"Hello\",\"documents\":[\"Hello\"]}",
			 "\"relevance_score\":"},
		},
};

/* Its launcher has looked for NaN before it listens. */
const struct runtime runtime_python = {
	.name = "python",
	.health = "/v1/models",
	.proofs =
		{
			{"chat", "/v1/completions",
			 "{\"prompt\":\"Hello\",\"max_tokens\":1,\"temperature\":0}",
			 "\"completion_tokens\":"},
			{"embedding", "/v1/embeddings", "{\"input\":\"Hello\"}", "\"embedding\":"},
		},
};

const struct runtime *runtime_find(const char *name)
{
	static const struct runtime *const all[] = {&runtime_server, &runtime_python};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

const struct runtime_proof *runtime_proof(const struct runtime *r, const char *mode)
{
	for (size_t i = 0; i < PROOF_COUNT; i++)
		if (r->proofs[i].mode && strcmp(r->proofs[i].mode, mode) == 0)
			return &r->proofs[i];
	return NULL;
}
