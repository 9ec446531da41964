/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

enum { FILE_MAX = 1024 * 1024 };

static const char space[] = " \t\r";

/* Without the space around it, in place. */
static char *trim(char *text)
{
	size_t len = 0;

	text += strspn(text, space);
	len = strlen(text);
	while (len > 0 && strchr(space, text[len - 1]) != NULL)
		len--;
	text[len] = '\0';
	return text;
}

static bool read_section(const char *text, struct err *e)
{
	if (strcmp(text, "[shunt]") == 0)
		return true;
	(void)err_set(e, ERR_INVALID, "unknown section '%.64s'", text);
	return err_hint(e, "settings need no section; [shunt] is accepted");
}

static bool read_pair(char *text, int line, config_pair_fn *fn, void *arg, struct err *e)
{
	char *equals = strchr(text, '=');

	if (equals == NULL || equals == text) {
		(void)err_set(e, ERR_INVALID, "'%.64s' is not 'key = value'", text);
		return err_hint(e, "comments begin with '#'");
	}
	*equals = '\0';
	return fn(arg, line, trim(text), trim(equals + 1), e);
}

static bool read_line(char *text, int line, config_pair_fn *fn, void *arg, struct err *e)
{
	text = trim(text);
	if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
		return true;
	if (text[0] == '[')
		return read_section(text, e);
	return read_pair(text, line, fn, arg, e);
}

bool config_file_read(const char *file, config_pair_fn *fn, void *arg, struct err *e)
{
	static const char mark[] = "\xEF\xBB\xBF"; /* what some editors put first */
	CLEANUP(free) char *text = NULL;
	size_t len = 0;
	char *rest = NULL;

	if (!fs_read(file, FILE_MAX, &text, &len, e))
		return err_wrap(e, "configuration");
	if (strlen(text) != len)
		return err_set(e, ERR_INVALID, "configuration '%s' has a NUL byte in it", file);
	rest = strncmp(text, mark, strlen(mark)) == 0 ? text + strlen(mark) : text;
	for (int line = 1; rest != NULL; line++) {
		char *one = strsep(&rest, "\n");

		if (!read_line(one, line, fn, arg, e))
			return err_wrap(e, "%s:%d", file, line);
	}
	return true;
}
