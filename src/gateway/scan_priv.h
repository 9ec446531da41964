/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside scan: a place in the text, and what moves it on. */

#include <stdbool.h>
#include <stddef.h>

#define SCAN_DEPTH 256

struct scan_cursor {
	const char *start, *at, *end;
	const char *problem; /* what is wrong at `at`, once something is */
	char *edit;          /* the same text, to blank id_slot in; NULL: don't */
	bool media;          /* see struct scan */
	int depth;
	bool object[SCAN_DEPTH + 1]; /* at each depth: an object, else an array */
};

/* A string's content, unescaped; cut where it doesn't fit. */
struct scan_text {
	char *data;
	size_t size, len;
	bool cut;
};

static inline void scan_space(struct scan_cursor *c)
{
	while (c->at < c->end &&
	       (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
		c->at++;
}

static inline bool scan_next_is(const struct scan_cursor *c, char ch)
{
	return c->at < c->end && *c->at == ch;
}

static inline bool scan_skip(struct scan_cursor *c, char ch)
{
	if (!scan_next_is(c, ch))
		return false;
	c->at++;
	return true;
}

/* --- scan_value.c ------------------------------------------------------- */

/* False, always. The first problem counts. */
bool scan_fail(struct scan_cursor *c, const char *problem);
/* A string; its content into t, which may be NULL. */
bool scan_string(struct scan_cursor *c, struct scan_text *t);
/* Skips one value of any kind, without recursion. */
bool scan_value(struct scan_cursor *c);
