/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

static void what_is_written_is_read_back(void **state)
{
	const char *path = test_path(*state, "a");
	char *text = NULL;
	size_t size = 0;

	test_write(path, "one\0two", 7);
	text = test_read(path, &size);
	assert_int_equal(size, 7);
	assert_memory_equal(text, "one\0two", 8);
	free(text);
}

static void a_read_only_tree_is_removed_and_links_are_not_followed(void **state)
{
	char *dir = test_dir_new();
	const char *outside = test_path(*state, "kept");

	test_write(outside, "x", 1);
	assert_int_equal(mkdir(test_path(dir, "sub"), 0700), 0);
	assert_int_equal(symlink(*state, test_path(dir, "link")), 0);
	test_write(test_path(dir, "sub/file"), "x", 1);
	assert_int_equal(chmod(test_path(dir, "sub"), 0500), 0);
	assert_int_equal(chmod(dir, 0500), 0);

	outside = strdup(outside);
	char *gone = strdup(dir);
	test_dir_free(dir);
	assert_int_equal(access(gone, F_OK), -1);
	assert_int_equal(access(outside, F_OK), 0);
	free(gone);
	free((char *)outside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read_back, test_dir_setup,
						test_dir_teardown),
		cmocka_unit_test_setup_teardown(
			a_read_only_tree_is_removed_and_links_are_not_followed, test_dir_setup,
			test_dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
