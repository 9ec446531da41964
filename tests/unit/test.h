/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * First include of every unit test: cmocka wants these headers before its own, in this order.
 * Also a folder of one's own for each test: test_dir_new() in the setup, test_dir_free() in the
 * teardown. Single-threaded, like cmocka.
 */

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST_MAYBE __attribute__((unused))

/* A new empty folder under $TMPDIR or /tmp; the caller gives it to test_dir_free(). */
TEST_MAYBE static char *test_dir_new(void)
{
	const char *top = getenv("TMPDIR");
	char *dir = NULL;

	if (top == NULL || top[0] == '\0')
		top = "/tmp";
	if (asprintf(&dir, "%s/shunt-test-XXXXXX", top) < 0 || mkdtemp(dir) == NULL) {
		fail_msg("mkdtemp in '%s': %s", top, strerror(errno));
		abort();
	}
	return dir;
}

TEST_MAYBE static int test_dir_remove_one(const char *path, const struct stat *st, int type,
					  struct FTW *where)
{
	(void)chmod(path, 0700); /* published trees are read-only */
	return remove(path);
}

/* Makes folders writable before what they hold is removed. */
TEST_MAYBE static int test_dir_unlock_one(const char *path, const struct stat *st, int type,
					  struct FTW *where)
{
	return type == FTW_D ? chmod(path, 0700) : 0;
}

/* Removes the folder with all it holds; links are removed, not followed. NULL is fine. */
TEST_MAYBE static void test_dir_free(char *dir)
{
	if (dir == NULL)
		return;
	(void)nftw(dir, test_dir_unlock_one, 16, FTW_PHYS);
	(void)nftw(dir, test_dir_remove_one, 16, FTW_PHYS | FTW_DEPTH);
	free(dir);
}

/* The same as cmocka fixtures, for tests whose whole state is a folder: *state is its path. */
TEST_MAYBE static int test_dir_setup(void **state)
{
	*state = test_dir_new();
	return 0;
}

TEST_MAYBE static int test_dir_teardown(void **state)
{
	test_dir_free(*state);
	return 0;
}

/* "dir/name" in a buffer that the next eight calls leave alone. */
TEST_MAYBE static const char *test_path(const char *dir, const char *name)
{
	static char paths[8][4096];
	static unsigned int next;
	char *path = paths[next++ % 8];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

/* Creates or replaces a file with these bytes. */
TEST_MAYBE static void test_write(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* The whole file with a NUL after it; the caller frees it. ret_size may be NULL. */
TEST_MAYBE static char *test_read(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "re");
	char *data = NULL;
	size_t size = 0;
	size_t room = 0;

	assert_non_null(f);
	do {
		room = size + 4096;
		data = realloc(data, room + 1);
		assert_non_null(data);
		size += fread(data + size, 1, room - size, f);
	} while (size == room);
	assert_int_equal(ferror(f), 0);
	(void)fclose(f);
	data[size] = '\0';
	if (ret_size != NULL)
		*ret_size = size;
	return data;
}
