/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The proof that an environment's Python computes on its device: the test model, asked through
 * llama_cpp, judged as the server's answers are. */

#include "base/err.h"
#include "env/env.h"

struct verify_python {
	const struct env_run *run;
	const char *python, *script;
	const char *work_dir; /* made (0700) and left */
	struct task *task;    /* may be NULL */
	bool (*cancelled)(void *arg);
	void *arg;
};
/* ERR_VERIFY says what failed. One that prints nothing and computes nothing is given up. */
MUST_CHECK bool verify_python(const struct verify_python *v, struct err *e);
