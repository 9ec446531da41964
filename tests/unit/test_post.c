/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "gateway/post.h"

#define LINE "POST /v1/x HTTP/1.1\r\n"
#define HOST "Host: localhost\r\n"

/* In memory that ends where the text ends: a sanitizer sees a byte too much. */
static enum post_kind parse(const char *text, size_t len, char **ret_copy, struct post *ret)
{
	*ret_copy = malloc(len ? len : 1);
	memcpy(*ret_copy, text, len);
	return post_parse(*ret_copy, len, ret);
}

static enum post_kind kind_of(const char *text, size_t len)
{
	CLEANUP(free) char *copy = NULL;
	struct post p;

	return parse(text, len, &copy, &p);
}

static void a_plain_post_is_taken_apart(void **state)
{
	static const char text[] =
		LINE "Host: a:1 \r\nUser-Agent: x\r\ncontent-type:application/json\r\n"
		     "Authorization: Bearer k\r\nx-api-key:\t k2\r\nConnection: Keep-Alive\r\n"
		     "Content-Length: 2\r\nX-Conversation-Id: 7\r\n\r\n{}NEXT";
	CLEANUP(free) char *copy = NULL;
	struct post p;

	assert_int_equal(parse(text, sizeof(text) - 1, &copy, &p), POST_WHOLE);
	assert_string_equal(p.path, "/v1/x");
	assert_string_equal(p.host, "a:1");
	assert_string_equal(p.content_type, "application/json");
	assert_string_equal(p.authorization, "Bearer k");
	assert_string_equal(p.api_key, "k2");
	assert_int_equal(p.body_len, 2);
	assert_memory_equal(p.body, "{}", 2);
	assert_int_equal(p.size, sizeof(text) - 1 - 4);
}

static void every_beginning_of_one_is_partial(void **state)
{
	static const char text[] = LINE HOST "Content-Length: 4\r\n\r\nbody";

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_int_equal(kind_of(text, len), POST_PARTIAL);
	assert_int_equal(kind_of(text, sizeof(text) - 1), POST_WHOLE);
}

/* Each may mean something else to somebody, or needs more than a plain answer. */
static void anything_unusual_is_left_alone(void **state)
{
	static const char *const table[] = {
		"GET /v1/x HTTP/1.1\r\n" HOST "\r\n",
		"PO ST",
		"POST v1 HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		"POST http://a/v1/x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		"POST /v1/x?a=b HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		"POST /v1/x HTTP/1.0\r\n" HOST "Content-Length: 0\r\n\r\n",
		"POST /v1/x  HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		"POST /v1/x y HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		LINE "Content-Length: 0\r\n\r\n",
		LINE HOST "\r\n",
		LINE HOST HOST "Content-Length: 0\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
		LINE HOST "Content-Length: +1\r\n\r\nx",
		LINE HOST "Content-Length: 1, 1\r\n\r\nx",
		LINE HOST "Content-Length: \r\n\r\n",
		LINE HOST "Content-Length: 9999999999\r\n\r\n",
		LINE HOST "Content-Length : 0\r\n\r\n",
		LINE HOST "Content-Length: 0\r\n folded\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nA: b\nC: d\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nA: b\rC: d\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nno colon\r\n\r\n",
		LINE HOST "Content-Length: 0\r\n: empty\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nUpgrade: h2c\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nConnection: close\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nConnection: keep-alive, Upgrade\r\n\r\n",
		LINE HOST "Content-Length: 0\r\norigin: http://evil.example\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nSec-Fetch-Site: cross-site\r\n\r\n",
		LINE HOST "Content-Length: 0\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (kind_of(table[i], strlen(table[i])) != POST_OTHER)
			fail_msg("taken: %s", table[i]);
}

static void a_head_without_end_is_left_alone(void **state)
{
	CLEANUP(free) char *text = malloc(20000);
	size_t len = (size_t)sprintf(text, LINE HOST "Content-Length: 0\r\nX: ");

	memset(text + len, 'x', 20000 - len);
	assert_int_equal(kind_of(text, 16383), POST_PARTIAL);
	assert_int_equal(kind_of(text, 16384), POST_OTHER);
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

static void what_is_taken_lies_within_what_came(void **state)
{
	static const char text[] = LINE HOST "Content-Type: a\r\nContent-Length: 5\r\n\r\nhello";
	static const char spice[] = "\r\n\0 :\t0123456789POST/?HTContent-Length";
	unsigned seed = 3;
	int whole = 0;

	for (int round = 0; round < 40000; round++) {
		CLEANUP(free) char *copy = NULL;
		char body[sizeof(text)];
		size_t len = sizeof(text) - 1 - next_random(&seed) % 4;
		struct post p;

		memcpy(body, text, len);
		for (unsigned n = next_random(&seed) % 3; n > 0; n--)
			body[next_random(&seed) % len] =
				spice[next_random(&seed) % (sizeof(spice) - 1)];
		if (parse(body, len, &copy, &p) != POST_WHOLE)
			continue;
		whole++;
		assert_true(p.size <= len);
		assert_ptr_equal(p.body + p.body_len, copy + p.size);
		assert_true(p.host > copy && p.host + strlen(p.host) < p.body);
	}
	assert_true(whole > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_post_is_taken_apart),
		cmocka_unit_test(every_beginning_of_one_is_partial),
		cmocka_unit_test(anything_unusual_is_left_alone),
		cmocka_unit_test(a_head_without_end_is_left_alone),
		cmocka_unit_test(what_is_taken_lies_within_what_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
