/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/term.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"

#define NARROWEST 24 /* columns worth wrapping into */

static bool coloured(FILE *to)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && no[0]) && isatty(fileno(to)) && !(term && strcmp(term, "dumb") == 0);
}

const char *term_tint(FILE *to, enum tint tint)
{
	static const char *const codes[] = {
		[TINT_NONE] = "",         [TINT_GOOD] = "\033[32m", [TINT_BAD] = "\033[31m",
		[TINT_WARN] = "\033[33m", [TINT_DIM] = "\033[2m",   [TINT_BOLD] = "\033[1m",
	};

	return coloured(to) ? codes[tint] : "";
}

const char *term_reset(FILE *to)
{
	return coloured(to) ? "\033[0m" : "";
}

int term_width(FILE *to)
{
	struct winsize w;

	return ioctl(fileno(to), TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

bool term_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

char *term_clean(const char *text)
{
	char *s = mem_dup(text ? text : "");

	for (char *p = s; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return s;
}

int term_wrap_width(FILE *to)
{
	return isatty(fileno(to)) ? term_width(to) : 0;
}

/* Three digits and the largest unit that leaves one before the point. */
static const char *scaled(int64_t value, const char *const *units, size_t count, char *buf,
			  size_t size)
{
	double n = (double)value;
	size_t unit = 0;

	while (n >= 999.5 && unit + 1 < count) {
		n /= 1000;
		unit++;
	}
	(void)snprintf(buf, size, unit > 0 && n < 99.95 ? "%.1f %s" : "%.0f %s", n, units[unit]);
	return buf;
}

const char *term_size(int64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};

	return scaled(bytes, units, ARRAY_LEN(units), buf, size);
}

const char *term_count(int64_t n, char *buf, size_t size)
{
	static const char *const units[] = {"", "k", "M", "B"};

	return scaled(n, units, ARRAY_LEN(units), buf, size);
}

const char *term_duration(int64_t ms, char *buf, size_t size)
{
	long long s = ms / 1000;

	if (ms < 10000)
		(void)snprintf(buf, size, "%.1f s", (double)ms / 1000);
	else if (s < 60)
		(void)snprintf(buf, size, "%lld s", s);
	else if (s < 3600)
		(void)snprintf(buf, size, "%lld min %lld s", s / 60, s % 60);
	else
		(void)snprintf(buf, size, "%lld h %lld min", s / 3600, s / 60 % 60);
	return buf;
}

/* Characters, not bytes. */
static int width_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			n++;
	return n;
}

size_t term_fit(const char *text, int columns)
{
	size_t len = 0, word = 0;

	for (int n = 0; text[len]; n++) {
		if (text[len] == ' ')
			word = len;
		if (n == columns)
			return word ? word : len;
		for (len++; ((unsigned char)text[len] & 0xc0) == 0x80;)
			len++;
	}
	return len;
}

void term_wrap(FILE *to, const char *text, int indent, int width)
{
	int room = width - indent;

	while (room >= NARROWEST && width_of(text) > room) {
		size_t len = term_fit(text, room);

		fprintf(to, "%.*s\n%*s", (int)len, text, indent, "");
		text += len + strspn(text + len, " ");
	}
	fputs(text, to);
}

void term_row(struct term_table *t, ...)
{
	va_list args;

	t->cells =
		mem_grow(t->cells, (size_t)(t->rows + 1) * (size_t)t->columns, sizeof(*t->cells));
	va_start(args, t);
	for (int i = 0; i < t->columns; i++) {
		struct term_cell *cell = &t->cells[t->rows * t->columns + i];

		cell->text = term_clean(va_arg(args, const char *));
		cell->tint = (enum tint)va_arg(args, int);
	}
	va_end(args);
	t->rows++;
}

/* Below its row when little room is left beside it. */
static void print_last(const char *text, int at, int width, FILE *to)
{
	if (width - at < NARROWEST && width_of(text) > width - at && width > 0) {
		fputs("\n    ", to);
		at = 4;
	}
	term_wrap(to, text, at, width);
}

static void print_row(const struct term_table *t, const struct term_cell *row, const int *widths,
		      FILE *to)
{
	int width = t->width ? t->width : term_wrap_width(to), at = 0;

	for (int i = 0; i < t->columns; i++) {
		bool last = i + 1 == t->columns;
		int pad = last ? 0 : widths[i] - width_of(row[i].text) + 2;

		fputs(term_tint(to, row[i].tint), to);
		if (last)
			print_last(row[i].text, at, width, to);
		else
			fputs(row[i].text, to);
		fprintf(to, "%s%*s", row[i].tint ? term_reset(to) : "", pad, "");
		at += widths[i] + 2;
	}
	fputc('\n', to);
}

void term_print(const struct term_table *t, FILE *to)
{
	CLEANUP(free) int *widths = mem_array((size_t)t->columns, sizeof(int));

	for (int i = 0; i < t->rows * t->columns; i++) {
		int w = width_of(t->cells[i].text);

		if (w > widths[i % t->columns])
			widths[i % t->columns] = w;
	}
	for (int row = 0; row < t->rows; row++)
		print_row(t, &t->cells[row * t->columns], widths, to);
}

void term_table_done(struct term_table *t)
{
	for (int i = 0; i < t->rows * t->columns; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct term_table){0};
}

void term_bar(FILE *to, double fraction, int width)
{
	const char *full = term_utf8() ? "━" : "#", *rest = term_utf8() ? "─" : "-";
	int done = (int)(fraction * width + 0.5);

	fputs(term_tint(to, TINT_GOOD), to);
	for (int i = 0; i < width; i++) {
		if (i == done)
			fprintf(to, "%s%s", term_reset(to), term_tint(to, TINT_DIM));
		fputs(i < done ? full : rest, to);
	}
	fputs(term_reset(to), to);
}
