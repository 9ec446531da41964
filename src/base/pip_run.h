/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* pip, run for us: with the user's mirrors and proxies, and its failures said for what they are.
 * One thread. */

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct pip_run {
	const char *python;         /* program */
	const char *const *args;    /* its command and what differs from run to run, NULL-ended */
	const struct strv *environ; /* from pip_environ() */
	const char *cwd;            /* a folder of ours: Python looks for modules there first */
	const char *doing;          /* "fetching llama-cpp-python==0.3.36" */
	/* Says in e what is missing ("python3 has no pip") and how to get it; false. NULL: as
	 * ERR_TOOLKIT with the packages of the usual distributions. */
	bool (*missing)(const char *what, struct err *e);
	const char *purpose;   /* "which fetches llama.cpp": what pip is needed for */
	const char *otherwise; /* end of hints: another remedy, or "" */
	void (*on_line)(void *arg, const char *line);
	bool (*cancelled)(void *arg); /* asked several times a second */
	void *arg;
};
/* ERR_TOOLKIT: no Python or pip; ERR_UNAVAILABLE: no network; ERR_NOT_FOUND: the index lacks it;
 * ERR_VERIFY: a wrong hash. */
MUST_CHECK bool pip_run(const struct pip_run *r, struct err *e);
/* Arguments that install what a file of pins names into a folder: nothing but wheels, nothing but
 * these, so that no code of a package runs. */
void pip_pinned(const char *pins, const char *folder, struct strv *ret);
/* Ours without what would change pip's or Python's ways; temporary files go to tmp. */
void pip_environ(const char *tmp, struct strv *ret);
