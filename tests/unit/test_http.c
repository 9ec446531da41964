/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/http.h"
#include "base/mem.h"
#include "test_server.h"

static void serve_hello(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

static void serve_404(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 404 Nope\r\nContent-Length: 4\r\n\r\nnope");
}

static void serve_redirect(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn,
			   "HTTP/1.1 302 Found\r\nLocation: %s/other\r\n"
			   "Content-Length: 0\r\n\r\n",
			   s->url);
}

static void serve_nothing(struct test_server *s, int conn, const char *request)
{
	test_server_hang(conn);
}

static void serve_half(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
}

/* Chunks without end. */
static void serve_stream(struct test_server *s, int conn, const char *request)
{
	struct pollfd gone = {.fd = conn, .events = POLLRDHUP};

	test_server_printf(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	while (poll(&gone, 1, 1) == 0)
		test_server_printf(conn, "4\r\ntick\r\n");
}

static void an_answer_is_kept_whole(void **state)
{
	struct test_server s = {.serve = serve_hello};
	const char *const headers[] = {"X-Api-Key: k", NULL};
	CLEANUP(http_response_done) struct http_response r = {0};
	struct err e = {0};

	test_server_start(&s, NULL);
	struct http_request req = {.url = s.url, .headers = headers};
	assert_true(http_fetch(&req, &r, &e));
	assert_int_equal(r.status, 200);
	assert_int_equal(r.len, 5);
	assert_string_equal(r.body, "hello");
	assert_true(test_server_asked(&s, "GET / HTTP/1.1\r\n"));
	assert_true(test_server_asked(&s, "X-Api-Key: k\r\n"));
	assert_false(test_server_asked(&s, "Content-Type"));
	test_server_stop(&s);
}

static void a_body_is_posted_as_json_over_a_unix_socket(void **state)
{
	const char *path = test_path(*state, "s");
	struct test_server s = {.serve = serve_hello};
	struct http_request req = {
		.socket = path, .url = "http://localhost/x", .body = "{\"a\":1}"};
	CLEANUP(http_response_done) struct http_response r = {0};
	struct err e = {0};

	test_server_start(&s, path);
	assert_true(http_fetch(&req, &r, &e));
	assert_true(test_server_asked(&s, "POST /x HTTP/1.1\r\n"));
	assert_true(test_server_asked(&s, "Content-Type: application/json\r\n"));
	assert_true(test_server_asked(&s, "\r\n\r\n{\"a\":1}"));
	test_server_stop(&s);
}

static void method_is(const char *method, const char *body, const char *first, const char *also)
{
	struct test_server s = {.serve = serve_hello};
	CLEANUP(http_response_done) struct http_response r = {0};

	test_server_start(&s, NULL);
	struct http_request req = {.url = s.url, .method = method, .body = body};
	assert_true(http_fetch(&req, &r, NULL));
	assert_true(test_server_asked(&s, first));
	assert_true(test_server_asked(&s, also));
	test_server_stop(&s);
}

static void methods_are_as_named(void **state)
{
	method_is("POST", NULL, "POST / HTTP/1.1", "Content-Length: 0\r\n");
	method_is("PATCH", "{}", "PATCH / HTTP/1.1", "\r\n\r\n{}");
	method_is("DELETE", NULL, "DELETE / HTTP/1.1", "Host: 127.0.0.1");
	method_is("HEAD", NULL, "HEAD / HTTP/1.1", "Host: 127.0.0.1");
}

static void status_of(void (*serve)(struct test_server *, int, const char *), int status)
{
	struct test_server s = {.serve = serve};
	CLEANUP(http_response_done) struct http_response r = {0};

	test_server_start(&s, NULL);
	struct http_request req = {.url = s.url};
	assert_true(http_fetch(&req, &r, NULL));
	assert_int_equal(r.status, status);
	assert_int_equal(test_server_requests(&s), 1);
	test_server_stop(&s);
}

static void any_status_is_an_answer_and_redirects_are_not_followed(void **state)
{
	status_of(serve_404, 404);
	status_of(serve_redirect, 302);
}

static void nobody_there(const char *socket, const char *url, const char *cause)
{
	struct http_request req = {.socket = socket, .url = url};
	struct http_response r = {0};
	struct err e = {0};

	assert_false(http_fetch(&req, &r, &e));
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg, cause));
	assert_null(r.body);
}

static void who_is_not_there_is_unreachable(void **state)
{
	struct test_server s = {.serve = serve_hello};
	const char *path = test_path(*state, "s");

	test_server_start(&s, NULL);
	test_server_stop(&s);
	nobody_there(NULL, s.url, "Connection refused");
	nobody_there(path, "http://localhost/", "No such file");
	test_server_start(&s, path);
	test_server_stop(&s);
	nobody_there(path, "http://localhost/", "Connection refused");
}

