/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside src/env: the Python of an environment. A venv of its own in envs/<name>/, which points to
 * a piece of the store with llama-cpp-python and to the environment's base and module. An
 * environment is ready without it; why there is none stands in its row.
 */

#include "env/env_priv.h"

/* An environment that is ready and whose name is claimed. */
struct env_python {
	struct envs *es;
	struct db_env *row;
	const struct backend *backend;
	struct task *task; /* may be NULL */
	void (*on_step)(void *arg, const char *title, double fraction);
	void (*on_line)(void *arg, const char *line);
	bool (*cancelled)(void *arg);
	void *arg;
};
/* Makes and proves it, unless that is done. What goes wrong becomes the row's python_reason: false
 * only when cancelled, or when the row can't be saved. */
MUST_CHECK bool env_python_make(const struct env_python *p, struct err *e);
/* Is it as the row says, and the machine's Python the same as then? Looks at a few files. */
bool env_python_settled(struct envs *es, const struct db_env *row);

/* venv.c: pyvenv.cfg, bin/python and all in the environment's folder; without a piece there is no
 * bin/python. */
MUST_CHECK bool env_python_folder(struct envs *es, const struct db_env *row, const char *folder,
				  struct err *e);
/* Only what the hook reads, which has `worker_env` in it. */
MUST_CHECK bool env_python_facts(struct envs *es, const struct db_env *row, const char *folder,
				 struct err *e);
