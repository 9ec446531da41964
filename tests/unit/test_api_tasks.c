/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>

#include "api_fixture.h"

#define LOAD "/llm/api/models/tiny/load"

/* Asks for a load; its task, in a buffer of the caller. */
static void begin_load(struct fixture *f, char ret_task[static TASK_ID_SIZE])
{
	json_t *answer = ask(f, "POST", LOAD "?wait=false", "{\"n_ctx\":512}", 202);

	(void)snprintf(ret_task, TASK_ID_SIZE, "%s", text_at(answer, "task_id", NULL));
	assert_int_equal(strlen(ret_task), TASK_ID_SIZE - 1);
	json_decref(answer);
}

static void see_end(struct fixture *f, const char *task, const char *state)
{
	struct db_task t = {0};
	struct err e = {0};

	must(tasks_wait(f->settings.tasks, task, WAIT_MS, NULL, NULL, &t, &e), &e);
	assert_string_equal(t.state, state);
	db_task_done(&t);
}

static void end_load(struct fixture *f, const char *task)
{
	(void)sem_post(&f->switcher.gate);
	see_end(f, task, "succeeded");
}

static void a_load_waits_and_answers_the_model(void **state)
{
	struct fixture *f = *state;
	json_t *answer;
	const json_t *worker;

	(void)sem_post(&f->switcher.gate);
	answer = ask(f, "POST", LOAD, "{\"n_gpu_layers\":-1}", 200);
	assert_string_equal(text_at(answer, "model", "state"), "loaded");
	worker = json_object_get(json_object_get(answer, "model"), "worker");
	assert_int_equal(json_integer_value(json_object_get(worker, "pid")), 4711);
	assert_int_equal(json_integer_value(json_object_get(worker, "requests")), 3);
	assert_string_equal(text_at(worker, "device", NULL), "none");
	assert_string_equal(text_at(worker, "started", NULL), "2023-11-14T22:13:20.000Z");
	json_decref(answer);

	answer = ask(f, "GET", "/llm/api/models/loaded", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(answer, "models")), 2);
	json_decref(answer);
	answer = ask(f, "GET", "/llm/api/models/tiny/health", NULL, 200);
	assert_true(json_is_true(json_object_get(answer, "healthy")));
	json_decref(answer);
	answer = ask(f, "POST", "/llm/api/models/tiny/unload", NULL, 200);
	assert_string_equal(text_at(answer, "model", "state"), "unloaded");
	json_decref(answer);
}

static void a_failed_load_is_the_answers_error(void **state)
{
	struct fixture *f = *state;
	json_t *answer;

	atomic_store(&f->switcher.broken, true);
	(void)sem_post(&f->switcher.gate);
	answer = ask(f, "POST", LOAD, "{}", 502);
	assert_string_equal(text_at(answer, "error", "type"), "worker_failed");
	assert_non_null(strstr(text_at(answer, "error", "message"), "out of memory"));
	assert_string_equal(text_at(answer, "error", "hint"), "use fewer layers");
	json_decref(answer);
	check_raw(f, "POST /llm/api/models/tiny/unload HTTP/1.1\r\nHost: localhost\r\n\r\n", 429,
		  "Retry-After:");
}

static void a_refused_load_keeps_the_old_options(void **state)
{
	struct fixture *f = *state;
	json_t *answer;

	ask_wrong(f, "POST", "/llm/api/models/no-backend/load", "{\"n_ctx\":512}", 409, "backend");
	answer = ask(f, "GET", "/llm/api/models/no-backend", NULL, 200);
	assert_int_equal(
		json_object_size(json_object_get(json_object_get(answer, "model"), "options")), 0);
	json_decref(answer);
}

static int thread_count(void)
{
	DIR *d = opendir("/proc/self/task");
	int count = 0;

	assert_non_null(d);
	while (readdir(d))
		count++;
	(void)closedir(d);
	return count;
}

static void a_client_that_leaves_is_not_waited_for(void **state)
{
	static const char request[] = "POST " LOAD " HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct fixture *f = *state;
	int64_t deadline = clock_ms() + WAIT_MS;
	char task[TASK_ID_SIZE];
	int fd, threads;

	begin_load(f, task); /* so that the lane's thread is there */
	threads = thread_count();
	fd = dial(f);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	while (thread_count() <= threads)
		assert_true(clock_ms() < deadline);
	(void)close(fd);
	while (thread_count() > threads + 1) /* its task's thread stays */
		assert_true(clock_ms() < deadline);
	end_load(f, task);
}

static void a_task_can_be_followed_listed_and_cancelled(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *path = NULL;
	char task[TASK_ID_SIZE];
	json_t *answer;

	begin_load(f, task);
	path = mem_printf("/tasks/%s/cancel", task);
	answer = ask(f, "POST", path, NULL, 202);
	assert_string_equal(text_at(answer, "task", "id"), task);
	json_decref(answer);
	see_end(f, task, "cancelled");
	ask_wrong(f, "POST", path, NULL, 409, task);

	answer = ask(f, "GET", "/tasks?state=cancelled&model=tiny", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(answer, "tasks")), 1);
	json_decref(answer);
	answer = ask(f, "GET", "/tasks?state=failed", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(answer, "tasks")), 0);
	json_decref(answer);
	ask_wrong(f, "GET", "/tasks?state=nonsense", NULL, 400, "\"queued\", \"running\"");
	ask_wrong(f, "GET", "/tasks?limit=-1", NULL, 400, "limit");
}

