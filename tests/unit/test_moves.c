/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are asked to leave their worker in the middle, and go on at the next. */
#include "gateway_fixture.h"

#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define FROM(id) ",\"created\":7,\"id\":\"" id "\",\"model\":\"tiny\"}\n\n"
#define ROLE(id)                                                                                   \
	"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":"             \
	"\"assistant\",\"content\":null}}]" FROM(id)
#define SAID(id, text)                                                                             \
	"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\"" text   \
	"\"}}]" FROM(id)
#define ENDED(id)                                                                                  \
	"data: {\"choices\":[{\"finish_reason\":\"length\",\"index\":0,\"delta\":{}}]" FROM(       \
		id) "data: {\"choices\":[],\"usage\":{\"completion_tokens\":1,\"prompt_tokens\":"  \
		    "9,\"total_tokens\":10}" FROM(id) "data: [DONE]\n\n"
#define CHAT                                                                                       \
	"{\"model\":\"tiny\",\"stream\":true,\"max_tokens\":3,"                                    \
	"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define REST                                                                                       \
	"{\"model\":\"tiny\",\"stream\":true,\"max_tokens\":1,"                                    \
	"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"                                    \
	"{\"role\":\"assistant\",\"content\":\"one two\"}],"                                       \
	"\"add_generation_prompt\":false,\"continue_final_message\":true}"

static struct route_moves ask_to_leave(struct site *s)
{
	route_hold(s->route);
	return route_ask_move(s->route, &s->worker, 10000);
}

static const char *asked(const struct site *s, int n)
{
	return strstr(s->fake->request[n], "\r\n\r\n") + 4;
}

/* What a client got, without the chunks' frames. */
static void unchunk(const char *data, struct buf *ret)
{
	const char *at = strstr(data, "\r\n\r\n") + 4;
	size_t len;

	while ((len = strtoul(at, NULL, 16)) > 0) {
		at = strchr(at, '\n') + 1;
		buf_add(ret, at, len);
		at += len + 2;
	}
}

static void expect_events(const struct buf *got, const char *expected)
{
	CLEANUP(buf_done) struct buf events = {0};

	unchunk(got->data, &events);
	assert_string_equal(events.data, expected);
}

static void a_stream_goes_on_at_the_next_worker(void **state)
{
	static const struct answer script[] = {
		{STREAM ROLE("a") SAID("a", "one") SAID("a", " two"), HANG},
		{STREAM ROLE("b") SAID("b", " three") ENDED("b"), CLOSE},
		{JSON("2", "{}"), KEEP},
	};
	CLEANUP(buf_done) struct buf got = {0};
	struct site *s = *state;
	struct route_moves moves;
	int fd;

	load(s, script);
	fd = chat(s, CHAT "}");
	read_until(fd, " two", &got);
	moves = ask_to_leave(s);
	assert_int_equal(moves.went_on, 1);
	assert_int_equal(moves.asked_again, 0);
	assert_true(fake_wait(&s->fake->left));
	settle(s, 0, 1);
	route_open(s->route, &s->worker);
	read_until(fd, "\r\n0\r\n\r\n", &got);
	assert_string_equal(asked(s, 1), REST);
	expect_events(
		&got,
		ROLE("a") SAID("a", "one") SAID("a", " two") SAID(
			"a",
			" three") "data: {\"choices\":[{\"finish_reason\":\"length\",\"index\":0,"
				  "\"delta\":{}}]" FROM("a") "data: {\"choices\":[],\"usage\":{"
							     "\"completion_tokens\":3,\"prompt_"
							     "tokens\":7,\"total_tokens\":10}" FROM(
								     "a") "data: [DONE]\n\n");
	settle(s, 0, 0);
	buf_done(&got);
	post_on(fd, "/v1/completions", "{\"model\":\"tiny\"}"); /* the client is kept */
	read_until(fd, "\r\n\r\n{}", &got);
	close(fd);
	assert_int_equal(atomic_load(&s->through_microhttpd), s->lane ? 0 : 2);
}

static void a_stream_moves_again_and_again(void **state)
{
	static const struct answer script[] = {
		{STREAM ROLE("a") SAID("a", "one"), HANG},
		{STREAM ROLE("b") SAID("b", " two"), HANG},
		{STREAM ROLE("c") SAID("c", " three") ENDED("c"), CLOSE},
	};
	CLEANUP(buf_done) struct buf got = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = chat(s, CHAT "}");
	read_until(fd, "one", &got);
	assert_int_equal(ask_to_leave(s).went_on, 1);
	route_open(s->route, &s->worker);
	read_until(fd, " two", &got);
	assert_int_equal(ask_to_leave(s).went_on, 1);
	route_open(s->route, &s->worker);
	read_until(fd, "\r\n0\r\n\r\n", &got);
	assert_string_equal(asked(s, 2), REST);
	assert_non_null(strstr(got.data, "\"completion_tokens\":3,\"prompt_tokens\":7,"));
	assert_null(strstr(got.data, "\"id\":\"b\""));
	assert_null(strstr(got.data, "\"id\":\"c\""));
	settle(s, 0, 0);
	close(fd);
}

static void what_was_not_answered_is_asked_again(void **state)
{
	static const char *const bodies[] = {CHAT "}", CHAT ",\"seed\":1}",
					     "{\"model\":\"tiny\",\"tools\":[{}]}"};
	static const struct answer script[] = {{"", HANG}, {JSON("2", "{}"), KEEP},
					       {"", HANG}, {JSON("2", "{}"), KEEP},
					       {"", HANG}, {JSON("2", "{}"), KEEP}};
	struct site *s = *state;

	load(s, script);
	for (int i = 0; i < 3; i++) {
		struct route_moves moves;
		int fd = chat(s, bodies[i]);

		assert_true(fake_wait(&s->fake->got));
		settle(s, 1, 0);
		moves = ask_to_leave(s);
		assert_int_equal(moves.went_on, 0);
		assert_int_equal(moves.asked_again, 1);
		assert_true(fake_wait(&s->fake->left));
		route_open(s->route, &s->worker);
		expect(fd, "HTTP/1.1 200 ", "\r\n\r\n{}");
		assert_true(fake_wait(&s->fake->got));
		assert_string_equal(asked(s, 2 * i + 1), bodies[i]);
		settle(s, 0, 0);
	}
}

static void who_moves_waits_before_all_others(void **state)
{
	static const struct answer script[] = {
		{"", HANG}, {JSON("1", "1"), KEEP}, {JSON("1", "2"), KEEP}};
	struct site *s = *state;
	int moved, later;

	load(s, script);
	moved = chat(s, "{\"model\":\"tiny\"}");
	assert_true(fake_wait(&s->fake->got));
	later = post(s, "/v1/completions", "{\"model\":\"tiny\"}");
	settle(s, 1, 1);
	assert_int_equal(ask_to_leave(s).asked_again, 1);
	settle(s, 0, 2);
	route_open(s->route, &s->worker);
	expect(moved, "HTTP/1.1 200 ", "\r\n\r\n1");
	expect(later, "HTTP/1.1 200 ", "\r\n\r\n2");
	settle(s, 0, 0);
}

static void what_cannot_move_is_waited_for(void **state)
{
	static const struct {
		const char *body, *sent;
		bool changes_answers;
	} table[] = {
		{CHAT ",\"seed\":1}", ROLE("a") SAID("a", "one"), false},
		{CHAT "}", ROLE("a") SAID("a", "one") SAID("a", "two") SAID("a", "three"), false},
		{CHAT "}", ROLE("a") SAID("a", "one"), true},
		{CHAT "}", "data: {\"error\":{\"message\":\"one\"}}\n\n", false},
	};
	static struct answer script[ARRAY_LEN(table)];
	char text[ARRAY_LEN(table)][2048];
	struct site *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		(void)snprintf(text[i], sizeof(text[i]), STREAM "%s|data: [DONE]\n\n",
			       table[i].sent);
		script[i] = (struct answer){text[i], CLOSE};
	}
	load(s, script);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		CLEANUP(buf_done) struct buf got = {0};
		CLEANUP(buf_done) struct buf events = {0};
		struct route_moves moves;
		int fd;

		s->worker.changes_answers = table[i].changes_answers;
		fd = chat(s, table[i].body);
		read_until(fd, i == 1 ? "three" : "one", &got);
		moves = ask_to_leave(s);
		assert_int_equal(moves.went_on + moves.asked_again, 0);
		settle(s, 1, 0);
		(void)sem_post(&s->fake->go);
		read_until(fd, "\r\n0\r\n\r\n", &got);
		unchunk(got.data, &events);
		assert_string_equal(events.data + strlen(table[i].sent), "data: [DONE]\n\n");
		settle(s, 0, 0);
		route_open(s->route, &s->worker);
		close(fd);
	}
}

