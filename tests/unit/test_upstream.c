/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/buf.h"
#include "fake_worker.h"
#include "gateway/upstream.h"

#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" body

static const struct upstream_watch nobody = {.client_fd = -1};

/* One exchange; the body into ret. */
static bool ask(struct upstreams *u, const struct fake_worker *w, struct buf *ret,
		struct http1_head *head, struct err *e)
{
	CLEANUP(upstream_done) struct upstream *up = NULL;
	char piece[7];
	size_t len = 1;

	if (!upstream_post(u, w->path, "/v1/x", NULL, "{}", 2, &nobody, &up, head, e))
		return false;
	while (len > 0) {
		if (!upstream_read(up, &nobody, piece, sizeof(piece), &len, e))
			return false;
		buf_add(ret, piece, len);
	}
	return true;
}

static void expect(struct upstreams *u, const struct fake_worker *w, const char *body)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct http1_head head;
	struct err e = {0};

	assert_true(ask(u, w, &b, &head, &e));
	assert_int_equal(head.status, 200);
	assert_string_equal(b.data, body);
}

static void expect_error(struct upstreams *u, const struct fake_worker *w, const char *message)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct http1_head head;
	struct err e = {0};

	assert_false(ask(u, w, &b, &head, &e));
	assert_int_equal(e.kind, ERR_WORKER);
	assert_string_equal(e.msg, message);
}

static void connections_are_used_again(void **state)
{
	static const struct answer script[] = {
		{OK("a1"), KEEP},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		 KEEP},
		{OK("a3"), KEEP},
	};
	struct fake_worker *w = fake_start(*state, script);
	struct upstreams *u = upstreams_new();

	expect(u, w, "a1");
	expect(u, w, "abc");
	expect(u, w, "a3");
	assert_int_equal(atomic_load(&w->accepted), 1);
	assert_string_equal(w->request[0], "POST /v1/x HTTP/1.1\r\nHost: localhost\r\n"
					   "Content-Type: application/json\r\n"
					   "Content-Length: 2\r\n\r\n{}");
	upstreams_free(u);
	fake_stop(w);
}

static void a_connection_serves_99_requests(void **state)
{
	static struct answer script[110];
	struct fake_worker *w;
	struct upstreams *u = upstreams_new();

	for (size_t i = 0; i < ARRAY_LEN(script); i++)
		script[i] = (struct answer){OK("ok"), KEEP};
	w = fake_start(*state, script);
	for (int i = 0; i < 60; i++)
		expect(u, w, "ok");
	assert_int_equal(atomic_load(&w->accepted), 1);
	atomic_store(&w->asked, 0); /* room for more requests */
	for (int i = 0; i < 39; i++)
		expect(u, w, "ok");
	assert_int_equal(atomic_load(&w->accepted), 1);
	expect(u, w, "ok");
	assert_int_equal(atomic_load(&w->accepted), 2);
	upstreams_free(u);
	fake_stop(w);
}

/* The worker closes a kept connection, or says that it will. */
static void a_closed_connection_is_replaced(void **state)
{
	static const struct answer script[] = {
		{OK("a1"), KEEP},
		{"", CLOSE}, /* nothing of an answer: asked again on a fresh one */
		{OK("a2"), KEEP},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\na3", HANG},
		{OK("a4"), CLOSE},
		{OK("a5"), KEEP},
	};
	struct fake_worker *w = fake_start(*state, script);
	struct upstreams *u = upstreams_new();

	expect(u, w, "a1");
	expect(u, w, "a2");
	assert_int_equal(atomic_load(&w->accepted), 2);
	expect(u, w, "a3");
	assert_true(fake_wait(&w->left)); /* ours was closed, too */
	expect(u, w, "a4");
	assert_int_equal(atomic_load(&w->accepted), 3);
	expect(u, w, "a5");
	assert_int_equal(atomic_load(&w->accepted), 4);
	upstreams_free(u);
	fake_stop(w);
}

/* Once a part of the answer is there, or on a fresh connection, nothing is asked twice. */
static void nothing_is_asked_twice_once_it_may_have_been_done(void **state)
{
	static const struct answer script[] = {
		{"", CLOSE},
		{OK("a1"), KEEP},
		{"HTTP/1.1 20", CLOSE},
	};
	struct fake_worker *w = fake_start(*state, script);
	struct upstreams *u = upstreams_new();

	expect_error(u, w, "the worker ended before it answered");
	expect(u, w, "a1");
	expect_error(u, w, "the worker ended before it answered");
	assert_int_equal(atomic_load(&w->asked), 3);
	upstreams_free(u);
	fake_stop(w);
}

