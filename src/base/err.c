/* SPDX-License-Identifier: Apache-2.0 */
#define ERR_INSIDE
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const struct {
	const char *name;
	int http_status;
	int exit_code;
} kinds[] = {
#define ERR_ROW(kind, name, http, code) [kind] = {name, http, code},
	ERR_KINDS(ERR_ROW)
#undef ERR_ROW
};

/* Removes a UTF-8 character that was cut in two: messages end up in JSON. */
static void trim_utf8(char *text)
{
	size_t len = strlen(text);
	size_t start = len;
	size_t whole = 1;
	unsigned char lead = 0;

	while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start == 0)
		return;
	lead = (unsigned char)text[--start];
	if (lead >= 0xF0)
		whole = 4;
	else if (lead >= 0xE0)
		whole = 3;
	else if (lead >= 0xC0)
		whole = 2;
	if (len - start < whole)
		text[start] = '\0';
}

__attribute__((format(printf, 3, 0))) static void format(char *text, size_t size, const char *fmt,
							 va_list args)
{
	if (vsnprintf(text, size, fmt, args) >= (int)size)
		trim_utf8(text);
}

bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list args;

	assert(kind > ERR_NONE && kind < ERR_KIND_COUNT);
	if (e == NULL)
		return false;
	assert(e->kind == ERR_NONE);
	e->kind = kind;
	e->hint[0] = '\0';
	va_start(args, fmt);
	format(e->msg, sizeof(e->msg), fmt, args);
	va_end(args);
	return false;
}

bool err_sys(struct err *e, int errnum, const char *fmt, ...)
{
	char what[sizeof(e->msg)];
	char text[128];
	bool full = errnum == ENOSPC || errnum == EDQUOT;
	va_list args;

	va_start(args, fmt);
	format(what, sizeof(what), fmt, args);
	va_end(args);
	return err_set(e, full ? ERR_NO_SPACE : ERR_SYSTEM, "%s: %s", what,
		       strerror_r(errnum, text, sizeof(text)));
}

bool err_wrap(struct err *e, const char *fmt, ...)
{
	char msg[sizeof(e->msg)];
	size_t len = 0;
	va_list args;

	if (e == NULL)
		return false;
	assert(e->kind != ERR_NONE);
	va_start(args, fmt);
	format(msg, sizeof(msg), fmt, args);
	va_end(args);
	len = strlen(msg);
	if (snprintf(msg + len, sizeof(msg) - len, ": %s", e->msg) >= (int)(sizeof(msg) - len))
		trim_utf8(msg);
	memcpy(e->msg, msg, sizeof(msg));
	return false;
}

bool err_hint(struct err *e, const char *fmt, ...)
{
	va_list args;

	if (e == NULL)
		return false;
	assert(e->kind != ERR_NONE);
	if (e->hint[0] != '\0')
		return false;
	va_start(args, fmt);
	format(e->hint, sizeof(e->hint), fmt, args);
	va_end(args);
	return false;
}

void err_clear(struct err *e)
{
	if (e != NULL)
		*e = (struct err){0};
}

const char *err_name(enum err_kind kind)
{
	return kinds[kind].name;
}

int err_http_status(enum err_kind kind)
{
	return kinds[kind].http_status;
}

int err_exit_code(enum err_kind kind)
{
	return kinds[kind].exit_code;
}

enum err_kind err_kind_from_name(const char *name)
{
	for (int i = 0; name != NULL && i < ERR_KIND_COUNT; i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return (enum err_kind)i;
	}
	return ERR_SYSTEM;
}
