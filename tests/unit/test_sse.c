/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "cli/sse.h"

static bool collect(void *arg, const char *data)
{
	struct buf *all = arg;

	buf_printf(all, "[%s]", data);
	return strcmp(data, "stop") != 0;
}

static void events_come_out_whole_however_they_are_cut(void **state)
{
	static const char stream[] = ": hello\n\nid: 1\ndata: {\"a\":1}\n\nevent: x\r\ndata:b\r\n"
				     "data: c\r\n\r\ndata: unfinished";

	for (size_t piece = 1; piece < sizeof(stream); piece++) {
		struct sse s = {0};
		struct buf all = {0};

		for (size_t at = 0; at < sizeof(stream) - 1; at += piece) {
			size_t left = sizeof(stream) - 1 - at;

			assert_true(sse_feed(&s, stream + at, left < piece ? left : piece, collect,
					     &all));
		}
		assert_string_equal(all.data, "[{\"a\":1}][b\nc]");
		sse_done(&s);
		buf_done(&all);
	}
}

static void the_receiver_can_end_it(void **state)
{
	struct sse s = {0};
	struct buf all = {0};

	assert_false(sse_feed(&s, "data: stop\n\ndata: more\n\n", 24, collect, &all));
	assert_string_equal(all.data, "[stop]");
	sse_done(&s);
	buf_done(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_out_whole_however_they_are_cut),
		cmocka_unit_test(the_receiver_can_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
