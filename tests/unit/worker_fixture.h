/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A supervisor in a thread, and workers that are the fake llama-server; what it does is chosen by
 * <model>.fake.json. */

#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "worker/worker.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "." /* the build says where; alone it only has to compile */
#endif

#define FAKES SOURCE_DIR "/tests/fakes"

struct fixture {
	char *dir;
	char *model;
	struct supervisor *sv;
	pthread_t loop;
	bool running;
	atomic_int crashes, complaints;
	char complaint[256]; /* read after its count */
	atomic_int told;
	atomic_bool cancel;
	double last_fraction;
};

TEST_MAYBE static void *run_loop(void *arg)
{
	struct fixture *f = arg;

	supervisor_run(f->sv, -1, NULL, NULL);
	return NULL;
}

TEST_MAYBE static void on_crash(void *arg, struct worker *w)
{
	struct fixture *f = arg;

	assert_int_equal(worker_state(w), WORKER_DOWN);
	atomic_fetch_add(&f->crashes, 1);
}

TEST_MAYBE static void on_ailing(void *arg, struct worker *w, const char *why)
{
	struct fixture *f = arg;

	assert_int_equal(worker_state(w), WORKER_RUNNING);
	(void)snprintf(f->complaint, sizeof(f->complaint), "%s", why);
	atomic_fetch_add(&f->complaints, 1);
}

TEST_MAYBE static void limit(struct fixture *f, int64_t stall_ms, int64_t growth_bytes)
{
	const struct watch_limits limits = {.stall_ms = stall_ms, .growth_bytes = growth_bytes};

	supervisor_set_limits(f->sv, &limits);
}

TEST_MAYBE static void open_supervisor(struct fixture *f, const char *run_dir)
{
	struct err e = {0};

	if (!supervisor_open(run_dir, test_path(f->dir, "logs"), &f->sv, &e))
		fail_msg("%s", e.msg);
	supervisor_on_crash(f->sv, on_crash, f);
	supervisor_on_ailing(f->sv, on_ailing, f);
	limit(f, 1500, 0);
	assert_int_equal(pthread_create(&f->loop, NULL, run_loop, f), 0);
	f->running = true;
}

TEST_MAYBE static void close_supervisor(struct fixture *f)
{
	if (!f->running)
		return;
	supervisor_quit(f->sv);
	pthread_join(f->loop, NULL);
	supervisor_free(f->sv);
	f->running = false;
}

TEST_MAYBE static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->dir = test_dir_new();
	f->model = mem_dup(test_path(f->dir, "m.gguf"));
	test_write(f->model, "GGUF", 4);
	open_supervisor(f, test_path(f->dir, "run"));
	*state = f;
	return 0;
}

TEST_MAYBE static int teardown(void **state)
{
	struct fixture *f = *state;

	close_supervisor(f);
	test_dir_free(f->dir);
	free(f->model);
	free(f);
	return 0;
}

TEST_MAYBE static void behave(struct fixture *f, const char *json)
{
	CLEANUP(free) char *path = mem_printf("%s.fake.json", f->model);

	test_write(path, json, strlen(json));
}

TEST_MAYBE static bool is_cancelled(void *arg)
{
	return atomic_load(&((struct fixture *)arg)->cancel);
}

TEST_MAYBE static void on_progress(void *arg, double fraction)
{
	struct fixture *f = arg;

	assert_true(fraction >= f->last_fraction && fraction <= 1);
	f->last_fraction = fraction;
	atomic_fetch_add(&f->told, 1);
}

/* backend NULL: cpu. */
TEST_MAYBE static bool start(struct fixture *f, const char *backend, struct worker **ret,
			     struct err *e)
{
	CLEANUP(strv_done) struct strv env = {0};
	static const char *const command[] = {FAKES "/llama-server", NULL};
	static const char *const args[] = {"-lv", "4", "--parallel", "2", "--metrics", NULL};
	struct worker_spec spec = {.model_id = "m",
				   .model_path = f->model,
				   .environment = "llm_m_test",
				   .backend = backend ? backend : "cpu",
				   .runtime = &runtime_server,
				   .command = command,
				   .device = backend ? "Vulkan0" : "none",
				   .device_prefix = backend ? "Vulkan" : NULL,
				   .args = args,
				   .mode = "chat",
				   .slots = 2};

	strv_printf(&env, "PATH=%s", getenv("PATH"));
	if (backend)
		strv_printf(&env, "GGML_BACKEND_PATH=/nowhere/libggml-%s.so", backend);
	spec.environ = strv_items(&env);
	f->last_fraction = 0;
	return worker_start(f->sv, &spec, on_progress, is_cancelled, f, ret, e);
}

TEST_MAYBE static struct worker *start_ok(struct fixture *f, const char *backend)
{
	struct worker *w = NULL;
	struct err e = {0};

	if (!start(f, backend, &w, &e))
		fail_msg("%s (%s)", e.msg, e.hint);
	return w;
}

TEST_MAYBE static void start_fails(struct fixture *f, const char *backend, enum err_kind kind,
				   const char *says)
{
	struct worker *w = NULL;
	struct err e = {0};

	assert_false(start(f, backend, &w, &e));
	assert_null(w);
	if (e.kind != kind || !strstr(e.msg, says))
		fail_msg("'%s' is not said in: %s", says, e.msg);
}

/* Waits for an end that the test has caused. */
TEST_MAYBE static void wait_down(struct worker *w)
{
	int64_t until = clock_ms() + 10000;

	while (worker_state(w) != WORKER_DOWN && clock_ms() < until)
		(void)poll(NULL, 0, 5);
	assert_int_equal(worker_state(w), WORKER_DOWN);
}

TEST_MAYBE static char *events(struct fixture *f)
{
	CLEANUP(free) char *path = mem_printf("%s.fake.log", f->model);

	return test_read(path, NULL);
}

/* Nothing is left of a worker but its log. */
TEST_MAYBE static bool any_entry(void *arg, const char *name, struct err *e)
{
	(*(int *)arg)++;
	return true;
}

TEST_MAYBE static int count_entries(const char *folder)
{
	struct err e = {0};
	int count = 0;

	assert_true(fs_each(folder, any_entry, &count, &e));
	return count;
}

TEST_MAYBE static int connect_to(const struct worker *w)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_true(strlen(worker_socket(w)) < sizeof(to.sun_path));
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", worker_socket(w));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

TEST_MAYBE static int ask_for_stream(const struct worker *w)
{
	static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
				   "\"stream\":true,\"max_tokens\":1000000}";
	CLEANUP(free)
	char *request = mem_printf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
				   "Content-Length: %zu\r\n\r\n%s",
				   sizeof(body) - 1, body);
	int fd = connect_to(w);

	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	return fd;
}

/* An endless answer, of which the first bytes have come. */
TEST_MAYBE static int open_stream(const struct worker *w)
{
	char answer[4096];
	int fd = ask_for_stream(w);

	assert_true(read(fd, answer, sizeof(answer)) > 0);
	return fd;
}
