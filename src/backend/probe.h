/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A driver's library is opened when it is there: nothing links to it. Asked in a child (`shunt
 * probe-nvml`, `shunt probe-vulkan`) that has 2 s, because a broken driver may hang or crash who
 * asks. The child prints a line a fact, its fields between tabs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* --- who asks ----------------------------------------------------------- */

struct probe {
	const char *word;    /* "probe-nvml" */
	const char *driver;  /* "NVIDIA's driver" */
	const char *library; /* "NVIDIA's library" */
	const char *absent, *absent_remedy;
	const char *again; /* remedy of what is broken */
	const char *hangs; /* remedy of what hangs */
	/* The library answered with this error. Returns false. */
	bool (*refused)(int code, struct err *e);
};
/* *ret: what it printed, caller frees. ERR_NOT_FOUND: no library; ERR_UNAVAILABLE: it can't be
 * used, why and the remedy. */
MUST_CHECK bool probe_ask(const struct probe *p, const char *self, char **ret, struct err *e);
/* Splits a line at its tabs; how many there are, at most max. */
size_t probe_fields(char *line, char **ret, size_t max);
/* A number that is not negative, −1: none. */
int64_t probe_number(const char *text);

/* --- the child ---------------------------------------------------------- */

struct probe_function {
	size_t field;             /* of the struct of pointers */
	const char *name, *older; /* older: may be NULL */
};
/* Opens it and finds the functions; NULL: it has said why not. Those that it lacks are NULL. */
void *probe_open(const char *library, const struct probe_function *list, size_t count, void *ret);
/* How the child ends when there is no library, or it answers with an error, which it prints. */
enum { PROBE_NO_LIBRARY = 3, PROBE_REFUSED = 4 };
int probe_refuse(int code);