static void a_stream_that_gets_no_thread_stays(void **state)
{
	static const struct answer script[] = {
		{STREAM ROLE("a") SAID("a", "one") "|" SAID("a", " two") ENDED("a"), CLOSE}};
	CLEANUP(buf_done) struct buf got = {0};
	struct site *s = *state;
	struct route_moves moves;
	int fd;

	load(s, script);
	assert_int_equal(setenv("FAULT", "lane.thread", 1), 0);
	fd = chat(s, CHAT "}");
	read_until(fd, "one", &got);
	moves = ask_to_leave(s);
	assert_int_equal(unsetenv("FAULT"), 0);
	assert_int_equal(moves.went_on + moves.asked_again, 0);
	settle(s, 1, 0);
	(void)sem_post(&s->fake->go);
	read_until(fd, "\r\n0\r\n\r\n", &got);
	expect_events(&got, ROLE("a") SAID("a", "one") SAID("a", " two") ENDED("a"));
	settle(s, 0, 0);
	route_open(s->route, &s->worker);
	close(fd);
}

static void *asks_to_leave(void *arg)
{
	struct site *s = arg;
	struct route_moves *moves = mem_alloc(sizeof(*moves));

	*moves = ask_to_leave(s);
	return moves;
}

static void a_stream_moves_between_two_events(void **state)
{
	static const struct answer script[] = {
		{STREAM ROLE("a") SAID(
			 "a", "one") "data: {\"cho|ices\":[{\"finish_reason\":null,"
				     "\"index\":0,\"delta\":{\"content\":\" two\"}}]" FROM("a"),
		 HANG},
		{STREAM ROLE("b") SAID("b", " three") ENDED("b"), CLOSE},
	};
	CLEANUP(buf_done) struct buf got = {0};
	struct site *s = *state;
	struct route_moves *moves;
	pthread_t asker;
	int fd;

	load(s, script);
	fd = chat(s, CHAT "}");
	read_until(fd, "{\"cho\r\n", &got);
	assert_int_equal(pthread_create(&asker, NULL, asks_to_leave, s), 0);
	while (atomic_load(&s->worker.traffic.moves) == 0)
		(void)poll(NULL, 0, 1);
	(void)poll(NULL, 0, 250); /* gateway looks, and finds half an event */
	settle(s, 1, 0);
	(void)sem_post(&s->fake->go);
	assert_int_equal(pthread_join(asker, (void **)&moves), 0);
	assert_int_equal(moves->went_on, 1);
	free(moves);
	route_open(s->route, &s->worker);
	read_until(fd, "\r\n0\r\n\r\n", &got);
	assert_string_equal(asked(s, 1), REST);
	settle(s, 0, 0);
	close(fd);
}

