/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Why a tool failed, from what it printed: the lines that say so, and what they mean. One thread.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct complaint {
	struct strv lines; /* error lines, the first few */
	struct strv last;  /* the last few lines, whatever they say */
	int follow;        /* lines that still belong to the last error */
	bool no_space;     /* "No space left on device" was among them */
	bool no_memory;    /* the compiler was killed, or ran out of memory */
	const char *hide;  /* text cut from lines: a folder's path and '/', borrowed, may be NULL */
};

void complaint_line(struct complaint *c, const char *line);
void complaint_done(struct complaint *c);
static inline void complaint_done_p(struct complaint *c)
{
	complaint_done(c);
}
/* "<what>: <lines>"; of this kind, or ERR_NO_SPACE when that was it. Always false. */
bool complaint_err(const struct complaint *c, enum err_kind kind, const char *what, struct err *e);
