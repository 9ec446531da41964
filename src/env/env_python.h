/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside src/env: the Python of an environment. A venv of its own in envs/<name>/, which points to
 * a piece of the store with llama-cpp-python and to the environment's base and module. An
 * environment is ready without it; why there is none stands in its row.
 */

#include "env/env_priv.h"

/* Tells the task (may be NULL) how a piece comes along, and asks it whether to stop. */
struct build_watch env_watch(struct task *t);
/* Is it as the row says, and the machine's Python the same as then? Looks at a few files. */
bool env_python_settled(struct envs *es, const struct db_env *row);

/* In the reason of one that is made, but had no room to be tried in. */
#define PYTHON_UNPROVED "not verified yet"
/* As envs_make_python, which leaves an environment that is only built alone, also of such a one. */
MUST_CHECK bool env_python_make(struct envs *es, const char *name, struct task *t, struct err *e);
/* A worker that is tried by itself may run on it. */
bool env_python_unproved(const struct db_env *row);
/* env_server.c: are interpreter and packages there, for a worker to be tried? */
bool env_server_usable(struct envs *es, const struct db_env *row);

/* venv.c: pyvenv.cfg, bin/python and all in the environment's folder; without a piece there is no
 * bin/python. */
MUST_CHECK bool env_python_folder(struct envs *es, const struct db_env *row, const char *folder,
				  struct err *e);
/* Only what the hook reads, which has `worker_env` in it. */
MUST_CHECK bool env_python_facts(struct envs *es, const struct db_env *row, const char *folder,
				 struct err *e);
