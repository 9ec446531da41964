/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "gateway/http1.h"

static bool parse(const char *text, struct http1_head *h, struct err *e)
{
	size_t size = http1_head_size(text, strlen(text));

	assert_true(size > 0);
	return http1_parse_head(text, size, h, e);
}

static void a_head_says_status_framing_and_type(void **state)
{
	struct http1_head h;
	struct err e = {0};

	assert_true(
		parse("HTTP/1.1 200 OK\r\ncontent-length:  12 \r\nContent-Type: a/b; c=d\r\n\r\n",
		      &h, &e));
	assert_int_equal(h.status, 200);
	assert_int_equal(h.framing, HTTP1_LENGTH);
	assert_int_equal(h.length, 12);
	assert_false(h.close);
	assert_string_equal(h.content_type, "a/b; c=d");

	assert_true(parse("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n"
			  "Connection: keep-alive, Close\r\n\r\n",
			  &h, &e));
	assert_int_equal(h.framing, HTTP1_CHUNKED);
	assert_true(h.close);

	assert_true(parse("HTTP/1.0 503 Busy\r\nRetry-After: 7\r\n\r\n", &h, &e));
	assert_int_equal(h.status, 503);
	assert_int_equal(h.framing, HTTP1_UNTIL_CLOSE);
	assert_true(h.close);
	assert_string_equal(h.retry_after, "7");

	assert_true(parse("HTTP/1.1 204 No Content\r\n\r\n", &h, &e));
	assert_int_equal(h.framing, HTTP1_LENGTH);
	assert_int_equal(h.length, 0);
}

static void a_head_that_goes_on_has_no_size(void **state)
{
	assert_int_equal(http1_head_size("HTTP/1.1 200 OK\r\nA: b\r\n\r", 25), 0);
	assert_int_equal(http1_head_size("", 0), 0);
}

static void broken_heads_are_refused(void **state)
{
	static const char *const table[] = {
		"HTTP/2 200 OK\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 999 OK\r\n\r\n",
		"\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: nothing\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct http1_head h;
		struct err e = {0};

		assert_false(parse(table[i], &h, &e));
		assert_int_equal(e.kind, ERR_WORKER);
	}
}

/* Decodes text in pieces of `step` bytes through an out of `room` bytes. */
static bool decode(struct http1_body *b, const char *text, size_t step, size_t room, char *ret,
		   size_t *ret_used, struct err *e)
{
	size_t len = strlen(text), at = 0, total = 0;

	while (at < len && !b->done) {
		size_t n = len - at < step ? len - at : step, used, got;

		if (!http1_decode(b, text + at, n, &used, ret + total, room, &got, e))
			return false;
		at += used;
		total += got;
	}
	ret[total] = '\0';
	*ret_used = at;
	return true;
}

static void chunks_are_put_together_wherever_they_are_cut(void **state)
{
	static const char text[] = "5\r\nhello\r\n1;ext=\"x\"\r\n,\r\n00a\r\n0123456789\r\n"
				   "0\r\nTrailer: x\r\nOther: y\r\n\r\nNEXT";
	struct http1_head h = {.framing = HTTP1_CHUNKED};

	for (size_t step = 1; step < sizeof(text); step++) {
		for (size_t room = 1; room < 20; room += 3) {
			struct http1_body b;
			struct err e = {0};
			char out[100];
			size_t used;

			http1_body_init(&b, &h);
			assert_true(decode(&b, text, step, room, out, &used, &e));
			assert_true(b.done);
			assert_string_equal(out, "hello,0123456789");
			assert_string_equal(text + used, "NEXT");
		}
	}
}

static void broken_chunks_are_refused(void **state)
{
	static const char *const table[] = {
		"x\r\n",       "\r\n",        "5\nhello",      "5\r\nhelloX\r\n",   "5\rXhello",
		"-1\r\nx\r\n", " 5\r\nhello", "5\r\nhello\r0", "1000000000000\r\n",
	};
	struct http1_head h = {.framing = HTTP1_CHUNKED};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct http1_body b;
		struct err e = {0};
		char out[100];
		size_t used;

		http1_body_init(&b, &h);
		assert_false(decode(&b, table[i], 1, 50, out, &used, &e));
		assert_int_equal(e.kind, ERR_WORKER);
	}
}

static void a_body_ends_at_its_length_or_with_the_connection(void **state)
{
	struct http1_head h = {.framing = HTTP1_LENGTH, .length = 3};
	struct http1_body b;
	struct err e = {0};
	char out[100];
	size_t used = 0;

	http1_body_init(&b, &h);
	assert_true(decode(&b, "ab", 1, 50, out, &used, &e));
	assert_false(http1_end(&b, &e));
	assert_string_equal(e.msg, "the worker ended in the middle of its answer");
	err_clear(&e);
	assert_true(decode(&b, "cNEXT", 50, 50, out, &used, &e));
	assert_true(b.done);
	assert_int_equal(used, 1);

	h.framing = HTTP1_UNTIL_CLOSE;
	http1_body_init(&b, &h);
	assert_true(decode(&b, "abc", 2, 50, out, &used, &e));
	assert_false(b.done);
	assert_true(http1_end(&b, &e));
	assert_true(b.done);
	assert_string_equal(out, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_says_status_framing_and_type),
		cmocka_unit_test(a_head_that_goes_on_has_no_size),
		cmocka_unit_test(broken_heads_are_refused),
		cmocka_unit_test(chunks_are_put_together_wherever_they_are_cut),
		cmocka_unit_test(broken_chunks_are_refused),
		cmocka_unit_test(a_body_ends_at_its_length_or_with_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
