/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/keep_alive.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/json.h"

#define LONGEST_MS (365.0 * 24 * 3600 * 1000)

static const struct {
	const char *name;
	double ms;
} units[] = {
	{"ms", 1},      {"us", 0.001}, {"\xc2\xb5s", 0.001}, {"ns", 0.000001},
	{"h", 3600000}, {"m", 60000},  {"s", 1000},
};

/* Digits, and a '.' among them; NULL: none. */
static const char *read_number(const char *at, double *ret)
{
	double scale = 1, n = 0;
	const char *from = at;
	bool point = false;

	for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
		if (*at == '.') {
			point = true;
			continue;
		}
		n = n * 10 + (*at - '0');
		if (point)
			scale *= 10;
	}
	*ret = n / scale;
	return at > from + point ? at : NULL;
}

static const char *read_unit(const char *at, double *ret_ms)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(at, units[i].name, len) == 0) {
			*ret_ms = units[i].ms;
			return at + len;
		}
	}
	return NULL;
}

/* "1h30m"; a bare number is seconds. */
static bool read_time(const char *text, double *ret_ms)
{
	bool minus = *text == '-';
	double sum = 0, n, unit;
	const char *at = text + (minus || *text == '+');

	do {
		at = read_number(at, &n);
		if (!at)
			return false;
		if (!*at && sum == 0) {
			sum = n * 1000;
			break;
		}
		at = read_unit(at, &unit);
		if (!at)
			return false;
		sum += n * unit;
	} while (*at);
	*ret_ms = minus ? -sum : sum;
	return true;
}

bool keep_alive_parse(const char *value, size_t len, int64_t *ret, struct err *e)
{
	CLEANUP(json_decref) json_t *json = json_loadb(value, len, JSON_DECODE_ANY, NULL);
	double ms = json_number_value(json) * 1000;

	if (!json_is_number(json) &&
	    !(json_is_string(json) && read_time(json_string_value(json), &ms))) {
		err_set(e, ERR_INVALID, "keep_alive %.*s is no time", len > 40 ? 40 : (int)len,
			value);
		return err_hint(e, "a number of seconds, or text as \"5m\"; -1: for ever, 0: "
				   "unload at once");
	}
	if (ms < 0)
		*ret = -1;
	else
		*ret = ms < LONGEST_MS ? (int64_t)ceil(ms) : -1;
	return true;
}
