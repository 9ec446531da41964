/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A llama-server that runs the test model for verification: start, ask, stop. Who waits for it
 * waits as long as it gets on (uses the CPU, prints something), because the first shaders and
 * kernels may take minutes. One thread at a time.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/proc.h"
#include "env/verify_answer.h"

struct verify_server_spec {
	const char *base_dir;       /* of llama-server */
	const char *const *environ; /* NULL-ended, whole environment */
	const char *work_dir;       /* 0700, ours alone; holds model.gguf */
	const char *device;         /* "none", "Vulkan0" */
	int quiet_ms;               /* no progress for so long: given up */
	bool (*cancelled)(void *arg);
	void *arg;
};

struct verify_server {
	const struct verify_server_spec *spec;
	struct proc proc;
	int folder; /* fd of the work folder: a short path to a socket in a deep one */
	char *log;  /* path of its output */
	char socket[64];
	char output[2048]; /* the end of it, once it failed */
	int64_t cpu, printed, moved_ms;
	bool quiet, was_cancelled;
};

/* Starts and waits for /health. ERR_VERIFY with the reason and the end of its output,
 * ERR_CANCELLED. Stop it in any case. The spec is borrowed until then. */
MUST_CHECK bool verify_server_start(const struct verify_server_spec *spec,
				    struct verify_server *ret, struct err *e);
/* The next token after the first `tokens` of the built-in prompt; `reuse`: what it still knows of
 * the last one is not computed again. */
MUST_CHECK bool verify_server_ask(struct verify_server *s, unsigned int tokens, bool reuse,
				  struct verify_answer *ret, struct err *e);
/* Did it put the model's weights into this device's memory? It says so in its output. */
bool verify_server_uses(const struct verify_server *s, const char *device);
void verify_server_stop(struct verify_server *s); /* zeroes are fine */

static inline void verify_server_stop_p(struct verify_server *s)
{
	verify_server_stop(s);
}
