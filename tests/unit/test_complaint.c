/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/complaint.h"
#include "base/mem.h"

/* The error after these lines; the stage is hidden. */
static struct err after(const char *const *lines)
{
	CLEANUP(complaint_done) struct complaint c = {.hide = "/store/.stage/"};
	struct err e = {0};

	for (; *lines != NULL; lines++)
		complaint_line(&c, *lines);
	assert_false(complaint_err(&c, ERR_BUILD, "it failed", &e));
	return e;
}

static void a_compilers_error_is_quoted_without_the_stage(void **state)
{
	const char *const lines[] = {
		"[1/2] Building CXX object a.o",
		"FAILED: a.o",
		"/store/.stage/src/a.cpp:7:3: error: 'x' was not declared in this scope",
		"    7 |   x();",
		"ninja: build stopped: subcommand failed.",
		NULL,
	};
	struct err e = after(lines);

	assert_int_equal(e.kind, ERR_BUILD);
	assert_string_equal(e.msg, "it failed: src/a.cpp:7:3: error: 'x' was not declared in this "
				   "scope");
	assert_string_equal(e.hint, "");
}

static void cmakes_error_comes_with_its_text(void **state)
{
	const char *const lines[] = {
		"-- The C compiler identification is GNU 12.2.0",
		"CMake Error at CMakeLists.txt:12 (message):",
		"  glslc is missing",
		"",
		"-- Configuring incomplete, errors occurred!",
		NULL,
	};
	struct err e = after(lines);

	assert_non_null(strstr(e.msg, "CMakeLists.txt:12 (message):; glslc is missing"));
}

static void a_full_disk_is_named_as_such(void **state)
{
	const char *const lines[] = {
		"a.cpp:1: fatal error: error writing to /x.s: No space left on device", NULL};
	struct err e = after(lines);

	assert_int_equal(e.kind, ERR_NO_SPACE);
	assert_non_null(strstr(e.hint, "free some space"));
}

static void a_killed_compiler_means_memory(void **state)
{
	const char *const lines[] = {"c++: fatal error: Killed signal terminated program cc1plus",
				     NULL};
	struct err e = after(lines);

	assert_int_equal(e.kind, ERR_BUILD);
	assert_non_null(strstr(e.hint, "build_jobs"));
}

static void without_an_error_the_last_lines_are_shown(void **state)
{
	const char *const lines[] = {"one", "two", "three", "four", NULL};
	const char *const none[] = {NULL};

	assert_string_equal(after(lines).msg, "it failed: two; three; four");
	assert_string_equal(after(none).msg, "it failed: it printed nothing");
}

static void much_output_stays_within_the_message(void **state)
{
	char line[2000] = "error: ";
	const char *const lines[] = {line, line, line, line, line, line, NULL};

	memset(line + 7, 'x', sizeof(line) - 8);
	assert_true(strlen(after(lines).msg) < 450);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_compilers_error_is_quoted_without_the_stage),
		cmocka_unit_test(cmakes_error_comes_with_its_text),
		cmocka_unit_test(a_full_disk_is_named_as_such),
		cmocka_unit_test(a_killed_compiler_means_memory),
		cmocka_unit_test(without_an_error_the_last_lines_are_shown),
		cmocka_unit_test(much_output_stays_within_the_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
