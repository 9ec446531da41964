/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/part.h"

enum { HOUR = 3600 };

static int setup(void **state)
{
	*state = test_dir_new();
	return 0;
}

static int teardown(void **state)
{
	test_dir_free(*state);
	return 0;
}

static void put(const char *path, int64_t age_s)
{
	const struct timespec then = {.tv_sec = clock_wall_ms() / 1000 - age_s};
	const struct timespec times[2] = {then, then};

	test_write(path, "0123456789", 10);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void old_parts_go_and_nothing_else(void **state)
{
	const char *dir = *state;
	const char *deep = test_path(dir, "a/b/c");
	struct err e = {0};

	assert_true(fs_mkdirs(deep, 0700, &e));
	put(test_path(dir, "a/old.gguf.part"), 2 * HOUR);
	put(test_path(dir, "a/old.gguf.part.from"), 2 * HOUR);
	put(test_path(dir, "a/b/c/old.part"), 2 * HOUR);
	put(test_path(dir, "a/young.gguf.part"), HOUR / 2);
	put(test_path(dir, "a/whole.gguf"), 2 * HOUR);
	put(test_path(dir, "a/.part"), 2 * HOUR);
	put(test_path(dir, "a/part"), 2 * HOUR);
	assert_int_equal(part_sweep(dir, HOUR), 20);
	assert_false(fs_exists(test_path(dir, "a/old.gguf.part")));
	assert_false(fs_exists(test_path(dir, "a/old.gguf.part.from")));
	assert_false(fs_exists(test_path(dir, "a/old.gguf")));
	assert_false(fs_exists(test_path(dir, "a/b/c/old.part")));
	assert_true(fs_exists(test_path(dir, "a/young.gguf.part")));
	assert_true(fs_exists(test_path(dir, "a/whole.gguf")));
	assert_true(fs_exists(test_path(dir, "a/.part")));
	assert_true(fs_exists(test_path(dir, "a/part")));
	assert_int_equal(part_sweep(dir, HOUR), 0);
	assert_int_equal(part_sweep(test_path(dir, "nothing"), HOUR), 0);
}

static void a_part_in_use_stays(void **state)
{
	const char *dir = *state;
	const char *path = test_path(dir, "used.part");
	struct part p = {.fd = -1};
	struct err e = {0};

	put(path, 2 * HOUR);
	assert_true(part_open(test_path(dir, "used"), &p, &e));
	assert_int_equal(part_sweep(dir, HOUR), 0);
	assert_true(fs_exists(path));
	part_done(&p);
	part_touch(test_path(dir, "used"));
	assert_int_equal(part_sweep(dir, HOUR), 0);
	put(path, 2 * HOUR);
	assert_int_equal(part_sweep(dir, HOUR), 10);
}

static void links_lead_nowhere(void **state)
{
	const char *dir = *state;
	struct err e = {0};

	assert_true(fs_mkdirs(test_path(dir, "in"), 0700, &e));
	assert_true(fs_mkdirs(test_path(dir, "out"), 0700, &e));
	put(test_path(dir, "out/x.part"), 2 * HOUR);
	assert_true(fs_link(test_path(dir, "out"), test_path(dir, "in/folder"), &e));
	assert_true(fs_link(test_path(dir, "out/x.part"), test_path(dir, "in/y.part"), &e));
	assert_int_equal(part_sweep(test_path(dir, "in"), HOUR), 0);
	assert_true(fs_exists(test_path(dir, "out/x.part")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(old_parts_go_and_nothing_else),
		TEST(a_part_in_use_stays),
		TEST(links_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
