/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "model/split_name.h"

static void the_parts_of_a_split_model_are_told_by_their_names(void **state)
{
	static const struct {
		const char *path, *stem;
		int part, count;
	} cases[] = {
		{"/m/big-00001-of-00003.gguf", "/m/big", 1, 3},
		{"big-Q8_0-00012-of-99999.gguf", "big-Q8_0", 12, 99999},
		{"big-00003-of-00003.gguf", "big", 3, 3},
		{"big-00001-of-00002-00001-of-00001.gguf", "big-00001-of-00002", 1, 1},
		/* not so */
		{"/m/big.gguf", "/m/big", 0, 0},
		{"/m/big.GGUF", "/m/big", 0, 0},
		{"big-00001-of-00003.GGUF", "big-00001-of-00003", 0, 0},
		{"big-00001-of-00003", "big-00001-of-00003", 0, 0},
		{"big-0001-of-00003.gguf", "big-0001-of-00003", 0, 0},
		{"big-00001-of-0000d.gguf", "big-00001-of-0000d", 0, 0},
		{"big-00001_of-00003.gguf", "big-00001_of-00003", 0, 0},
		{"big-00000-of-00003.gguf", "big-00000-of-00003", 0, 0},
		{"big-00004-of-00003.gguf", "big-00004-of-00003", 0, 0},
		{"-00001-of-00003.gguf", "-00001-of-00003", 0, 0},
		{".gguf", ".gguf", 0, 0},
		{"", "", 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct split_name s;

		assert_int_equal(split_name_parse(cases[i].path, &s), cases[i].count > 0);
		assert_int_equal(s.stem, strlen(cases[i].stem));
		assert_memory_equal(cases[i].path, cases[i].stem, s.stem);
		assert_int_equal(s.part, cases[i].part);
		assert_int_equal(s.count, cases[i].count);
	}
}

static void another_part_differs_in_its_number_alone(void **state)
{
	static const char path[] = "/m/big-00001-of-00012.gguf";
	CLEANUP(free) char *other = NULL;
	struct split_name s;

	assert_true(split_name_parse(path, &s));
	other = split_name_of(path, &s, 11);
	assert_string_equal(other, "/m/big-00011-of-00012.gguf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_of_a_split_model_are_told_by_their_names),
		cmocka_unit_test(another_part_differs_in_its_number_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
