/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The machine's Python, and llama-cpp-python for it as a piece of the store: its site-packages,
 * bound to no base yet. Any thread. */

#include <stdbool.h>

#include "engine/engine.h"

#define PYTHON_PIECE_FOLDER "site-packages" /* in the piece */

struct python {
	char *program;    /* the interpreter itself, no venv's */
	char version[32]; /* "3.11.7" */
	char abi[64];     /* "cpython-311-x86_64-linux-gnu": what its modules are compiled for */
};
void python_done(struct python *p);
static inline void python_done_p(struct python *p)
{
	python_done(p);
}
/* python3 in PATH. ERR_TOOLKIT: none, too old, or it does not run. */
MUST_CHECK bool python_find(struct python *ret, struct err *e);
/* As python_find(); asks only when it is another than the last time. */
MUST_CHECK bool engine_find_python(struct engine *en, struct python *ret, struct err *e);
/* What stands for python3 in PATH and `program` (may be NULL) as they are now: another text when
 * one was upgraded, removed or came. Only looks at files. Caller frees. */
char *python_seen(const char *program);

/* False: nothing to try, this engine's source has no binding. */
bool engine_has_python(const struct engine *en);
/* Makes the piece unless it is there: llama-cpp-python from the engine's source, which compiles
 * nothing, and what it needs, by pins with hashes. *ret_digest: caller frees. */
MUST_CHECK bool engine_python(struct engine *en, struct store *store, const struct python *p,
			      const struct build_watch *w, char **ret_digest, struct err *e);
/* The same for what llama_cpp.server needs besides: a piece of its own. */
MUST_CHECK bool engine_python_server(struct engine *en, struct store *store, const struct python *p,
				     const struct build_watch *w, char **ret_digest, struct err *e);
/* Path of the program that serves a model; caller frees. */
char *engine_python_launcher(const struct engine *en);
/* Path of the program that asks the test model; caller frees. */
char *engine_python_check(const struct engine *en);
