/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "gateway/keep_alive.h"

static void times_are_read_as_ollama_does(void **state)
{
	static const struct {
		const char *value;
		int64_t ms;
	} table[] = {
		{"300", 300000},        {"0", 0},
		{"0.5", 500},           {"-1", -1},
		{"-0.1", -1},           {"\"300\"", 300000},
		{"\"0\"", 0},           {"\"-1\"", -1},
		{"\"5m\"", 300000},     {"\"24h\"", 86400000},
		{"\"1h30m\"", 5400000}, {"\"1.5h\"", 5400000},
		{"\"250ms\"", 250},     {"\"+2s\"", 2000},
		{"\"-1m\"", -1},        {"\"0s\"", 0},
		{"1e300", -1},          {"\"99999999999999999999h\"", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		int64_t ms = -2;

		if (!keep_alive_parse(table[i].value, strlen(table[i].value), &ms, &e))
			fail_msg("%s: %s", table[i].value, e.msg);
		assert_int_equal(ms, table[i].ms);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const table[] = {
		"\"\"",  "\"m\"",      "\"5 m\"", "\"5m \"", "\"five\"", "\"5m3\"", "\".\"",
		"\"-\"", "\"1.2.3s\"", "true",    "[]",      "{}",       "\"5d\"",  "1e999",
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		int64_t ms;

		if (keep_alive_parse(table[i], strlen(table[i]), &ms, &e))
			fail_msg("%s was taken: %lld", table[i], (long long)ms);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_non_null(strstr(e.msg, table[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read_as_ollama_does),
		cmocka_unit_test(what_is_no_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
