/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "cli/term.h"

static void numbers_are_for_people(void **state)
{
	char buf[32];

	assert_string_equal(term_size(0, buf, sizeof(buf)), "0 B");
	assert_string_equal(term_size(999, buf, sizeof(buf)), "999 B");
	assert_string_equal(term_size(1000, buf, sizeof(buf)), "1.0 kB");
	assert_string_equal(term_size(92900000, buf, sizeof(buf)), "92.9 MB");
	assert_string_equal(term_size(999600000, buf, sizeof(buf)), "1.0 GB");
	assert_string_equal(term_count(134515008, buf, sizeof(buf)), "135 M");
	assert_string_equal(term_duration(1234, buf, sizeof(buf)), "1.2 s");
	assert_string_equal(term_duration(59999, buf, sizeof(buf)), "59 s");
	assert_string_equal(term_duration(192000, buf, sizeof(buf)), "3 min 12 s");
	assert_string_equal(term_duration(3720000, buf, sizeof(buf)), "1 h 2 min");
}

static void escape_sequences_from_outside_do_nothing(void **state)
{
	char *clean = term_clean("a\033[31mb\x7f\n");

	assert_string_equal(clean, "a [31mb  ");
	free(clean);
	clean = term_clean(NULL);
	assert_string_equal(clean, "");
	free(clean);
}

static void columns_line_up_by_characters(void **state)
{
	struct term_table t = {.columns = 2};
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	term_row(&t, "é", TINT_NONE, "x", TINT_NONE);
	term_row(&t, "abc", TINT_NONE, NULL, TINT_NONE);
	term_print(&t, f);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, "é    x\nabc  \n");
	term_table_done(&t);
	free(text);
}

static void a_long_text_goes_on_below_at_a_word(void **state)
{
	struct term_table t = {.columns = 2, .width = 30};
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	term_row(&t, "id", TINT_NONE, "größer als der Platz, der da ist", TINT_NONE);
	term_row(&t, "more", TINT_NONE, "averyveryverylongwordwithoutanyspaceinit", TINT_NONE);
	term_print(&t, f);
	term_table_done(&t);
	t = (struct term_table){.columns = 2, .width = 30};
	term_row(&t, "0123456789", TINT_NONE, "größer als der Platz, der da ist", TINT_NONE);
	term_row(&t, "x", TINT_NONE, "klein", TINT_NONE);
	term_print(&t, f);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, "id    größer als der Platz,\n"
				  "      der da ist\n"
				  "more  averyveryverylongwordwit\n"
				  "      houtanyspaceinit\n"
				  "0123456789  \n"
				  "    größer als der Platz, der\n"
				  "    da ist\n"
				  "x           klein\n");
	term_table_done(&t);
	free(text);
}

static void what_fits_ends_with_a_word_or_a_character(void **state)
{
	assert_int_equal(term_fit("abc def", 7), 7);
	assert_int_equal(term_fit("abc def", 6), 3);
	assert_int_equal(term_fit("abc def", 3), 3);
	assert_int_equal(term_fit("éé", 1), 2);
	assert_int_equal(term_fit("", 5), 0);
	assert_int_equal(term_fit("abc", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_for_people),
		cmocka_unit_test(escape_sequences_from_outside_do_nothing),
		cmocka_unit_test(columns_line_up_by_characters),
		cmocka_unit_test(a_long_text_goes_on_below_at_a_word),
		cmocka_unit_test(what_fits_ends_with_a_word_or_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
