/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway_fixture.h"

/* --- answers ------------------------------------------------------------ */

static void a_whole_answer_passes_as_it_is(void **state)
{
	static const struct answer script[] = {
		{JSON("7", "{\"a\":1}"), KEEP},
		{"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: "
		 "11\r\n\r\n{\"error\":2}",
		 KEEP},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP},
	};
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = chat(s, "{\"model\":\"tiny\", \"x\": 1.50}");
	read_until(fd, "{\"a\":1}", &b);
	assert_memory_equal(b.data, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(b.data, "Content-Type: application/json; charset=utf-8\r\n"));
	assert_non_null(strstr(b.data, "Content-Length: 7\r\n"));
	close(fd);
	assert_string_equal(s->fake->request[0],
			    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
			    "Content-Type: application/json\r\nContent-Length: 27\r\n\r\n"
			    "{\"model\":\"tiny\", \"x\": 1.50}");
	expect(post(s, "/tokenize", "{\"model\":\"tiny\"}"), "HTTP/1.1 400 ", "{\"error\":2}");
	expect(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 200 ", "\r\n\r\n");
	/* each of the lane's threads has its own */
	assert_in_range(atomic_load(&s->fake->accepted), 1, s->lane ? 2 : 1);
	settle(s, 0, 0);
}

static void a_stream_comes_event_by_event(void **state)
{
	static const struct answer script[] = {
		{EVENTS "a\r\ndata: {1}\n\r\n1\r\n\n\r\n|b\r\ndata: {2}\n\n\r\n|0\r\n\r\n", KEEP},
		{JSON("2", "{}"), KEEP},
	};
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
	read_until(fd, "data: {1}\n", &b);
	assert_non_null(strstr(b.data, "Content-Type: text/event-stream\r\n"));
	assert_null(strstr(b.data, "{2}"));
	settle(s, 1, 0);
	(void)sem_post(&s->fake->go);
	read_until(fd, "data: {2}\n\n", &b);
	(void)sem_post(&s->fake->go);
	read_until(fd, "\r\n0\r\n\r\n", &b);
	settle(s, 0, 0);
	post_on(fd, "/v1/completions", "{\"model\":\"tiny\"}");
	read_until(fd, "\r\n\r\n{}", &b);
	close(fd);
	assert_int_equal(atomic_load(&s->fake->accepted), 1); /* the connection was kept */
}

/* More than the sockets between hold, and the client doesn't read at first. */
static void a_long_answer_goes_out_whole(void **state)
{
	static const size_t size = 16 << 20;
	static struct answer script[1] = {{NULL, KEEP}};
	CLEANUP(free) char *piece = mem_alloc(65536);
	struct site *s = *state;
	char *text = s->script_text = mem_alloc(size + 200);
	size_t head = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
	size_t got = 0, want;
	ssize_t n;
	int fd;

	for (size_t i = 0; i < size; i++)
		text[head + i] = (char)('a' + i % 23);
	script[0].text = text;
	load(s, script);
	fd = chat(s, "{\"model\":\"tiny\"}");
	assert_true(fake_wait(&s->fake->got));
	assert_int_equal(recv(fd, piece, 4096, MSG_PEEK) > 0, 1);
	n = recv(fd, piece, 4095, 0);
	piece[n] = '\0';
	assert_non_null(strstr(piece, "Content-Length: 16777216\r\n"));
	want = (size_t)(strstr(piece, "\r\n\r\n") + 4 - piece);
	got = (size_t)n - want;
	assert_memory_equal(piece + want, text + head, got);
	while (got < size && (n = recv(fd, piece, 65536, 0)) > 0) {
		assert_memory_equal(piece, text + head + got, (size_t)n);
		got += (size_t)n;
	}
	assert_int_equal(got, size);
	settle(s, 0, 0);
	close(fd);
}

static void id_slot_does_not_reach_the_worker(void **state)
{
	static const struct answer script[] = {{JSON("2", "{}"), KEEP}};
	struct site *s = *state;
	const char *body;

	load(s, script);
	expect(chat(s, "{\"model\":\"tiny\",\"id_slot\":7}"), "HTTP/1.1 200 ", "{}");
	assert_null(strstr(s->fake->request[0], "Conversation"));
	body = strstr(s->fake->request[0], "\r\n\r\n") + 4;
	assert_string_equal(body, "{\"model\":\"tiny\"            }");
}

