/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The gateway between clients on plain sockets and a scripted worker: every test once in microhttpd
 * alone (ALONE), once with the fast lane in front (LANE). The switch is ours: it opens the route,
 * or refuses, when a model is wanted.
 */
#include "test.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <poll.h>

#include "base/buf.h"
#include "fake_worker.h"
#include "gateway/lane.h"

#define EVENTS                                                                                     \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define JSON(len, body)                                                                            \
	"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: " len \
	"\r\n\r\n" body

/* --- the modules below, as the gateway sees them ------------------------- */

struct worker {
	const char *socket;
	int slots;
	atomic_int references;
	struct worker_traffic traffic;
	bool changes_answers;          /* its chat template does */
	const char *mode;              /* NULL: chat */
	const struct runtime *runtime; /* NULL: server */
};

struct worker_traffic *worker_traffic(struct worker *w)
{
	return &w->traffic;
}

struct switcher {
	struct route *route;
	struct worker *worker; /* what a wanted model gets; NULL: refused */
	bool hold;             /* it only begins to load */
	struct ability can;    /* mode NULL: chat */
	atomic_int wanted;
	atomic_llong keep_alive_ms;    /* the last that was asked for */
	const struct runtime *runtime; /* NULL: server */
};

const char *worker_socket(const struct worker *w)
{
	return w->socket;
}

bool worker_continues(const struct worker *w)
{
	return !w->changes_answers;
}

const char *worker_mode(const struct worker *w)
{
	return w->mode ? w->mode : "chat";
}

const struct runtime *worker_runtime(const struct worker *w)
{
	return w->runtime ? w->runtime : &runtime_server;
}

int worker_slots(const struct worker *w)
{
	return w->slots;
}

struct worker *worker_ref(struct worker *w)
{
	atomic_fetch_add(&w->references, 1);
	return w;
}

void worker_unref(struct worker *w)
{
	if (w)
		atomic_fetch_sub(&w->references, 1);
}

void switcher_loaded(struct switcher *sw, struct strv *ret)
{
	if (route_state(sw->route) == ROUTE_OPEN)
		strv_add(ret, route_model(sw->route));
}

void switcher_keep_alive(struct switcher *sw, const char *id, int64_t ms)
{
	assert_string_equal(id, route_model(sw->route));
	atomic_store(&sw->keep_alive_ms, ms);
}

const struct runtime *switcher_runtime(struct switcher *sw, const char *id)
{
	assert_string_equal(id, route_model(sw->route));
	return sw->runtime ? sw->runtime : &runtime_server;
}

bool switcher_ability(struct switcher *sw, const char *id, unsigned wanted, struct ability *ret,
		      struct err *e)
{
	assert_string_equal(id, route_model(sw->route));
	*ret = sw->can;
	ret->vision = ret->vision && (wanted & ABILITY_MEDIA);
	ret->audio = ret->audio && (wanted & ABILITY_MEDIA);
	if (!ret->mode)
		ret->mode = "chat";
	return true;
}

bool switch_want(struct switcher *sw, const char *id, struct err *e)
{
	atomic_fetch_add(&sw->wanted, 1);
	if (sw->hold)
		route_hold(sw->route);
	else if (sw->worker)
		route_open(sw->route, sw->worker);
	else
		return err_set(e, ERR_UNAVAILABLE, "model '%s' failed to start", id);
	return true;
}

/* --- the fixture -------------------------------------------------------- */

struct site {
	char *dir;
	struct routes *routes;
	struct route *route;
	struct switcher switcher;
	struct worker worker;
	struct fake_worker *fake;
	struct gateway *gateway;
	struct MHD_Daemon *daemon;
	struct lane *lane;
	atomic_int through_lane, through_microhttpd; /* requests looked at */
	uint16_t port;
	char *script_text; /* freed after the worker has ended */
};

struct request {
	struct buf body;
};