static void a_log_is_read_from_an_offset(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *whole = NULL;
	CLEANUP(free) char *rest = NULL;
	CLEANUP(free) char *request = NULL;
	CLEANUP(free) char *path = NULL;
	const char *body;
	char task[TASK_ID_SIZE];

	begin_load(f, task);
	end_load(f, task);
	request = mem_printf("GET /tasks/%s/log HTTP/1.1\r\nHost: localhost\r\n\r\n", task);
	whole = ask_raw(f, request);
	body = strstr(whole, "\r\n\r\n") + 4;
	assert_non_null(strstr(body, "loading \xc3\xa9\n"));
	free(request);
	request =
		mem_printf("GET /tasks/%s/log?offset=5 HTTP/1.1\r\nHost: localhost\r\n\r\n", task);
	rest = ask_raw(f, request);
	assert_string_equal(strstr(rest, "\r\n\r\n") + 4, body + 5);
	free(request);
	request = mem_printf("GET /tasks/%s/log?offset=99999 HTTP/1.1\r\nHost: localhost\r\n\r\n",
			     task);
	free(rest);
	rest = ask_raw(f, request);
	assert_non_null(strstr(rest, "X-Next-Offset: 99999"));
	assert_string_equal(strstr(rest, "\r\n\r\n") + 4, "");
	path = mem_printf("/tasks/%s/log?offset=x", task);
	ask_wrong(f, "GET", path, NULL, 400, "offset");
}

/* --- events ------------------------------------------------------------- */

struct viewer {
	struct fixture *f;
	const char *path;
	struct buf got; /* until `stop` is found in it */
	const char *stop;
	void (*on_first)(struct viewer *v); /* once the first event is there */
	bool first_done;
	int status;
};

static bool on_data(void *arg, const char *data, size_t len)
{
	struct viewer *v = arg;

	buf_add(&v->got, data, len);
	if (!v->first_done && strstr(v->got.data, "data: ")) {
		v->first_done = true;
		if (v->on_first)
			v->on_first(v);
	}
	return !v->stop || !strstr(v->got.data, v->stop);
}

static void *view(void *arg)
{
	struct viewer *v = arg;
	CLEANUP(http_response_done) struct http_response r = {0};
	CLEANUP(free) char *url = mem_printf("http://localhost%s", v->path);
	struct http_request q = {.socket = v->f->socket,
				 .url = url,
				 .on_data = on_data,
				 .timeout_ms = WAIT_MS,
				 .arg = v};
	struct err ended = {0}; /* by us, or by the server's end */

	(void)!http_fetch(&q, &r, &ended);
	v->status = r.status;
	return NULL;
}

static void let_it_end(struct viewer *v)
{
	(void)sem_post(&v->f->switcher.gate);
}

static void a_tasks_stream_ends_with_its_last_snapshot(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *path = NULL;
	CLEANUP(free) char *again = NULL;
	struct viewer v = {.f = f, .on_first = let_it_end};
	char task[TASK_ID_SIZE];
	const char *last, *id;

	begin_load(f, task);
	v.path = path = mem_printf("/tasks/%s/stream", task);
	(void)view(&v);
	assert_int_equal(v.status, 200);
	last = strstr(v.got.data, "\"state\":\"succeeded\"");
	assert_non_null(strstr(v.got.data, "event: task\ndata: {\"task\":{"));
	assert_non_null(last);
	assert_non_null(strstr(last, "\n\n"));
	assert_non_null(strstr(v.got.data, "\"step\":\"Loading\""));

	/* A browser comes back with the last id, and is told that it was the last. */
	id = strstr(v.got.data, "-end\n");
	assert_non_null(id);
	while (id[-1] != ' ')
		id--;
	again = mem_printf("GET %s HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %.*s\r\n"
			   "Connection: close\r\n\r\n",
			   path, (int)strcspn(id, "\n"), id);
	check_raw(f, again, 204, "");
	buf_done(&v.got);
	ask_wrong(f, "GET", "/tasks/0123456789abcdef/stream", NULL, 404, "0123456789abcdef");
}

static void change_a_model(struct viewer *v)
{
	json_decref(ask(v->f, "PATCH", "/llm/api/models/tiny", "{\"n_ctx\":768}", 200));
}

static void every_change_is_an_event_with_all_of_it(void **state)
{
	struct viewer v = {.f = *state,
			   .path = "/llm/api/events",
			   .stop = "\"n_ctx\":768",
			   .on_first = change_a_model};
	char *first;

	(void)view(&v);
	assert_non_null(strstr(v.got.data, "\"n_ctx\":768"));
	first = strstr(v.got.data, "event: snapshot\ndata: {\"models\":[");
	assert_non_null(first);
	assert_non_null(strstr(first + 1, "event: snapshot\ndata: {\"models\":["));
	buf_done(&v.got);
}

static void streams_end_when_the_daemon_stops(void **state)
{
	struct fixture *f = *state;
	struct viewer v = {.f = f, .path = "/llm/api/events"};
	int64_t began;
	pthread_t thread;
	int fd = dial(f); /* an idle connection too */

	assert_int_equal(pthread_create(&thread, NULL, view, &v), 0);
	json_decref(ask(f, "GET", "/health", NULL, 200));
	began = clock_ms();
	api_stop(f->api);
	assert_true(clock_ms() - began < 5000);
	(void)pthread_join(thread, NULL);
	(void)close(fd);
	buf_done(&v.got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_load_waits_and_answers_the_model),
		TEST(a_failed_load_is_the_answers_error),
		TEST(a_refused_load_keeps_the_old_options),
		TEST(a_client_that_leaves_is_not_waited_for),
		TEST(a_task_can_be_followed_listed_and_cancelled),
		TEST(a_log_is_read_from_an_offset),
		TEST(a_tasks_stream_ends_with_its_last_snapshot),
		TEST(every_change_is_an_event_with_all_of_it),
		TEST(streams_end_when_the_daemon_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