/* --- refusals ----------------------------------------------------------- */

static void bad_requests_are_refused_in_openais_format(void **state)
{
	const struct site *s = *state;
	int fd;

	expect_json(chat(s, "{\"model\":\"huge\"}"), "HTTP/1.1 404 ",
		    "model 'huge' does not exist (GET /v1/models", "model", "model_not_found");
	expect_json(chat(s, "{\"model\":\"tiny \"}"), "HTTP/1.1 404 ", "'tiny '", "model",
		    "model_not_found");
	expect_json(chat(s, "{\"model\":\"\\u0007\\\"\"}"), "HTTP/1.1 404 ", "'\a\"'", "model",
		    "model_not_found");
	expect_json(chat(s, "{\"messages\":[]}"), "HTTP/1.1 400 ", "names no model", "model",
		    "invalid_request");
	expect_json(chat(s, "{\"model\":7}"), "HTTP/1.1 400 ", "is not a string", "model",
		    "invalid_request");
	expect_json(chat(s, "{\"model\":\"tiny\""), "HTTP/1.1 400 ", "at byte 15", NULL,
		    "invalid_request");
	expect_json(chat(s, ""), "HTTP/1.1 400 ", "not a JSON object", NULL, "invalid_request");
	fd = client(s);
	dprintf(fd, "GET /v1/completions HTTP/1.1\r\nHost: a\r\n\r\n");
	expect_json(fd, "HTTP/1.1 405 ", "only POST", NULL, "invalid_request");
}

static void only_its_own_paths_are_the_gateways(void **state)
{
	assert_true(gateway_owns("/v1/chat/completions"));
	assert_true(gateway_owns("/v1/embeddings"));
	assert_true(gateway_owns("/tokenize"));
	assert_false(gateway_owns("/v1/models"));
	assert_false(gateway_owns("/v1/chat/completions/"));
	assert_false(gateway_owns("/slots"));
	assert_false(gateway_owns("/props"));
}

static void a_model_that_cannot_load_says_why_and_when(void **state)
{
	struct site *s = *state;
	CLEANUP(buf_done) struct buf b = {0};
	int fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");

	read_until(fd, "}}", &b);
	assert_memory_equal(b.data, "HTTP/1.1 503 ", 13);
	assert_non_null(strstr(b.data, "Retry-After: 5\r\n"));
	assert_non_null(strstr(b.data, "model 'tiny' failed to start"));
	assert_non_null(strstr(b.data, "\"type\":\"server_error\""));
	close(fd);
}

