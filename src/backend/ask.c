/* SPDX-License-Identifier: Apache-2.0 */
/* What programs and headers say about themselves. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/toolkit.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"

/* Python is silent for seconds on a cold disk. */
enum { RUN_MS = 10000, OUTPUT_MAX = 16 * 1024 };

struct collect {
	struct buf text;
	int64_t deadline_ms;
};

static void collect_line(void *arg, const char *line)
{
	struct collect *c = arg;

	if (c->text.len < OUTPUT_MAX)
		buf_printf(&c->text, "%s\n", line);
}

static bool too_late(void *arg)
{
	const struct collect *c = arg;

	return clock_ms() > c->deadline_ms;
}

char *toolkit_output_within(const char *const *argv, int limit_ms)
{
	struct collect c = {.deadline_ms = clock_ms() + limit_ms};
	struct proc_run run = {
		.argv = argv,
		.on_line = collect_line,
		.cancelled = too_late,
		.arg = &c,
	};
	struct err e = {0};
	int status = -1;

	if (!proc_run(&run, &status, &e) || status != 0) {
		buf_done(&c.text);
		return NULL;
	}
	return buf_steal(&c.text);
}

char *toolkit_output(const char *const *argv)
{
	return toolkit_output_within(argv, RUN_MS);
}

void toolkit_add_program(struct toolkit *tk, const struct toolkit_need *need, const char *path,
			 const char *after, char *ret_version, size_t size)
{
	const char *const argv[] = {path, "--version", NULL};
	CLEANUP(free) char *text = path ? toolkit_output(argv) : NULL;

	ret_version[0] = '\0';
	if (path != NULL && text == NULL) {
		CLEANUP(free) char *why = mem_printf("%s does not answer --version", path);

		toolkit_add_unusable(tk, need, why);
	} else if (text != NULL && toolkit_version(text, after, ret_version, size)) {
		toolkit_add(tk, need, ret_version);
	} else {
		toolkit_add(tk, need, path);
	}
}

bool toolkit_version(const char *text, const char *after, char *ret, size_t size)
{
	const char *p = text;
	size_t len = 0;

	if (after != NULL && (p = strstr(text, after)) == NULL)
		return false;
	if (after != NULL)
		p += strlen(after);
	p += strcspn(p, "0123456789");
	while (isdigit((unsigned char)p[len]) ||
	       (p[len] == '.' && isdigit((unsigned char)p[len + 1])))
		len++;
	if (len == 0 || len >= size)
		return false;
	memcpy(ret, p, len);
	ret[len] = '\0';
	return true;
}

int toolkit_version_cmp(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0') {
		char *end = NULL;
		unsigned long x = strtoul(a, &end, 10);
		unsigned long y = 0;

		a = *end == '.' ? end + 1 : "";
		y = strtoul(b, &end, 10);
		b = *end == '.' ? end + 1 : "";
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

/* The value if the line is "#define name value". */
static bool read_define(const char *line, const char *name, char *ret, size_t size)
{
	char word[128];
	char value[128];
	size_t len = 0;

	if (sscanf(line, " # define %127s %127[^\n]", word, value) != 2 || strcmp(word, name) != 0)
		return false;
	len = strlen(value);
	while (len > 0 && isspace((unsigned char)value[len - 1]))
		len--;
	(void)snprintf(ret, size, "%.*s", (int)len, value);
	return true;
}

bool toolkit_macro(const char *path, const char *name, char *ret, size_t size)
{
	FILE *f = fopen(path, "re");
	char line[512];
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = read_define(line, name, ret, size);
	(void)fclose(f);
	return found;
}
