/* SPDX-License-Identifier: Apache-2.0 */
#include "base/complaint.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { KEEP_ERRORS = 4, KEEP_LAST = 3, MAX_TEXT = 400 };

/* What makes a line an error, and how many lines after it belong to it. */
static const struct {
	const char *text;
	int follow;
} marks[] = {
	{"CMake Error", 2},
	{"DO NOT MATCH THE HASHES", 1}, /* pip: the file stands in the next line */
	{"error:", 0},
	{"ERROR:", 0},
	{"Error:", 0},
	{"undefined reference", 0},
	{"Killed", 0},
	{"out of memory", 0},
	{"No space left on device", 0},
	{"FAILED ", 0}, /* patch: "Hunk #1 FAILED at 12." */
};

static const char *const memory_marks[] = {
	"Killed signal terminated program", "out of memory",      "virtual memory exhausted",
	"Cannot allocate memory",           "ninja: fatal: fork",
};

/* The line without the hidden text and outer blanks, caller frees. */
static char *plain(const struct complaint *c, const char *line)
{
	CLEANUP(buf_done) struct buf b = {0};
	const char *at = NULL;

	while (isspace((unsigned char)*line))
		line++;
	while (c->hide != NULL && (at = strstr(line, c->hide)) != NULL) {
		buf_add(&b, line, (size_t)(at - line));
		line = at + strlen(c->hide);
	}
	buf_str(&b, line);
	while (b.len > 0 && isspace((unsigned char)b.data[b.len - 1]))
		b.data[--b.len] = '\0';
	return buf_steal(&b);
}

static bool is_error(struct complaint *c, const char *line)
{
	if (c->follow > 0 && line[0] != '\0') {
		c->follow--;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		if (strstr(line, marks[i].text) != NULL) {
			c->follow = marks[i].follow;
			return true;
		}
	}
	return false;
}

static void drop_first(struct strv *v)
{
	free(v->items[0]);
	memmove(v->items, v->items + 1, v->count * sizeof(char *)); /* with the NULL */
	v->count--;
}

void complaint_line(struct complaint *c, const char *line)
{
	CLEANUP(free) char *text = plain(c, line);

	c->no_space = c->no_space || strstr(text, "No space left on device") != NULL ||
		      strstr(text, "Disk quota exceeded") != NULL;
	for (size_t i = 0; i < ARRAY_LEN(memory_marks); i++)
		c->no_memory = c->no_memory || strstr(text, memory_marks[i]) != NULL;
	if (is_error(c, text) && c->lines.count < KEEP_ERRORS)
		strv_add(&c->lines, text);
	if (text[0] == '\0')
		return;
	strv_add(&c->last, text);
	if (c->last.count > KEEP_LAST)
		drop_first(&c->last);
}

void complaint_done(struct complaint *c)
{
	strv_done(&c->lines);
	strv_done(&c->last);
}

bool complaint_err(const struct complaint *c, enum err_kind kind, const char *what, struct err *e)
{
	const struct strv *lines = c->lines.count > 0 ? &c->lines : &c->last;
	CLEANUP(buf_done) struct buf b = {0};

	for (size_t i = 0; i < lines->count && b.len < MAX_TEXT; i++)
		buf_printf(&b, "%s%.*s", i > 0 ? "; " : "", (int)(MAX_TEXT - b.len),
			   lines->items[i]);
	(void)err_set(e, c->no_space ? ERR_NO_SPACE : kind, "%s: %s", what,
		      b.len > 0 ? b.data : "it printed nothing");
	if (c->no_space)
		(void)err_hint(e, "free some space, or choose a folder on another disk with "
				  "--store-dir and --state-dir");
	if (c->no_memory)
		(void)err_hint(e, "out of memory: lower build_jobs, or close other programs");
	return false;
}