static void a_worker_that_breaks_is_502(void **state)
{
	static const struct answer script[] = {
		{"SMTP ready\r\n\r\n", CLOSE},
		{"", CLOSE},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", CLOSE},
		{JSON("2", "{}"), KEEP},
	};
	struct site *s = *state;

	load(s, script);
	expect_json(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 502 ",
		    "model 'tiny': the worker's answer is not HTTP/1.1 (shunt logs tiny)", NULL,
		    "worker_failed");
	expect_json(chat(s, "{\"model\":\"tiny\",\"stream\":true}"), "HTTP/1.1 502 ",
		    "the worker ended before it answered", NULL, "worker_failed");
	expect_json(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 502 ",
		    "the worker ended in the middle of its answer", NULL, "worker_failed");
	expect(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 200 ", "{}");
}

/* Its worker has died, which the switch hears a moment later. */
static void a_request_that_nobody_took_is_asked_again(void **state)
{
	static const struct answer script[] = {{JSON("2", "{}"), KEEP}};
	struct site *s = *state;
	struct worker dead = {.socket = "/nowhere/w.sock", .slots = 1};
	int fd;

	route_open(s->route, &dead);
	fd = chat(s, "{\"model\":\"tiny\"}");
	settle(s, 0, 1);
	assert_int_equal(atomic_load(&dead.traffic.breaks), 0);
	load(s, script);
	expect(fd, "HTTP/1.1 200 ", "{}");
	settle(s, 0, 0);
}

static void a_worker_that_takes_no_connection_is_502(void **state)
{
	struct site *s = *state;

	s->worker.socket = "/nowhere/w.sock";
	route_open(s->route, &s->worker);
	expect_json(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 502 ",
		    "the worker takes no connection", NULL, "worker_failed");
}

static void a_stream_that_breaks_ends_with_an_error_event(void **state)
{
	static const struct answer script[] = {
		{EVENTS "b\r\ndata: {1}\n\n\r\n", CLOSE},
		{EVENTS "7\r\ndata: {\r\n", CLOSE},
	};
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf b2 = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
	read_until(fd, "\r\n0\r\n\r\n", &b);
	assert_memory_equal(b.data, "HTTP/1.1 200 ", 13);
	assert_non_null(strstr(b.data, "data: {\"error\":{\"message\":\"model 'tiny': the worker "
				       "ended in the middle of its answer"));
	assert_non_null(strstr(b.data, "}}\n\ndata: [DONE]\n\n"));
	close(fd);
	/* in the middle of a line: that one is ended first */
	fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
	read_until(fd, "\r\n0\r\n\r\n", &b2);
	assert_non_null(strstr(b2.data, "\n\ndata: {\"error\""));
	close(fd);
	settle(s, 0, 0);
}

/* --- waiting ------------------------------------------------------------ */

static void a_model_that_is_not_loaded_is_loaded(void **state)
{
	static const struct answer script[] = {{JSON("2", "{}"), KEEP}, {JSON("2", "{}"), KEEP}};
	struct site *s = *state;

	s->fake = fake_start(s->dir, script);
	s->worker.socket = s->fake->path;
	s->switcher.worker = &s->worker;
	expect(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 200 ", "{}");
	assert_int_equal(atomic_load(&s->switcher.wanted), 1);
	expect(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 200 ", "{}");
	assert_int_equal(atomic_load(&s->switcher.wanted), 1); /* it is loaded */
}

/* The unload that held it ends: the model is wanted again, not refused. */
static void a_request_held_by_an_unload_loads_the_model_again(void **state)
{
	static const struct answer script[] = {{JSON("2", "{}"), KEEP}};
	struct site *s = *state;
	int fd;

	load(s, script);
	s->switcher.worker = &s->worker;
	route_hold(s->route);
	fd = chat(s, "{\"model\":\"tiny\"}");
	settle(s, 0, 1);
	route_close(s->route, NULL);
	expect(fd, "HTTP/1.1 200 ", "{}");
	assert_int_equal(atomic_load(&s->switcher.wanted), 1);
}

static void no_more_run_than_there_are_slots(void **state)
{
	static const struct answer script[] = {{"|" JSON("2", "{}"), KEEP},
					       {"|" JSON("2", "{}"), KEEP},
					       {"|" JSON("2", "{}"), KEEP}};
	struct site *s = *state;
	int fds[3];

	load(s, script);
	for (int i = 0; i < 3; i++) {
		fds[i] = chat(s, "{\"model\":\"tiny\"}");
		settle(s, 1, i);
	}
	assert_true(fake_wait(&s->fake->got));
	/* hold_limit is 2 */
	expect_json(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 429 ", "2 requests wait already",
		    NULL, "busy");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(atomic_load(&s->fake->asked), i + 1);
		(void)sem_post(&s->fake->go);
		expect(fds[i], "HTTP/1.1 200 ", "{}");
		if (i < 2) /* the next one has come through */
			assert_true(fake_wait(&s->fake->got));
	}
	settle(s, 0, 0);
}

static void a_client_that_leaves_in_line_frees_its_place(void **state)
{
	struct site *s = *state;
	int fd;

	s->switcher.hold = true;
	for (int half = 0; half < 2; half++) {
		fd = chat(s, "{\"model\":\"tiny\"}");
		settle(s, 0, 1);
		assert_int_equal(half ? shutdown(fd, SHUT_WR) : close(fd), 0);
		settle(s, 0, 0);
		if (half)
			close(fd);
	}
}

static void a_client_that_leaves_in_prefill_ends_it(void **state)
{
	static const struct answer script[] = {{"", HANG}, {EVENTS "b\r\ndata: {1}\n\n\r\n", HANG}};
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
	assert_true(fake_wait(&s->fake->got));
	close(fd);
	assert_true(fake_wait(&s->fake->left));
	settle(s, 0, 0);

	fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
	read_until(fd, "{1}", &b); /* between two tokens */
	close(fd);
	assert_true(fake_wait(&s->fake->left));
	settle(s, 0, 0);
}

static void a_cut_ends_streams_with_an_error(void **state)
{
	static const struct answer script[] = {{EVENTS "b\r\ndata: {1}\n\n\r\n", HANG}, {"", HANG}};
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
	read_until(fd, "{1}", &b);
	route_cut(&s->worker);
	read_until(fd, "data: [DONE]\n\n", &b);
	assert_non_null(strstr(b.data, "was switched or unloaded by force"));
	close(fd);
	assert_true(fake_wait(&s->fake->left));

	fd = chat(s, "{\"model\":\"tiny\"}");
	assert_true(fake_wait(&s->fake->got) && fake_wait(&s->fake->got));
	route_cut(&s->worker);
	expect_json(fd, "HTTP/1.1 503 ", "by force", NULL, "unavailable");
}

static void a_stream_that_waits_gets_comments_then_its_answer(void **state)
{
	static const struct answer script[] = {
		{EVENTS "b\r\ndata: {1}\n\n\r\n0\r\n\r\n", KEEP},
		{"HTTP/1.1 400 Bad\r\nContent-Length: 14\r\n\r\n{\"error\":\n\"x\"}", KEEP},
	};
	struct site *s = *state;

	gateway_set_tick(s->gateway, 1);
	load(s, script);
	s->switcher.worker = &s->worker;
	for (int i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf b = {0};
		int fd;

		route_hold(s->route);
		fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
		read_until(fd, ": waiting\n\n", &b);
		assert_memory_equal(b.data, "HTTP/1.1 200 ", 13);
		assert_non_null(strstr(b.data, "Content-Type: text/event-stream\r\n"));
		route_open(s->route, &s->worker);
		if (i == 0)
			read_until(fd, "data: {1}\n\n", &b);
		else /* headers are out: the worker's refusal is an event */
			read_until(fd, "data: {\"error\": \"x\"}\n\ndata: [DONE]\n\n", &b);
		read_until(fd, "\r\n0\r\n\r\n", &b);
		close(fd);
		settle(s, 0, 0);
	}
}

static void a_stream_whose_load_fails_ends_with_an_error_event(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	struct err why = {0};
	int fd;

	gateway_set_tick(s->gateway, 1);
	s->switcher.hold = true;
	fd = chat(s, "{\"model\":\"tiny\",\"stream\":true}");
	read_until(fd, ": waiting\n\n", &b);
	err_set(&why, ERR_WORKER, "no memory for 'tiny'");
	route_close(s->route, &why);
	read_until(fd, "data: {\"error\":{\"message\":\"no memory for 'tiny'", &b);
	read_until(fd, "data: [DONE]\n\n", &b);
	close(fd);
}

static void anthropics_streams_get_pings_and_errors_of_their_own(void **state)
{
	static const struct answer script[] = {
		{EVENTS "b\r\ndata: {1}\n\n\r\n0\r\n\r\n", KEEP},
		{"HTTP/1.1 500 Bad\r\nContent-Length: 29\r\n\r\n{\"error\":{\"message\":\"it "
		 "is\"}}",
		 KEEP},
	};
	static const char body[] = "{\"model\":\"tiny\",\"stream\":true,\"messages\":[]}";
	struct site *s = *state;

	gateway_set_tick(s->gateway, 1);
	load(s, script);
	s->switcher.worker = &s->worker;
	for (int i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf b = {0};
		int fd;

		route_hold(s->route);
		fd = post(s, "/v1/messages", body);
		read_until(fd, "event: ping\ndata: {\"type\":\"ping\"}\n\n", &b);
		route_open(s->route, &s->worker);
		read_until(fd,
			   i == 0 ? "data: {1}\n\n"
				  : "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
				    "\"api_error\",\"message\":\"it is\"}}\n\n",
			   &b);
		read_until(fd, "\r\n0\r\n\r\n", &b);
		assert_null(strstr(b.data, "[DONE]"));
		close(fd);
		settle(s, 0, 0);
	}
	assert_int_equal(atomic_load(&s->through_microhttpd), 2);
}

static void an_answer_too_long_to_be_translated_is_502(void **state)
{
	static const struct answer script[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{", HANG}};
	static const char body[] = "{\"model\":\"tiny\",\"stream\":false,\"messages\":[{\"role\":"
				   "\"user\",\"content\":\"hi\"}]}";
	CLEANUP(buf_done) struct buf got = {0};
	struct site *s = *state;
	int fd;

	load(s, script);
	fd = post(s, "/api/chat", body);
	read_until(fd, "the worker's answer has 99999999999 bytes", &got);
	assert_int_equal(strncmp(got.data, "HTTP/1.1 502 ", 13), 0);
	close(fd);
	settle(s, 0, 0);
}

static void an_error_in_a_begun_stream_of_responses_has_its_form(void **state)
{
	static const struct answer script[] = {
		{"HTTP/1.1 500 Bad\r\nContent-Length: 29\r\n\r\n{\"error\":{\"message\":\"it "
		 "is\"}}",
		 KEEP},
	};
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	int fd;

	gateway_set_tick(s->gateway, 1);
	load(s, script);
	s->switcher.worker = &s->worker;
	route_hold(s->route);
	fd = post(s, "/v1/responses", "{\"model\":\"tiny\",\"stream\":true,\"input\":\"a\"}");
	read_until(fd, ": waiting\n\n", &b);
	route_open(s->route, &s->worker);
	read_until(fd, "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"it is\"",
		   &b);
	read_until(fd, "\r\n0\r\n\r\n", &b);
	assert_null(strstr(b.data, "[DONE]"));
	close(fd);
	settle(s, 0, 0);
}

/* --- which model, and for how long -------------------------------------- */

static void the_only_loaded_model_needs_no_name(void **state)
{
	static const struct answer script[] = {{JSON("1", "1"), KEEP}, {JSON("1", "2"), KEEP}};
	struct site *s = *state;

	expect_json(chat(s, "{}"), "HTTP/1.1 400 ", "names no model, and none is loaded", "model",
		    "invalid_request");
	load(s, script);
	expect(chat(s, "{\"x\":1}"), "HTTP/1.1 200 ", "\r\n\r\n1");
	expect(chat(s, "{\"model\":null}"), "HTTP/1.1 200 ", "\r\n\r\n2");
	expect_json(chat(s, "{\"model\":7}"), "HTTP/1.1 400 ", "is not a string", "model",
		    "invalid_request");
}

static void an_alias_is_the_model(void **state)
{
	static const struct answer script[] = {{JSON("1", "1"), KEEP}, {JSON("1", "2"), KEEP}};
	struct strv names = {0};
	struct site *s = *state;

	strv_add(&names, "small");
	routes_set_aliases(s->routes, "tiny", &names);
	strv_done(&names);
	s->switcher.worker = &s->worker;
	s->fake = fake_start(s->dir, script);
	s->worker.socket = s->fake->path;
	expect(chat(s, "{\"model\":\"small\"}"), "HTTP/1.1 200 ", "\r\n\r\n1"); /* loads it */
	expect(chat(s, "{\"model\":\"small\"}"), "HTTP/1.1 200 ", "\r\n\r\n2");
	assert_int_equal(atomic_load(&s->switcher.wanted), 1);
}

static void keep_alive_reaches_the_switch(void **state)
{
	static const struct answer script[] = {{JSON("1", "1"), KEEP}};
	struct site *s = *state;

	load(s, script);
	expect(chat(s, "{\"model\":\"tiny\",\"keep_alive\":\"5m\"}"), "HTTP/1.1 200 ", "\r\n\r\n1");
	assert_int_equal(atomic_load(&s->switcher.keep_alive_ms), 300000);
	assert_non_null(strstr(s->fake->request[0], "\"keep_alive\":\"5m\""));
	expect_json(chat(s, "{\"model\":\"tiny\",\"keep_alive\":\"soon\"}"), "HTTP/1.1 400 ",
		    "keep_alive \"soon\" is no time", NULL, "invalid_request");
}

static void a_model_is_asked_only_what_it_can(void **state)
{
	static const char image[] = "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\","
				    "\"content\":[{\"type\":\"image_url\"}]}]}";
	static const struct answer script[] = {{JSON("1", "1"), KEEP}, {JSON("1", "2"), KEEP}};
	struct site *s = *state;

	load(s, script);
	expect_json(post(s, "/v1/embeddings", "{\"model\":\"tiny\"}"), "HTTP/1.1 400 ",
		    "model 'tiny' is for mode chat, /v1/embeddings needs one for embedding", NULL,
		    "invalid_request");
	expect_json(chat(s, image), "HTTP/1.1 400 ", "model 'tiny' takes no images", NULL,
		    "invalid_request");
	s->switcher.can.vision = true;
	expect(chat(s, image), "HTTP/1.1 200 ", "\r\n\r\n1");
	s->switcher.can.mode = s->worker.mode = "embedding";
	expect(post(s, "/v1/embeddings", "{\"model\":\"tiny\"}"), "HTTP/1.1 200 ", "\r\n\r\n2");
}

/* --- the lane ----------------------------------------------------------- */

#define PLAIN(body_len, body)                                                                      \
	"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " body_len       \
	"\r\n\r\n" body

static void plain_requests_need_no_thread(void **state)
{
	static const struct answer script[] = {{JSON("1", "1"), KEEP}, {JSON("1", "2"), CLOSE}};
	struct site *s = *state;

	load(s, script);
	expect(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 200 ", "\r\n\r\n1");
	expect(chat(s, "{\"model\":\"tiny\"}"), "HTTP/1.1 200 ", "\r\n\r\n2");
	assert_int_equal(atomic_load(&s->through_lane), 2);
	assert_int_equal(atomic_load(&s->through_microhttpd), 0);
}

/* Two at once, a third in pieces, the fourth with what the lane doesn't do: one connection. */
static void a_connection_goes_on_in_any_way(void **state)
{
	static const struct answer script[] = {{"|" JSON("1", "1"), KEEP},
					       {"|" JSON("1", "2"), KEEP},
					       {JSON("1", "3"), KEEP},
					       {JSON("1", "4"), KEEP},
					       {JSON("1", "5"), KEEP}};
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	int fd = client(s);

	load(s, script);
	dprintf(fd, PLAIN("16", "{\"model\":\"tiny\"}") PLAIN("16", "{\"model\":\"tiny\"}"));
	assert_true(fake_wait(&s->fake->got));
	assert_int_equal(atomic_load(&s->fake->asked), 1); /* the second is not looked at yet */
	(void)sem_post(&s->fake->go);
	read_until(fd, "\r\n\r\n1", &b);
	assert_true(fake_wait(&s->fake->got));
	dprintf(fd, "POST /v1/chat/comp"); /* while the second runs */
	(void)sem_post(&s->fake->go);
	read_until(fd, "\r\n\r\n2", &b);
	dprintf(fd, "letions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{\"model");
	dprintf(fd, "\":\"tiny\"}");
	read_until(fd, "\r\n\r\n3", &b);
	assert_int_equal(atomic_load(&s->through_microhttpd), 0);
	dprintf(fd, "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: localhost\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n10\r\n{\"model\":\"tiny\"}\r\n0\r\n\r\n");
	read_until(fd, "\r\n\r\n4", &b);
	assert_int_equal(atomic_load(&s->through_microhttpd), 1);
	dprintf(fd, PLAIN("16", "{\"model\":\"tiny\"}")); /* it stays there */
	read_until(fd, "\r\n\r\n5", &b);
	assert_int_equal(atomic_load(&s->through_microhttpd), 2);
	close(fd);
}

/* It may not pass here: microhttpd's side has the last word. */
static void whoever_may_not_pass_is_left_to_microhttpd(void **state)
{
	static const struct answer script[] = {{JSON("1", "1"), KEEP}};
	struct site *s = *state;
	int fd = client(s);

	load(s, script);
	dprintf(fd, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: wrong\r\n"
		    "Content-Length: 16\r\n\r\n{\"model\":\"tiny\"}");
	expect(fd, "HTTP/1.1 200 ", "\r\n\r\n1");
	assert_int_equal(atomic_load(&s->through_lane), 1);
	assert_int_equal(atomic_load(&s->through_microhttpd), 1);
}

/* Its answer is in the way everywhere: cut all the same, or an unload would wait for it. */
static void a_cut_reaches_a_client_that_reads_nothing(void **state)
{
	static struct answer script[1] = {{NULL, KEEP}};
	static const size_t size = 16 << 20;
	struct site *s = *state;
	char *text = s->script_text = mem_alloc(size + 200);
	size_t head = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
	char byte;
	int fd;

	memset(text + head, 'x', size);
	script[0].text = text;
	load(s, script);
	fd = chat(s, "{\"model\":\"tiny\"}");
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	settle(s, 1, 0);
	route_cut(&s->worker);
	settle(s, 0, 0);
	close(fd);
}

/* A kept worker connection closes just when it is asked: asked again, once, by the other side. */
static void a_stale_worker_connection_is_replaced(void **state)
{
	static const struct answer script[] = {
		{JSON("1", "1"), KEEP}, {"", CLOSE}, {JSON("1", "2"), KEEP}};
	CLEANUP(buf_done) struct buf b = {0};
	struct site *s = *state;
	int fd = client(s);

	load(s, script);
	for (int i = 1; i < 3; i++) {
		post_on(fd, "/v1/completions", "{\"model\":\"tiny\"}");
		read_until(fd, i == 1 ? "\r\n\r\n1" : "\r\n\r\n2", &b);
	}
	close(fd);
	assert_int_equal(atomic_load(&s->fake->asked), 3);
	assert_int_equal(atomic_load(&s->through_microhttpd), 1);
	settle(s, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_whole_answer_passes_as_it_is),
		BOTH(a_stream_comes_event_by_event),
		BOTH(a_long_answer_goes_out_whole),
		BOTH(id_slot_does_not_reach_the_worker),
		BOTH(bad_requests_are_refused_in_openais_format),
		BOTH(only_its_own_paths_are_the_gateways),
		BOTH(a_model_that_cannot_load_says_why_and_when),
		BOTH(a_worker_that_breaks_is_502),
		BOTH(a_request_that_nobody_took_is_asked_again),
		BOTH(a_worker_that_takes_no_connection_is_502),
		BOTH(a_stream_that_breaks_ends_with_an_error_event),
		BOTH(a_model_that_is_not_loaded_is_loaded),
		BOTH(a_request_held_by_an_unload_loads_the_model_again),
		BOTH(no_more_run_than_there_are_slots),
		BOTH(a_client_that_leaves_in_line_frees_its_place),
		BOTH(a_client_that_leaves_in_prefill_ends_it),
		BOTH(a_cut_ends_streams_with_an_error),
		BOTH(a_stream_that_waits_gets_comments_then_its_answer),
		BOTH(a_stream_whose_load_fails_ends_with_an_error_event),
		BOTH(anthropics_streams_get_pings_and_errors_of_their_own),
		BOTH(an_answer_too_long_to_be_translated_is_502),
		BOTH(an_error_in_a_begun_stream_of_responses_has_its_form),
		BOTH(the_only_loaded_model_needs_no_name),
		BOTH(an_alias_is_the_model),
		BOTH(keep_alive_reaches_the_switch),
		BOTH(a_model_is_asked_only_what_it_can),
		LANE(plain_requests_need_no_thread),
		LANE(a_connection_goes_on_in_any_way),
		LANE(whoever_may_not_pass_is_left_to_microhttpd),
		LANE(a_stale_worker_connection_is_replaced),
		LANE(a_cut_reaches_a_client_that_reads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
