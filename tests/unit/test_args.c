/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "cli/args.h"

#define KNOWN "id= detach force"

static bool parse(struct args *a, struct err *e, int argc, const char *const *argv)
{
	return args_parse(argc, (char **)argv, KNOWN, a, e);
}

static void flags_stand_anywhere(void **state)
{
	const char *const argv[] = {"one", "--id", "x", "--force", "two", NULL};
	struct args a;
	struct err e = {0};

	assert_true(parse(&a, &e, 5, argv));
	assert_int_equal(a.count, 2);
	assert_string_equal(a.words[1], "two");
	assert_string_equal(args_value(&a, "id"), "x");
	assert_true(args_has(&a, "force"));
	assert_false(args_has(&a, "detach"));
}

static void an_equals_sign_gives_the_value(void **state)
{
	const char *const argv[] = {"--id=a=b", "--id=", NULL};
	struct args a;
	struct err e = {0};

	assert_true(parse(&a, &e, 1, argv));
	assert_string_equal(args_value(&a, "id"), "a=b");
	assert_true(parse(&a, &e, 2, argv)); /* the last one wins */
	assert_string_equal(args_value(&a, "id"), "");
}

static void two_dashes_end_the_flags(void **state)
{
	const char *const argv[] = {"--", "--force", NULL};
	struct args a;
	struct err e = {0};

	assert_true(parse(&a, &e, 2, argv));
	assert_int_equal(a.count, 1);
	assert_string_equal(a.words[0], "--force");
}

static void wrong_flags_are_named(void **state)
{
	static const struct {
		const char *argv[3];
		const char *msg;
	} rows[] = {
		{{"--forc"}, "unknown flag '--forc'"},
		{{"--forced"}, "unknown flag '--forced'"},
		{{"--force=1"}, "--force takes no value"},
		{{"--id"}, "--id needs a value"},
		{{"--"
		  "=x"},
		 "unknown flag '--'"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct args a;
		struct err e = {0};

		assert_false(parse(&a, &e, 1, rows[i].argv));
		assert_string_equal(e.msg, rows[i].msg);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_stand_anywhere),
		cmocka_unit_test(an_equals_sign_gives_the_value),
		cmocka_unit_test(two_dashes_end_the_flags),
		cmocka_unit_test(wrong_flags_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
