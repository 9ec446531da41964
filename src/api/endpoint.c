/* SPDX-License-Identifier: Apache-2.0 */
#include "api/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void match_done(struct match *m)
{
	free(m->part);
	buf_done(&m->allow);
	*m = (struct match){0};
}

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c + 'a' - 'A');
	at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

char *percent_decode(const char *text, size_t len)
{
	CLEANUP(free) char *out = mem_alloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] != '%') {
			out[n++] = text[i];
			continue;
		}
		if (i + 2 >= len)
			return NULL;
		high = hex_value(text[i + 1]);
		low = hex_value(text[i + 2]);
		if (high < 0 || low < 0 || high + low == 0)
			return NULL;
		out[n++] = (char)(high * 16 + low);
		i += 2;
	}
	return STEAL(out);
}

/* Does one segment of a path fit one of a pattern? A part is taken into m. */
static bool fits(const char *pattern, size_t pattern_len, const char *segment, size_t len,
		 struct match *m)
{
	CLEANUP(free) char *text = percent_decode(segment, len);

	if (!text || !text[0])
		return false;
	if (pattern[0] != '{')
		return strlen(text) == pattern_len && memcmp(text, pattern, pattern_len) == 0;
	free(m->part);
	m->part = STEAL(text);
	(void)snprintf(m->part_name, sizeof(m->part_name), "%.*s", (int)pattern_len - 2,
		       pattern + 1);
	return true;
}

static bool path_fits(const char *pattern, const char *path, struct match *m)
{
	if (!strchr(pattern, '{') && !strchr(path, '%')) /* the common case, without copies */
		return strcmp(pattern, path) == 0;
	while (pattern[0] == '/' && path[0] == '/') {
		size_t pattern_len = strcspn(++pattern, "/"), len = strcspn(++path, "/");

		if (!fits(pattern, pattern_len, path, len, m))
			return false;
		pattern += pattern_len;
		path += len;
	}
	return !pattern[0] && !path[0];
}

static bool method_fits(const char *row, const char *method)
{
	return strcmp(row, method) == 0 || (strcmp(row, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static bool no_such_path(const struct endpoint *table, const char *path, struct err *e)
{
	size_t len = strlen(path);
	CLEANUP(free)
	char *shorter = len > 1 && path[len - 1] == '/' ? mem_ndup(path, len - 1) : NULL;

	(void)err_set(e, ERR_NOT_FOUND, "there is nothing at '%.200s'", path);
	for (; shorter && table->method; table++) {
		CLEANUP(match_done) struct match m = {0};

		if (path_fits(table->path, shorter, &m))
			return err_hint(e, "leave the '/' at the end away: %.200s", shorter);
	}
	return err_hint(e, "docs/api.md lists the paths; models are at /llm/api/models");
}

bool endpoint_find(const struct endpoint *table, const char *method, const char *path,
		   struct match *ret, struct err *e)
{
	CLEANUP(free) char *whole = percent_decode(path, strlen(path));
	const char *first = NULL;

	if (!whole) {
		(void)err_set(e, ERR_INVALID, "the path '%.200s' has a bad percent escape", path);
		return err_hint(e, "%%XX with two hexadecimal digits, and not %%00");
	}
	for (const struct endpoint *row = table; row->method; row++) {
		if (!path_fits(row->path, path, ret))
			continue;
		if (method_fits(row->method, method)) {
			ret->row = row;
			if (!strchr(row->path, '{'))
				free(STEAL(ret->part));
			return true;
		}
		first = first ? first : row->path;
		if (strcmp(row->path, first) !=
		    0) /* "/models/loaded" has not what "/models/{id}" has */
			continue;
		buf_printf(&ret->allow, "%s%s%s", ret->allow.len ? ", " : "", row->method,
			   strcmp(row->method, "GET") == 0 ? ", HEAD" : "");
	}
	if (!ret->allow.len)
		return no_such_path(table, path, e);
	(void)err_set(e, ERR_INVALID, "'%.200s' has no %.20s", path, method);
	return err_hint(e, "it has %s", ret->allow.data);
}
