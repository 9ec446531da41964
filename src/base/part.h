/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The unfinished file of a download, <path>.part, held by a lock: two downloads of one file never
 * mix. Beside it <path>.part.from says which version of what it is a part of.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct part {
	const char *target; /* borrowed */
	char *path;
	char *from;
	int fd;
	int64_t size;
};

/* ERR_BUSY when someone else is at it. */
MUST_CHECK bool part_open(const char *target, struct part *ret, struct err *e);
/* Leaves an unfinished part for the next try; an empty one is removed. */
void part_done(struct part *p);
MUST_CHECK bool part_add(struct part *p, const void *data, size_t len, struct err *e);
/* From the first byte again. */
MUST_CHECK bool part_restart(struct part *p, struct err *e);
/* Removes it; only part_done() may follow. */
void part_remove(struct part *p);
/* Flushes it and gives it its name. */
MUST_CHECK bool part_publish(struct part *p, struct err *e);
/* The version (ETag or date) of url that this is a part of, NULL when unknown. Caller frees. */
char *part_version(const struct part *p, const char *url);
/* NULL: unknown. */
MUST_CHECK bool part_set_version(struct part *p, const char *url, const char *version,
				 struct err *e);

/* Whoever wants the rest of it soon says so: it is not abandoned. */
void part_touch(const char *target);
/* part_sweep.c. Removes the parts below a folder that nobody is at and whose last byte, or touch,
 * is so old. Links are not followed. The bytes of them. */
int64_t part_sweep(const char *folder, int64_t age_s);

static inline void part_done_p(struct part *p)
{
	part_done(p);
}
