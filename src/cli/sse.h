/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Server-sent events from bytes as they come: the data of each event, comments left out. */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct sse {
	struct buf pending; /* bytes of an unfinished event */
};

/* Calls on_data(arg, data) for each whole event in what has come so far; false from it ends with
 * false. An event over 16 MiB ends with false too. */
bool sse_feed(struct sse *s, const char *bytes, size_t len,
	      bool (*on_data)(void *arg, const char *data), void *arg);
void sse_done(struct sse *s);

static inline void sse_done_p(struct sse *s)
{
	sse_done(s);
}