static void a_client_that_leaves_while_it_moves_is_forgotten(void **state)
{
	static const struct answer script[] = {{STREAM ROLE("a") SAID("a", "one"), HANG}};
	CLEANUP(buf_done) struct buf got = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = chat(s, CHAT "}");
	read_until(fd, "one", &got);
	assert_int_equal(ask_to_leave(s).went_on, 1);
	settle(s, 0, 1);
	close(fd);
	settle(s, 0, 0);
}

static void a_stream_that_waits_long_hears_of_it(void **state)
{
	static const struct answer script[] = {
		{STREAM ROLE("a") SAID("a", "one") SAID("a", " two"), HANG},
		{STREAM ROLE("b") SAID("b", " three") ENDED("b"), CLOSE},
	};
	CLEANUP(buf_done) struct buf got = {0};
	struct site *s = *state;
	int fd;

	gateway_set_tick(s->gateway, 20);
	load(s, script);
	fd = chat(s, CHAT "}");
	read_until(fd, " two", &got);
	assert_int_equal(ask_to_leave(s).went_on, 1);
	read_until(fd, ": waiting\n\n", &got);
	route_open(s->route, &s->worker);
	read_until(fd, "\r\n0\r\n\r\n", &got);
	assert_non_null(strstr(got.data, " three"));
	assert_non_null(strstr(got.data, "[DONE]"));
	close(fd);
}

/* Nobody came: said in the stream, which ends. The next worker may also not like the rest. */
static void a_stream_that_finds_no_worker_ends_with_an_error(void **state)
{
	static const struct answer script[] = {
		{STREAM ROLE("a") SAID("a", "one"), HANG},
		{STREAM ROLE("a") SAID("a", "one"), HANG},
		{"HTTP/1.1 400 Bad Request\r\nContent-Length: 23\r\n\r\n"
		 "{\"error\":\n{\"code\":400}}",
		 CLOSE},
	};
	struct err why = {0};
	struct site *s = *state;

	err_set(&why, ERR_WORKER, "no memory for it");
	load(s, script);
	for (int i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf got = {0};
		int fd = chat(s, CHAT "}");

		read_until(fd, "one", &got);
		assert_int_equal(ask_to_leave(s).went_on, 1);
		settle(s, 0, 1);
		if (i == 0)
			route_close(s->route, &why);
		else
			route_open(s->route, &s->worker);
		read_until(fd, "\r\n0\r\n\r\n", &got);
		assert_non_null(strstr(got.data, i == 0 ? "no memory for it" : "{\"code\":400}}"));
		assert_non_null(strstr(got.data, "data: [DONE]\n\n"));
		settle(s, 0, 0);
		route_open(s->route, &s->worker);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_stream_goes_on_at_the_next_worker),
		BOTH(a_stream_moves_again_and_again),
		BOTH(what_was_not_answered_is_asked_again),
		BOTH(who_moves_waits_before_all_others),
		BOTH(what_cannot_move_is_waited_for),
		LANE(a_stream_that_gets_no_thread_stays),
		BOTH(a_stream_moves_between_two_events),
		BOTH(a_client_that_leaves_while_it_moves_is_forgotten),
		BOTH(a_stream_that_waits_long_hears_of_it),
		BOTH(a_stream_that_finds_no_worker_ends_with_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
