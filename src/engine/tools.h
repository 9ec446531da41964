/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The programs that a build needs. Any thread. */

#include <stdbool.h>
#include <stddef.h>

#include "backend/backend.h"
#include "base/err.h"

struct tools {
	char *cmake, *ninja, *cc, *cxx;
	char *ccache;       /* NULL: not there, which is fine */
	char compiler[160]; /* "gcc 12.2.0 x86_64-linux-gnu", of the C++ compiler */
};
void tools_done(struct tools *t);
static inline void tools_done_p(struct tools *t)
{
	tools_done(t);
}

/* An item for each; with_pip: also python3 and pip. Runs programs. */
void tools_check(struct toolkit *tk, bool with_pip);
/* "gcc 12.2.0 x86_64-linux-gnu" of the C++ compiler; false: there is none that works. */
bool tools_compiler(char *ret, size_t size);
/* Paths and the compiler's version. ERR_TOOLKIT with the packages when one is missing. */
MUST_CHECK bool tools_find(struct tools *ret, struct err *e);
/* ERR_TOOLKIT "this needs <what>" with the distribution's install command; false. */
bool tools_missing(const char *what, const char *const packages[DISTRO_COUNT], struct err *e);
extern const char *const tools_pip_packages[DISTRO_COUNT];
/* The same of pip: a pip_run's `missing`. */
bool tools_missing_pip(const char *what, struct err *e);
