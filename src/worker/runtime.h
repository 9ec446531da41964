/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What runs a model: llama-server, or llama_cpp.server in the Python of the model's environment.
 * Both are started, watched, stopped and asked in the same way: arguments, messages on stdin and
 * stdout and the log lines of loading are llama-server's, which the launcher of the other
 * (engine/…/python/serve.py) speaks too. Here is where they differ.
 */

#include <stdbool.h>

#define PROOF_COUNT 3 /* the modes */

struct runtime {
	const char *name;   /* as the option `runtime` says */
	const char *health; /* GET: 200 once it is loaded */
	bool slots;         /* GET /slots: what each does */
	bool metrics;       /* GET /metrics: what it has counted */
	/* Its conversations can be saved, and an answer that began can go on at another worker. */
	bool moves;
	/* What each mode is asked for a first answer, and what a good one contains: a number after
	 * it, not null, which is how NaN is written. A mode without a row it doesn't have. */
	struct runtime_proof {
		const char *mode, *path, *body, *sign;
	} proofs[PROOF_COUNT];
};

extern const struct runtime runtime_server, runtime_python;

const struct runtime *runtime_find(const char *name); /* NULL: unknown */
/* NULL: it has no such mode. */
const struct runtime_proof *runtime_proof(const struct runtime *r, const char *mode);