static void fails(struct test_server *s, struct http_request *req, enum err_kind kind,
		  const char *text)
{
	struct http_response r = {0};
	struct err e = {0};

	test_server_start(s, NULL);
	req->url = s->url;
	assert_false(http_fetch(req, &r, &e));
	assert_int_equal(e.kind, kind);
	assert_non_null(strstr(e.msg, text));
	assert_null(r.body);
	test_server_stop(s);
}

static void an_answer_that_does_not_come_or_end_is_an_error(void **state)
{
	struct test_server mute = {.serve = serve_nothing};
	struct test_server half = {.serve = serve_half};
	struct test_server endless = {.serve = serve_stream};
	struct http_request req = {.timeout_ms = 100};
	struct http_request plain = {0};
	struct http_request small = {.max_bytes = 100};
	int64_t start_ms = clock_ms();

	fails(&mute, &req, ERR_SYSTEM, "no answer within 100 ms");
	assert_in_range(clock_ms() - start_ms, 90, 5000);
	fails(&half, &plain, ERR_SYSTEM, "bytes remaining");
	fails(&endless, &small, ERR_TOO_LARGE, "larger than 100 bytes");
}

struct stream {
	struct http_response r;
	struct buf got;
	int64_t since_ms; /* clock when cancelled() said yes */
};

static bool until_enough(void *arg, const char *data, size_t len)
{
	struct stream *st = arg;

	buf_add(&st->got, data, len);
	return st->got.len < 20;
}

static void a_stream_comes_in_pieces_until_enough(void **state)
{
	struct test_server s = {.serve = serve_stream};
	struct stream st = {0};
	struct err e = {0};

	test_server_start(&s, NULL);
	struct http_request req = {.url = s.url, .on_data = until_enough, .arg = &st};
	assert_true(http_fetch(&req, &st.r, &e));
	assert_int_equal(st.r.status, 200);
	assert_memory_equal(st.got.data, "ticktickticktick", 16);
	assert_int_equal(st.r.len, 0);
	test_server_stop(&s);
	http_response_done(&st.r);
	buf_done(&st.got);
}

static void an_error_is_kept_also_when_a_stream_was_expected(void **state)
{
	struct test_server s = {.serve = serve_404};
	struct stream st = {0};
	struct err e = {0};

	test_server_start(&s, NULL);
	struct http_request req = {.url = s.url, .on_data = until_enough, .arg = &st};
	assert_true(http_fetch(&req, &st.r, &e));
	assert_int_equal(st.r.status, 404);
	assert_string_equal(st.r.body, "nope");
	assert_int_equal(st.got.len, 0);
	test_server_stop(&s);
	http_response_done(&st.r);
}

static bool now(void *arg)
{
	struct stream *st = arg;

	if (st->since_ms == 0)
		st->since_ms = clock_ms();
	return true;
}

static void cancelling_takes_effect_soon(void **state)
{
	struct test_server s = {.serve = serve_nothing};
	struct stream st = {0};
	struct http_request req = {.cancelled = now, .arg = &st};
	int64_t start_ms = clock_ms();

	fails(&s, &req, ERR_CANCELLED, "cancelled");
	/* Asked for the first time within 200 ms (a busy machine may add its own). */
	assert_in_range(st.since_ms - start_ms, 0, 600);
	assert_in_range(clock_ms() - st.since_ms, 0, 400);
}

static void bad_addresses_are_refused(void **state)
{
	char path[200];
	struct http_request odd = {.url = "ftp://localhost/"};
	struct http_request bad = {.url = "http://a b/"};
	struct http_request deep = {.socket = path, .url = "http://localhost/"};
	struct http_response r = {0};
	struct err e = {0};

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_false(http_fetch(&odd, &r, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	err_clear(&e);
	assert_false(http_fetch(&bad, &r, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	err_clear(&e);
	assert_false(http_fetch(&deep, &r, &e));
	assert_non_null(strstr(e.msg, "longer than 107 bytes"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_kept_whole),
		IN_FOLDER(a_body_is_posted_as_json_over_a_unix_socket),
		cmocka_unit_test(methods_are_as_named),
		cmocka_unit_test(any_status_is_an_answer_and_redirects_are_not_followed),
		IN_FOLDER(who_is_not_there_is_unreachable),
		cmocka_unit_test(an_answer_that_does_not_come_or_end_is_an_error),
		cmocka_unit_test(a_stream_comes_in_pieces_until_enough),
		cmocka_unit_test(an_error_is_kept_also_when_a_stream_was_expected),
		cmocka_unit_test(cancelling_takes_effect_soon),
		cmocka_unit_test(bad_addresses_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
