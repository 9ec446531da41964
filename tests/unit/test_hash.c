/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/hash.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void known_hashes(void **state)
{
	CLEANUP(hash_free) struct hash *h = hash_new();
	CLEANUP(hash_free) struct hash *empty = hash_new();
	char hex[HASH_HEX_SIZE];

	hash_add(h, "a", 1);
	hash_add(h, "bc", 2);
	hash_hex(h, hex);
	assert_string_equal(hex, ABC);
	hash_hex(empty, hex);
	assert_string_equal(hex, EMPTY);
}

static void a_field_is_key_value_newline(void **state)
{
	CLEANUP(hash_free) struct hash *fields = hash_new();
	CLEANUP(hash_free) struct hash *bytes = hash_new();
	char a[HASH_HEX_SIZE];
	char b[HASH_HEX_SIZE];

	hash_field(fields, "engine", "0.3.36");
	hash_field(fields, "backend", "");
	hash_add(bytes, "engine=0.3.36\nbackend=\n", 23);
	hash_hex(fields, a);
	hash_hex(bytes, b);
	assert_string_equal(a, b);
}

static void a_file_larger_than_one_read(void **state)
{
	const char *path = test_path(*state, "big");
	size_t size = 1000 * 1000;
	char *data = malloc(size);
	struct hash *h = hash_new();
	char a[HASH_HEX_SIZE];
	char b[HASH_HEX_SIZE];
	struct err e = {0};

	memset(data, 'x', size);
	test_write(path, data, size);
	hash_add(h, data, size);
	hash_hex(h, a);
	assert_true(hash_file(path, NULL, NULL, b, &e));
	assert_string_equal(a, b);
	hash_free(h);
	free(data);
}

static bool yes(void *arg)
{
	return true;
}

static void failures_are_named(void **state)
{
	const char *path = test_path(*state, "a");
	char hex[HASH_HEX_SIZE] = "untouched";
	struct err e = {0};

	test_write(path, "abc", 3);
	assert_false(hash_file(path, yes, NULL, hex, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	err_clear(&e);
	assert_false(hash_file(test_path(*state, "none"), NULL, NULL, hex, &e));
	assert_non_null(strstr(e.msg, "none': No such file"));
	err_clear(&e);
	assert_false(hash_file(*state, NULL, NULL, hex, &e));
	assert_non_null(strstr(e.msg, "Is a directory"));
	assert_string_equal(hex, "untouched");
}

static void only_lower_case_hex_of_full_length(void **state)
{
	assert_true(hash_is_hex(ABC));
	assert_false(hash_is_hex(ABC "0"));
	assert_false(hash_is_hex(&ABC[1]));
	assert_false(
		hash_is_hex("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
	assert_false(
		hash_is_hex("../../8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015adxx"));
	assert_false(hash_is_hex(""));
	assert_false(hash_is_hex(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_hashes),
		cmocka_unit_test(a_field_is_key_value_newline),
		cmocka_unit_test_setup_teardown(a_file_larger_than_one_read, test_dir_setup,
						test_dir_teardown),
		cmocka_unit_test_setup_teardown(failures_are_named, test_dir_setup,
						test_dir_teardown),
		cmocka_unit_test(only_lower_case_hex_of_full_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
