/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "engine/pin.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SOURCE                                                                                     \
	"[source]\nrelease = 1\npackage = p\nversion = 1\nsize = 10\nsubfolder = s\n"              \
	"backend = pip\nsha256 = " HASH "\n"
#define REST                                                                                       \
	"[cmake]\narg = -DA=1\narg = -DB=2\n[base]\ntarget = t\nfile = f*\ndisk = 1\nmemory = 2\n"

static struct pin *read_pin(const char *dir, const char *text, struct err *e)
{
	struct pin *p = NULL;

	test_write(test_path(dir, "engine.ini"), text, strlen(text));
	return pin_read(dir, &p, e) ? p : NULL;
}

static void a_list_is_a_key_several_times(void **state)
{
	struct err e = {0};
	CLEANUP(pin_free) struct pin *p = read_pin(*state, SOURCE REST, &e);

	assert_non_null(p);
	assert_string_equal(p->sha256, HASH);
	assert_int_equal(p->size, 10);
	assert_int_equal(p->cmake_args.count, 2);
	assert_string_equal(p->cmake_args.items[1], "-DB=2");
	assert_null(p->include);
}

static void is_refused(const char *dir, const char *text, const char *why)
{
	struct err e = {0};

	assert_null(read_pin(dir, text, &e));
	if (strstr(e.msg, why) == NULL || strstr(e.msg, "engine.ini") == NULL)
		fail_msg("'%s' has no '%s'", e.msg, why);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
	is_refused(*state, SOURCE "color = red\n" REST, "line 9: key 'color' in [source] is not");
	is_refused(*state, SOURCE "version = 2\n" REST, "line 9: key 'version' in [source] stands");
	is_refused(*state, SOURCE REST "disk = 1x\n", "'disk' in [base] is not a number");
	is_refused(*state, SOURCE REST "disk = -1\n", "'disk' in [base] is not a number");
	is_refused(*state, SOURCE REST "file =\n", "'file' in [base] has no value");
	is_refused(*state, SOURCE "what\n" REST, "line 9");
	is_refused(*state, SOURCE, "lacks 'arg' in [cmake]");
	is_refused(*state, "", "lacks 'release' in [source]");
	is_refused(*state,
		   "[source]\nrelease = 1\npackage = p\nversion = 1\nsize = 1\n"
		   "subfolder = s\nbackend = pip\nsha256 = 12\n" REST,
		   "sha256 '12' is not 64 hex digits");
}

static void the_newest_release_is_taken(void **state)
{
	struct err e = {0};
	CLEANUP(pin_free) struct pin *p = NULL;
	const char *const names[] = {"engine", "engine/0.3.9", "engine/0.3.36"};

	assert_false(pin_find(*state, &p, &e));
	assert_non_null(strstr(e.hint, "engine/"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(mkdir(test_path(*state, names[i]), 0755), 0);
	test_write(test_path(*state, "engine/0.3.36/engine.ini"), SOURCE REST, strlen(SOURCE REST));
	err_clear(&e);
	assert_true(pin_find(*state, &p, &e));
	assert_non_null(strstr(p->folder, "0.3.36"));
}

static void our_own_pin_is_whole(void **state)
{
	struct err e = {0};
	CLEANUP(pin_free) struct pin *p = NULL;

	if (!pin_find(SOURCE_DIR, &p, &e))
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < p->patches.count; i++)
		assert_int_equal(access(test_path(p->folder, p->patches.items[i]), R_OK), 0);
	assert_int_equal(access(test_path(p->folder, p->include), R_OK), 0);
	assert_int_equal(access(test_path(p->folder, "pip/scikit_build_core/build.py"), R_OK), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_list_is_a_key_several_times),
		TEST(what_is_wrong_is_named_with_its_line),
		TEST(the_newest_release_is_taken),
		TEST(our_own_pin_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
