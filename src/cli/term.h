/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How things look: colours where a terminal takes them, aligned tables, sizes and times for people.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum tint { TINT_NONE, TINT_GOOD, TINT_BAD, TINT_WARN, TINT_DIM, TINT_BOLD };

/* Escape sequence of a tint, or "" when the stream is no terminal or NO_COLOR is set. */
const char *term_tint(FILE *to, enum tint tint);
const char *term_reset(FILE *to);
/* Columns of the terminal; 80 when it is none. */
int term_width(FILE *to);
/* True when the terminal's characters are UTF-8 (setlocale was called). */
bool term_utf8(void);
/* How many bytes of text fit into so many columns, up to the end of a word where there is one. */
size_t term_fit(const char *text, int columns);
/* Text from column `indent` on. Where it would pass `width` it goes on below, at `indent` again. 0:
 * it never does, as in a pipe. No line end behind it. */
void term_wrap(FILE *to, const char *text, int indent, int width);
/* Columns of a terminal, 0 when it is none: what term_wrap() takes. */
int term_wrap_width(FILE *to);
/* A text from outside without control characters, for the terminal; caller frees. NULL gives "". */
char *term_clean(const char *text);

/* "92.9 MB" */
const char *term_size(int64_t bytes, char *buf, size_t size);
/* "135 M", "7.2 B" */
const char *term_count(int64_t n, char *buf, size_t size);
/* "3 min 12 s" */
const char *term_duration(int64_t ms, char *buf, size_t size);

struct term_cell {
	char *text;
	enum tint tint;
};
struct term_table {
	int columns;
	int width; /* where the last column wraps; 0: at the terminal's edge */
	int rows;
	struct term_cell *cells;
};
/* Appends a row; ended by as many (text, tint) pairs as the table has columns. Texts are cleaned
 * and copied, NULL gives "". The first row is the head. */
void term_row(struct term_table *t, ...);
void term_print(const struct term_table *t, FILE *to);
void term_table_done(struct term_table *t);

static inline void term_table_done_p(struct term_table *t)
{
	term_table_done(t);
}

/* Part of a bar of width cells, 0 … 1. */
void term_bar(FILE *to, double fraction, int width);
