/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backend/hardware.h"
#include "base/mem.h"
#include "daemon/config.h"

struct unit {
	const char *name;
	int64_t factor;
};

#define KB 1024LL
#define MB (1024 * KB)
#define GB (1024 * MB)

/* The first is a bare number's. Of several names for one factor the first is shown. */
static const struct unit counts[] = {{"", 1}, {NULL, 0}};
static const struct unit bytes[] = {
	{"B", 1},    {"KB", KB}, {"K", KB}, {"KiB", KB}, {"MB", MB}, {"M", MB},
	{"MiB", MB}, {"GB", GB}, {"G", GB}, {"GiB", GB}, {NULL, 0},
};
static const struct unit times[] = {
	{"s", 1000}, {"ms", 1}, {"min", 60000}, {"m", 60000}, {"h", 3600000}, {NULL, 0},
};
static const struct unit *const units_of[] = {
	[VALUE_COUNT] = counts,
	[VALUE_BYTES] = bytes,
	[VALUE_TIME] = times,
};

bool value_number(enum value_type type, const char *text, int64_t *ret)
{
	char *end = NULL;
	long long n = 0;

	if (!isdigit((unsigned char)text[0]))
		return false; /* strtoll also takes space and signs */
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno != 0)
		return false;
	end += strspn(end, " ");
	for (const struct unit *u = units_of[type]; u->name != NULL; u++) {
		if (*end == '\0' || strcasecmp(end, u->name) == 0)
			return !__builtin_mul_overflow(n, u->factor, ret);
	}
	return false;
}

void value_show(enum value_type type, int64_t number, char *buf, size_t size)
{
	const struct unit *best = units_of[type];

	while (number % best->factor != 0)
		best++; /* each list has a factor 1 */
	for (const struct unit *u = best; number > 0 && u->name != NULL; u++) {
		if (number % u->factor == 0 && u->factor > best->factor)
			best = u;
	}
	(void)snprintf(buf, size, "%" PRId64 "%s", number / best->factor, best->name);
}

bool value_is_given(const char *text, struct err *e)
{
	return text[0] != '\0' || err_set(e, ERR_INVALID, "must not be empty");
}

bool value_is_cpu(const char *text, struct err *e)
{
	CLEANUP(strv_done) struct strv ignored = {0};

	/* "native" is known everywhere and costs a look at the machine. */
	if (strcmp(text, "native") == 0 || hardware_cpu_flags(text, &ignored))
		return true;
	(void)err_set(e, ERR_INVALID, "unknown CPU '%.64s'", text);
	return err_hint(e, "native, x86-64-v2, x86-64-v3 or x86-64-v4; only native on others");
}

bool value_is_level(const char *text, struct err *e)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (strcmp(text, levels[i]) == 0)
			return true;
	}
	return err_set(e, ERR_INVALID, "'%.64s': expected error, warn, info or debug", text);
}

bool value_is_priority(const char *text, struct err *e)
{
	if (strcmp(text, "idle") == 0 || strcmp(text, "normal") == 0)
		return true;
	return err_set(e, ERR_INVALID, "'%.64s': expected idle or normal", text);
}

bool value_is_yes_no(const char *text, struct err *e)
{
	if (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0)
		return true;
	return err_set(e, ERR_INVALID, "'%.64s': expected yes or no", text);
}

bool value_is_provision(const char *text, struct err *e)
{
	if (strcmp(text, "ask") == 0 || strcmp(text, "auto") == 0 || strcmp(text, "never") == 0)
		return true;
	return err_set(e, ERR_INVALID, "'%.64s': expected ask, auto or never", text);
}

bool value_is_endpoint(const char *text, struct err *e)
{
	const char *host = strstr(text, "://");
	size_t len = strlen(text);

	if ((strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0) &&
	    strcspn(host + 3, "/") > 0 && strcspn(text, " ?#@%\"'\\") == len &&
	    text[len - 1] != '/')
		return true;
	(void)err_set(e, ERR_INVALID, "'%.64s' is not the address of a hub", text);
	return err_hint(e, "scheme and host, no '/' at the end: https://hub.example.org");
}

bool value_is_origins(const char *text, struct err *e)
{
	CLEANUP(strv_done) struct strv words = {0};

	config_words(text, &words);
	for (size_t i = 0; i < words.count; i++) {
		const char *host = strstr(words.items[i], "://");

		if (host != NULL && host != words.items[i] && host[3] != '\0' &&
		    strchr(host + 3, '/') == NULL)
			continue;
		(void)err_set(e, ERR_INVALID, "'%.64s' is not an origin", words.items[i]);
		return err_hint(e, "scheme, host and port, no path: https://example.org:8443");
	}
	return true;
}

bool value_is_variables(const char *text, struct err *e)
{
	CLEANUP(strv_done) struct strv ignored = {0};

	return config_variables(text, &ignored, e);
}