static void what_ends_early_is_an_error(void **state)
{
	static const struct answer script[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", CLOSE},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", CLOSE},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", CLOSE},
		{"HELLO\r\n\r\n", CLOSE},
	};
	struct fake_worker *w = fake_start(*state, script);
	struct upstreams *u = upstreams_new();

	expect_error(u, w, "the worker ended in the middle of its answer");
	expect_error(u, w, "the worker ended in the middle of its answer");
	expect_error(u, w, "the worker sent a broken chunk");
	expect_error(u, w, "the worker's answer is not HTTP/1.1");
	upstreams_free(u);
	fake_stop(w);
}

static void informational_answers_are_skipped_and_slow_heads_waited_for(void **state)
{
	static const struct answer script[] = {
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n"
		 "HTTP/1.1 2|00 OK\r\nContent-Le|ngth: 2\r\n\r|\nh|i",
		 KEEP},
		{"HTTP/1.1 200 OK\r\n\r\nuntil the end", CLOSE},
	};
	struct fake_worker *w = fake_start(*state, script);
	struct upstreams *u = upstreams_new();

	for (int i = 0; i < 4; i++)
		(void)sem_post(&w->go);
	expect(u, w, "hi");
	expect(u, w, "until the end");
	upstreams_free(u);
	fake_stop(w);
}

static void a_head_of_64_kib_is_refused(void **state)
{
	struct answer script[1] = {{NULL, CLOSE}};
	char *text = malloc(70000);
	struct fake_worker *w;
	struct upstreams *u = upstreams_new();
	size_t len = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nX: ");

	memset(text + len, 'x', 65536);
	memcpy(text + len + 65536, "\r\n\r\n", 5);
	script[0].text = text;
	w = fake_start(*state, script);
	expect_error(u, w, "the head of the worker's answer is longer than 16384 bytes");
	upstreams_free(u);
	fake_stop(w);
	free(text);
}

static void nobody_there_is_an_error(void **state)
{
	struct upstreams *u = upstreams_new();
	struct http1_head head;
	struct upstream *up = NULL;
	struct err e = {0};
	char path[200];

	assert_false(upstream_post(u, test_path(*state, "none"), "/x", NULL, "{}", 2, &nobody, &up,
				   &head, &e));
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg, "No such file"));
	err_clear(&e);
	(void)snprintf(path, sizeof(path), "/%0150d", 0);
	assert_false(upstream_post(u, path, "/x", NULL, "{}", 2, &nobody, &up, &head, &e));
	assert_non_null(strstr(e.msg, "too long"));
	upstreams_free(u);
}

static void a_client_that_leaves_ends_the_wait(void **state)
{
	static const struct answer script[] = {{"", HANG}, {"", HANG}};
	struct fake_worker *w = fake_start(*state, script);
	struct upstreams *u = upstreams_new();

	for (int half = 0; half < 2; half++) {
		struct upstream_watch watch = {0};
		struct upstream *up = NULL;
		struct http1_head head;
		struct err e = {0};
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		watch.client_fd = pair[0];
		assert_int_equal(half ? shutdown(pair[1], SHUT_WR) : close(pair[1]), 0);
		assert_false(
			upstream_post(u, w->path, "/x", NULL, "{}", 2, &watch, &up, &head, &e));
		assert_int_equal(e.kind, ERR_CANCELLED);
		assert_true(fake_wait(&w->left)); /* the worker sees it at once */
		close(pair[0]);
		if (half)
			close(pair[1]);
	}
	upstreams_free(u);
	fake_stop(w);
}

static void *answer_unread(void *arg)
{
	static const char text[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
	int fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	(void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
	(void)poll(&p, 1, 10000); /* the other side closes */
	close(fd);
	return NULL;
}

/* More than the socket's buffers hold, to a worker that answers without reading it. */
static void an_early_answer_to_a_long_body_is_read(void **state)
{
	CLEANUP(free) char *body = mem_alloc(8 << 20);
	struct upstreams *u = upstreams_new();
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct upstream *up = NULL;
	struct http1_head head;
	struct err e = {0};
	pthread_t thread;

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/early.sock", (char *)*state);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_unread, &listener), 0);
	assert_true(
		upstream_post(u, a.sun_path, "/x", NULL, body, 8 << 20, &nobody, &up, &head, &e));
	assert_int_equal(head.status, 413);
	upstream_done(up);
	upstreams_free(u);
	close(listener);
	(void)pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_used_again),
		cmocka_unit_test(a_connection_serves_99_requests),
		cmocka_unit_test(a_closed_connection_is_replaced),
		cmocka_unit_test(nothing_is_asked_twice_once_it_may_have_been_done),
		cmocka_unit_test(what_ends_early_is_an_error),
		cmocka_unit_test(informational_answers_are_skipped_and_slow_heads_waited_for),
		cmocka_unit_test(a_head_of_64_kib_is_refused),
		cmocka_unit_test(nobody_there_is_an_error),
		cmocka_unit_test(a_client_that_leaves_ends_the_wait),
		cmocka_unit_test(an_early_answer_to_a_long_body_is_read),
	};

	return cmocka_run_group_tests(tests, test_dir_setup, test_dir_teardown);
}
