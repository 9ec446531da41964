/* SPDX-License-Identifier: Apache-2.0 */
#include "model/split_name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"

#define FORM "-ddddd-of-ddddd.gguf"
#define EXTENSION ".gguf"

static bool has_form(const char *tail)
{
	static const char form[] = FORM;
	size_t digits = strlen(FORM) - strlen(EXTENSION);

	for (size_t i = 0; form[i]; i++)
		if (i < digits && form[i] == 'd' ? !isdigit((unsigned char)tail[i])
						 : tail[i] != form[i])
			return false;
	return true;
}

bool split_name_parse(const char *path, struct split_name *ret)
{
	size_t len = strlen(path), end = strlen(EXTENSION), tail = strlen(FORM);
	bool has_end = len > end && strcasecmp(path + len - end, EXTENSION) == 0;
	struct split_name s = {0};

	*ret = (struct split_name){.stem = has_end ? len - end : len};
	if (len <= tail || !has_form(path + len - tail))
		return false;
	s.stem = len - tail;
	s.part = (int)strtol(path + s.stem + 1, NULL, 10);
	s.count = (int)strtol(path + len - strlen("ddddd.gguf"), NULL, 10);
	if (s.part < 1 || s.part > s.count)
		return false;
	*ret = s;
	return true;
}

char *split_name_of(const char *path, const struct split_name *s, int part)
{
	return mem_printf("%.*s-%05d-of-%05d" EXTENSION, (int)s->stem, path, part, s->count);
}
