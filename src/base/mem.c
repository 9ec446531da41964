/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Without memory nothing else can be done, not even a log line that allocates. */
static void *or_abort(void *p)
{
	static const char text[] = "out of memory\n";

	if (p == NULL) {
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
		abort();
	}
	return p;
}

void *mem_alloc(size_t size)
{
	return or_abort(calloc(1, size ? size : 1));
}

void *mem_array(size_t count, size_t size)
{
	return or_abort(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *p, size_t count, size_t size)
{
	if (count == 0 || size == 0)
		return or_abort(reallocarray(p, 1, 1));
	return or_abort(reallocarray(p, count, size));
}

char *mem_dup(const char *s)
{
	return s ? or_abort(strdup(s)) : NULL;
}

char *mem_ndup(const char *s, size_t len)
{
	return s ? or_abort(strndup(s, len)) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, fmt);
	text = mem_vprintf(fmt, args);
	va_end(args);
	return text;
}

char *mem_vprintf(const char *fmt, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	return or_abort(text);
}

/* memcpy: p is the address of some pointer type, which must not be read as a void *. */
void free_p(void *p)
{
	void *block = NULL;

	memcpy(&block, p, sizeof(block));
	free(block);
}

void close_p(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}
