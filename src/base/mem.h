/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory that cannot fail (out of memory aborts) and cleanup at the end of a scope. */

#include <stdarg.h>
#include <stddef.h>

/* CLEANUP(free) char *s = …; calls free_p(&s) when s leaves its scope. Some are there for that
 * alone, which clang calls unused. */
#define CLEANUP(fn) __attribute__((cleanup(fn##_p), unused))
/* Defines fn_p for a pointer type, so that CLEANUP(fn) works on `type *x`. */
#define CLEANUP_DEFINE(fn, type)                                                                   \
	static inline void fn##_p(type **p)                                                        \
	{                                                                                          \
		fn(*p);                                                                            \
	}
/* Hands a pointer on: its value, and NULL stays behind. */
#define STEAL(p)                                                                                   \
	({                                                                                         \
		__typeof__(p) stolen_ = (p);                                                       \
		(p) = NULL;                                                                        \
		stolen_;                                                                           \
	})
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

void *mem_alloc(size_t size);                       /* zeroed */
void *mem_array(size_t count, size_t size);         /* zeroed, overflow aborts */
void *mem_grow(void *p, size_t count, size_t size); /* realloc, overflow aborts */
char *mem_dup(const char *s);                       /* NULL stays NULL */
char *mem_ndup(const char *s, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *mem_vprintf(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));

void free_p(void *p);  /* CLEANUP(free) for any pointer */
void close_p(int *fd); /* CLEANUP(close) */

/* STEAL for a descriptor: -1 stays behind. */
static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
