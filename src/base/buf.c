/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

/* Room for len more bytes and the NUL. */
static void reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 64;
	size_t need = 0;

	if (__builtin_add_overflow(b->len, len, &need) || __builtin_add_overflow(need, 1, &need))
		abort();
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap == b->cap)
		return;
	b->data = mem_grow(b->data, cap, 1);
	b->cap = cap;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	reserve(b, len);
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	CLEANUP(free) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = mem_vprintf(fmt, args);
	va_end(args);
	buf_str(b, text);
}

void buf_drop(struct buf *b, size_t len)
{
	if (len == 0 || b->data == NULL)
		return;
	if (len > b->len)
		len = b->len;
	b->len -= len;
	memmove(b->data, b->data + len, b->len + 1);
}

char *buf_steal(struct buf *b)
{
	char *text = b->data ? b->data : mem_dup("");

	*b = (struct buf){0};
	return text;
}

void strv_done(struct strv *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i]);
	free(v->items);
	*v = (struct strv){0};
}

/* Takes ownership of s. Grows when count + the NULL reaches a power of two. */
static void push(struct strv *v, char *s)
{
	size_t used = v->count + 1;

	if (v->count == 0)
		v->items = mem_grow(v->items, 8, sizeof(char *));
	else if (used >= 8 && (used & (used - 1)) == 0)
		v->items = mem_grow(v->items, used * 2, sizeof(char *));
	v->items[v->count++] = s;
	v->items[v->count] = NULL;
}

void strv_add(struct strv *v, const char *s)
{
	push(v, mem_dup(s));
}

void strv_printf(struct strv *v, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = mem_vprintf(fmt, args);
	va_end(args);
	push(v, text);
}

const char *const *strv_items(const struct strv *v)
{
	static const char *const none[] = {NULL};

	return v->items ? (const char *const *)v->items : none;
}
