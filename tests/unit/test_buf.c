/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

static void a_buffer_grows_and_stays_terminated(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};

	for (int i = 0; i < 1000; i++) {
		buf_printf(&b, "%03d,", i);
		assert_int_equal(b.len, 4 * (i + 1));
		assert_int_equal(b.data[b.len], '\0');
	}
	assert_memory_equal(b.data + 4 * 999, "999,", 5);
	buf_drop(&b, 4 * 998);
	assert_string_equal(b.data, "998,999,");
	buf_drop(&b, 100);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
}

static void bytes_may_be_zero(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};

	buf_add(&b, "a\0b", 3);
	buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
}

static void stealing_leaves_an_empty_buffer(void **state)
{
	struct buf b = {0};
	char *text = NULL;

	buf_str(&b, "text");
	text = buf_steal(&b);
	assert_string_equal(text, "text");
	assert_null(b.data);
	free(text);
	text = buf_steal(&b);
	assert_string_equal(text, "");
	free(text);
	buf_drop(&b, 3);
	assert_null(b.data);
}

static void a_list_ends_with_null_at_every_length(void **state)
{
	CLEANUP(strv_done) struct strv v = {0};

	assert_null(strv_items(&v)[0]);
	for (size_t i = 0; i < 100; i++) {
		strv_printf(&v, "%zu", i);
		assert_int_equal(v.count, i + 1);
		assert_null(strv_items(&v)[i + 1]);
	}
	strv_add(&v, "last");
	assert_string_equal(strv_items(&v)[0], "0");
	assert_string_equal(strv_items(&v)[99], "99");
	assert_string_equal(strv_items(&v)[100], "last");
}

static void memory_is_zeroed_and_given_back(void **state)
{
	CLEANUP(free) char *text = mem_alloc(16);
	CLEANUP(free) int *numbers = mem_array(4, sizeof(int));
	CLEANUP(free) char *none = NULL;
	CLEANUP(free) const char *copy = mem_ndup("abcdef", 3);
	CLEANUP(free) char *taken = mem_dup("x");
	char *kept = STEAL(taken);

	assert_int_equal(text[15], 0);
	assert_int_equal(numbers[3], 0);
	numbers = mem_grow(numbers, 100, sizeof(int));
	numbers[99] = 1;
	assert_null(mem_dup(NULL));
	assert_string_equal(copy, "abc");
	assert_null(taken);
	assert_string_equal(kept, "x");
	free(kept);
}

static void a_descriptor_is_closed_with_its_scope(void **state)
{
	int seen = -1;

	{
		CLEANUP(close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		CLEANUP(close) int none = -1;

		seen = fd;
		assert_true(fcntl(seen, F_GETFD) >= 0);
	}
	assert_int_equal(fcntl(seen, F_GETFD), -1);
}

static void times_are_written_in_utc(void **state)
{
	char text[32];

	clock_iso(1764000000123LL, text);
	assert_string_equal(text, "2025-11-24T16:00:00.123Z");
	clock_iso(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	clock_iso(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999Z");
	clock_iso(INT64_MAX, text); /* no such year: empty, not garbage */
	assert_true(strlen(text) < sizeof(text));
}

static void a_deadline_lies_ahead(void **state)
{
	struct timespec at = clock_after(1500);
	int64_t ms = (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;

	assert_in_range(ms - clock_ms(), 500, 1501);
	assert_in_range(at.tv_nsec, 0, 999999999);
	assert_true(clock_us() / 1000 <= clock_ms());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_grows_and_stays_terminated),
		cmocka_unit_test(bytes_may_be_zero),
		cmocka_unit_test(stealing_leaves_an_empty_buffer),
		cmocka_unit_test(a_list_ends_with_null_at_every_length),
		cmocka_unit_test(memory_is_zeroed_and_given_back),
		cmocka_unit_test(a_descriptor_is_closed_with_its_scope),
		cmocka_unit_test(times_are_written_in_utc),
		cmocka_unit_test(a_deadline_lies_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