TEST_MAYBE static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path,
					     const char *method, const char *version,
					     const char *data, size_t *len, void **context)
{
	struct site *s = cls;
	struct request *r = *context;

	if (!r) {
		atomic_fetch_add(&s->through_microhttpd, 1);
		*context = mem_alloc(sizeof(*r));
		return MHD_YES;
	}
	if (*len) {
		buf_add(&r->body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	return gateway_handle(
		s->gateway, c,
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, method,
		path, r->body.data ? r->body.data : "", r->body.len);
}

TEST_MAYBE static void on_done(void *cls, struct MHD_Connection *c, void **context,
			       enum MHD_RequestTerminationCode why)
{
	struct request *r = *context;

	if (r)
		buf_done(&r->body);
	free(r);
	*context = NULL;
}

TEST_MAYBE static struct site *new_site(void)
{
	struct site *s = mem_alloc(sizeof(*s));
	struct route_limits limits = {
		.hold_timeout_ms = 60000, .hold_limit = 2, .hold_bytes = 1 << 20};

	s->dir = test_dir_new();
	s->routes = routes_new(&limits);
	s->route = routes_add(s->routes, "tiny");
	s->switcher.route = s->route;
	s->worker.slots = 1;
	s->gateway = gateway_new(s->routes, &s->switcher);
	return s;
}

TEST_MAYBE static void serve(struct site *s, unsigned flags)
{
	s->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD |
					     MHD_USE_ITC | flags,
				     0, NULL, NULL, on_request, s, MHD_OPTION_NOTIFY_COMPLETED,
				     on_done, NULL, MHD_OPTION_END);
	assert_non_null(s->daemon);
}

TEST_MAYBE static int set_up(void **state)
{
	struct site *s = *state = new_site();

	serve(s, 0);
	s->port = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	return 0;
}

TEST_MAYBE static bool may(void *arg, const struct lane_facts *f)
{
	struct site *s = arg;

	atomic_fetch_add(&s->through_lane, 1);
	assert_string_equal(f->host, "localhost");
	assert_null(f->content_type);
	return !f->api_key;
}

TEST_MAYBE static int set_up_lane(void **state)
{
	struct site *s = *state = new_site();
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct lane_door door = {.may = may, .arg = s};
	socklen_t len = sizeof(a);
	struct err e = {0};

	serve(s, MHD_USE_NO_LISTEN_SOCKET);
	door.daemon = s->daemon;
	door.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(door.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(door.fd, 16), 0);
	assert_int_equal(getsockname(door.fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_true(lane_start(s->gateway, &door, 1, &s->lane, &e));
	return 0;
}

TEST_MAYBE static int tear_down(void **state)
{
	struct site *s = *state;

	lane_stop(s->lane);
	MHD_stop_daemon(s->daemon);
	gateway_free(s->gateway);
	route_close(s->route, NULL);
	assert_int_equal(atomic_load(&s->worker.references), 0);
	routes_free(s->routes);
	if (s->fake)
		fake_stop(s->fake);
	free(s->script_text);
	test_dir_free(s->dir);
	free(s);
	return 0;
}

/* The model is loaded, its worker answers from this script. */
TEST_MAYBE static void load(struct site *s, const struct answer *script)
{
	s->fake = fake_start(s->dir, script);
	s->worker.socket = s->fake->path;
	route_open(s->route, &s->worker);
}

/* --- a client ----------------------------------------------------------- */

TEST_MAYBE static int client(const struct site *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(s->port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval patience = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

TEST_MAYBE static void post_on(int fd, const char *path, const char *body)
{
	dprintf(fd,
		"POST %s HTTP/1.1\r\nHost: localhost\r\nX-Conversation-Id: 7\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		path, strlen(body), body);
}

TEST_MAYBE static int post(const struct site *s, const char *path, const char *body)
{
	int fd = client(s);

	post_on(fd, path, body);
	return fd;
}

TEST_MAYBE static int chat(const struct site *s, const char *body)
{
	return post(s, "/v1/chat/completions", body);
}

/* What came so far, once `text` is in it. */
TEST_MAYBE static void read_until(int fd, const char *text, struct buf *ret)
{
	char piece[4096];

	while (!ret->data || !strstr(ret->data, text)) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n <= 0)
			fail_msg("'%s' never came, but: %s", text, ret->data ? ret->data : "");
		buf_add(ret, piece, (size_t)n);
	}
}

/* The answer's end is seen by a text, as the connection stays. */
TEST_MAYBE static void expect(int fd, const char *status, const char *last)
{
	CLEANUP(buf_done) struct buf b = {0};

	read_until(fd, last, &b);
	if (strncmp(b.data, status, strlen(status)) != 0)
		fail_msg("'%s' expected: %s", status, b.data);
	close(fd);
}

TEST_MAYBE static void expect_json(int fd, const char *status, const char *message,
				   const char *param, const char *code)
{
	CLEANUP(buf_done) struct buf b = {0};
	json_t *tree, *error;

	read_until(fd, "}}", &b);
	assert_memory_equal(b.data, status, strlen(status));
	assert_non_null(strstr(b.data, "Content-Type: application/json\r\n"));
	tree = json_loads(strstr(b.data, "\r\n\r\n") + 4, 0, NULL);
	error = json_object_get(tree, "error");
	assert_int_equal(json_object_size(error), 4);
	assert_non_null(strstr(json_string_value(json_object_get(error, "message")), message));
	assert_true(json_is_string(json_object_get(error, "type")));
	if (param)
		assert_string_equal(json_string_value(json_object_get(error, "param")), param);
	else
		assert_true(json_is_null(json_object_get(error, "param")));
	assert_string_equal(json_string_value(json_object_get(error, "code")), code);
	json_decref(tree);
	close(fd);
}

/* Until the route's numbers are these; they follow from what the test did. */
TEST_MAYBE static void settle(const struct site *s, int running, int waiting)
{
	struct route_stats now;

	for (int i = 0; i < 10000; i++) {
		route_get_stats(s->route, &now);
		if (now.running == running && now.waiting == waiting)
			return;
		(void)poll(NULL, 0, 1);
	}
	fail_msg("running %d, waiting %d", now.running, now.waiting);
}

/* --- tests ---------------------------------------------------------------- */

#define ALONE(f)                                                                                   \
	{                                                                                          \
#f, f, set_up, tear_down, NULL                                                     \
	}
#define LANE(f)                                                                                    \
	{                                                                                          \
#f " (lane)", f, set_up_lane, tear_down, NULL                                      \
	}
#define BOTH(f) ALONE(f), LANE(f)
