/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A growing string, always NUL-terminated once anything was added. Zeroes are an empty one. */

#include <stdarg.h>
#include <stddef.h>

struct buf {
	char *data; /* NULL while empty */
	size_t len;
	size_t cap;
};

void buf_done(struct buf *b); /* frees, leaves zeroes */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t len); /* removes len bytes at the front */
char *buf_steal(struct buf *b); /* the string ("" when empty), caller frees; b is empty after */

static inline void buf_done_p(struct buf *b)
{
	buf_done(b);
}

/* A NULL-ended list of strings that it owns: an argv or an environment. Zeroes are an empty one. */
struct strv {
	char **items; /* NULL-ended once anything was added; strv_items() never NULL */
	size_t count;
};

void strv_done(struct strv *v);
void strv_add(struct strv *v, const char *s); /* copies */
void strv_printf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *const *strv_items(const struct strv *v);

static inline void strv_done_p(struct strv *v)
{
	strv_done(v);
}
