/* SPDX-License-Identifier: Apache-2.0 */
/* Workers against the fake llama-server; what it does is chosen by <model>.fake.json. */
#include "test.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/http.h"
#include "base/proc.h"
#include "worker_fixture.h"

static void a_worker_starts_answers_and_stops(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = start_ok(f, NULL);
	CLEANUP(free) char *log = NULL, *death = worker_death(w);
	struct err e = {0};
	int64_t began;
	int pid = worker_pid(w);

	assert_int_equal(worker_state(w), WORKER_RUNNING);
	assert_true(pid > 0);
	assert_string_equal(death, "");
	assert_int_equal(worker_slots(w), 2);
	assert_true(worker_memory_bytes(w) > 0);
	if (!worker_prove(w, NULL, NULL, &e))
		fail_msg("%s", e.msg);

	began = clock_ms();
	worker_stop(w);
	assert_true(clock_ms() - began < 1000); /* by the exit line */
	worker_stop(w);
	assert_int_equal(worker_state(w), WORKER_DOWN);
	assert_int_equal(worker_pid(w), 0);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(count_entries(test_path(f->dir, "run")), 0);
	log = events(f);
	assert_non_null(strstr(log, "\"how\": \"asked\""));
	assert_int_equal(atomic_load(&f->crashes), 0);
}

static void the_load_is_followed(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	behave(f, "{\"load_seconds\": 0.6}");
	w = start_ok(f, "vulkan");
	assert_true(atomic_load(&f->told) > 5);
	assert_true(f->last_fraction > 0.9);
	/* 92.10 MiB of model and 11.25 of context, as it says. */
	assert_true(worker_memory_bytes(w) > 103LL << 20);
	worker_stop(w);
}

static void its_log_is_kept(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *path = supervisor_log_path(f->sv, "m");
	CLEANUP(worker_unref) struct worker *w = NULL;
	CLEANUP(free) char *log = NULL;

	behave(f, "{\"load_logs\": 30}");
	w = start_ok(f, "vulkan");
	worker_stop(w);
	log = test_read(path, NULL);
	assert_non_null(strstr(log, "llm_m_test on vulkan (device Vulkan0)"));
	assert_non_null(strstr(log, "line 29 of a long story"));
	assert_non_null(strstr(log, "using device Vulkan0"));
	assert_null(strstr(log, "cmd_child_to_router"));
}

static void a_full_log_is_rotated(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *path = supervisor_log_path(f->sv, "m");
	CLEANUP(free) char *old = mem_printf("%s.1", path);
	CLEANUP(worker_unref) struct worker *w = NULL;
	struct stat st;

	test_write(path, "full", 4);
	assert_int_equal(truncate(path, 8 << 20), 0);
	w = start_ok(f, NULL);
	worker_stop(w);
	assert_int_equal(stat(old, &st), 0);
	assert_int_equal(st.st_size, 8 << 20);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 0 && st.st_size < 65536);
}

static void a_crash_while_loading_is_named(void **state)
{
	static const struct {
		const char *json, *backend, *says;
		enum err_kind kind;
	} cases[] = {
		{"{\"crash_on_load\": \"SIGILL\"}", NULL, "built for another CPU", ERR_WORKER},
		{"{\"crash_on_load\": \"SIGSEGV\"}", NULL, "it crashed", ERR_WORKER},
		{"{\"crash_on_load\": \"exit 3\"}", NULL, "exit status 3", ERR_WORKER},
		{"{\"oom\": true}", "vulkan", "out of memory on Vulkan0", ERR_NO_SPACE},
		{"{\"missing_library\": \"libvulkan.so.1\"}", "vulkan", "libvulkan.so.1",
		 ERR_WORKER},
		{"{\"list_devices\": false}", "vulkan", "the device is not there", ERR_WORKER},
		{"{\"only_backend\": \"cpu\"}", "vulkan", "the model cannot be loaded", ERR_WORKER},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		behave(f, cases[i].json);
		start_fails(f, cases[i].backend, cases[i].kind, cases[i].says);
	}
	assert_int_equal(count_entries(test_path(f->dir, "run")), 0);
	assert_int_equal(atomic_load(&f->crashes), 0); /* it was never running */
	behave(f, "{}");
	test_write(f->model, "JUNK", 4);
	start_fails(f, NULL, ERR_WORKER, "not a GGUF");
}

static void a_missing_server_is_named(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *program = fs_join(f->dir, "llama-server");
	const char *const command[] = {program, NULL};
	struct worker_spec spec = {.model_id = "m",
				   .model_path = f->model,
				   .environment = "e",
				   .backend = "cpu",
				   .runtime = &runtime_server,
				   .command = command,
				   .device = "none"};
	struct worker *w = NULL;
	struct err e = {0};

	assert_false(worker_start(f->sv, &spec, NULL, NULL, NULL, &w, &e));
	assert_non_null(strstr(e.msg, "llama-server"));
	assert_int_equal(count_entries(test_path(f->dir, "run")), 0);

	err_clear(&e);
	spec.model_id = "../m";
	assert_false(worker_start(f->sv, &spec, NULL, NULL, NULL, &w, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	err_clear(&e);
	spec.model_id = "m";
	spec.model_path = "m.gguf";
	assert_false(worker_start(f->sv, &spec, NULL, NULL, NULL, &w, &e));
	assert_int_equal(e.kind, ERR_INVALID);
}

static void a_crash_while_running_is_reported(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;
	CLEANUP(free) char *death = NULL;
	struct err e = {0};

	behave(f, "{\"crash_after_tokens\": 0, \"crash_with\": \"device lost\"}");
	w = start_ok(f, "vulkan");
	assert_false(worker_prove(w, NULL, NULL, &e));
	assert_int_equal(e.kind, ERR_WORKER);
	assert_non_null(strstr(e.msg, "the driver lost the device"));
	wait_down(w);
	death = worker_death(w);
	assert_non_null(strstr(death, "ErrorDeviceLost"));
	close_supervisor(f);
	assert_int_equal(atomic_load(&f->crashes), 1);
	worker_stop(w); /* after its supervisor: nothing */
}

static void a_hang_while_loading_is_ended(void **state)
{
	struct fixture *f = *state;

	behave(f, "{\"hang_on_load\": true}");
	start_fails(f, NULL, ERR_WORKER, "it hung while loading");
	assert_int_equal(count_entries(test_path(f->dir, "run")), 0);
}

static void a_hang_at_the_first_token_is_ended(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;
	struct err e = {0};
	int64_t began;

	behave(f, "{\"hang_after_tokens\": 0}");
	w = start_ok(f, NULL);
	assert_false(worker_prove(w, NULL, NULL, &e));
	assert_non_null(strstr(e.msg, "it hung at the first token"));
	began = clock_ms();
	worker_stop(w); /* deaf to all but SIGKILL */
	assert_true(clock_ms() - began < 5000);
	assert_int_equal(worker_state(w), WORKER_DOWN);
}

/* Longer than the limit, without a word, but computing. */
static void a_slow_quiet_load_is_waited_for(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	behave(f, "{\"load_seconds\": 2.5, \"load_quiet\": true, \"load_busy\": true}");
	w = start_ok(f, NULL);
	worker_stop(w);
}

static void the_wrong_device_is_refused(void **state)
{
	struct fixture *f = *state;

	behave(f, "{\"wrong_device\": true}");
	start_fails(f, "vulkan", ERR_WORKER, "was to compute on Vulkan0 but uses the CPU alone");
	assert_int_equal(count_entries(test_path(f->dir, "run")), 0);
}

static void a_load_can_be_cancelled(void **state)
{
	struct fixture *f = *state;

	behave(f, "{\"load_seconds\": 30}");
	atomic_store(&f->cancel, true);
	start_fails(f, NULL, ERR_CANCELLED, "cancelled while 'm' was loading");
	assert_int_equal(count_entries(test_path(f->dir, "run")), 0);
}

static void a_stop_with_a_stream_open_is_bounded(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = start_ok(f, NULL);
	CLEANUP(close) int stream = open_stream(w);
	CLEANUP(free) char *log = NULL;
	int64_t began = clock_ms();

	assert_true(stream >= 0);
	worker_stop(w);
	assert_true(clock_ms() - began < 5000);
	assert_int_equal(worker_state(w), WORKER_DOWN);
	log = events(f);
	assert_null(strstr(log, "\"how\": \"asked\""));
	assert_int_equal(atomic_load(&f->crashes), 0);
}

static void a_stop_of_a_stopped_process_is_bounded(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = start_ok(f, NULL);
	int64_t began = clock_ms();

	assert_int_equal(kill(worker_pid(w), SIGSTOP), 0);
	worker_stop(w);
	assert_true(clock_ms() - began < 5000);
	assert_int_equal(worker_state(w), WORKER_DOWN);
	assert_int_equal(atomic_load(&f->crashes), 0);
}

static void the_end_of_the_daemon_stops_all(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *one = start_ok(f, NULL);
	CLEANUP(worker_unref) struct worker *two = start_ok(f, "vulkan");
	struct worker *w = NULL;
	struct err e = {0};

	assert_string_not_equal(worker_socket(one), worker_socket(two));
	supervisor_quit(f->sv);
	pthread_join(f->loop, NULL);
	assert_int_equal(worker_state(one), WORKER_DOWN);
	assert_int_equal(worker_state(two), WORKER_DOWN);
	assert_false(start(f, NULL, &w, &e));
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	supervisor_free(f->sv);
	f->running = false;
}

static void a_long_path_still_has_a_socket(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *deep = mem_printf("%s/%0120d/%0120d", f->dir, 1, 2);
	CLEANUP(worker_unref) struct worker *w = NULL;
	struct http_response answer = {0};
	struct err e = {0};

	close_supervisor(f);
	open_supervisor(f, deep);
	w = start_ok(f, NULL);
	assert_true(strlen(worker_socket(w)) <= 107);
	struct http_request ask = {
		.socket = worker_socket(w), .url = "http://localhost/props", .timeout_ms = 5000};
	assert_true(http_fetch(&ask, &answer, &e));
	assert_int_equal(answer.status, 200);
	http_response_done(&answer);
	worker_stop(w);
	assert_int_equal(count_entries(deep), 0);
}

/* A process of a daemon that was killed; the pid on the pipe. Its supervisor's thread is not main
 * there, so the whole process is killed. */
static pid_t doomed_daemon(struct fixture *f, const char *run_dir, int *ret_worker)
{
	int ends[2];
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		struct worker *w;
		int pid;

		open_supervisor(f, run_dir);
		w = start_ok(f, NULL);
		pid = worker_pid(w);
		if (write(ends[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		for (;;)
			pause();
	}
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], ret_worker, sizeof(*ret_worker)), sizeof(int));
	(void)close(ends[0]);
	return child;
}

static bool gone_within(pid_t pid, int64_t ms)
{
	int64_t until = clock_ms() + ms;

	while (kill(pid, 0) == 0 && clock_ms() < until) {
		(void)waitpid(pid, NULL, WNOHANG); /* ours when we are the reaper */
		(void)poll(NULL, 0, 5);
	}
	return kill(pid, 0) != 0;
}

static void a_worker_dies_with_its_daemon(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *run = mem_dup(test_path(f->dir, "run2"));
	int worker = 0;
	pid_t daemon;

	close_supervisor(f);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	daemon = doomed_daemon(f, run, &worker);
	assert_int_equal(kill(worker, 0), 0);
	assert_int_equal(kill(daemon, SIGKILL), 0);
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	assert_true(gone_within(worker, 1000));
	/* What it left is cleared by the next. */
	assert_true(count_entries(run) > 0);
	open_supervisor(f, run);
	assert_int_equal(count_entries(run), 0);
}

/* One that did not die: it sits in its folder, and a note tells its pid and start time. */
static void orphans_are_killed(void **state)
{
	struct fixture *f = *state;
	static const char *const argv[] = {"sleep", "600", NULL};
	CLEANUP(free) char *run = mem_dup(test_path(f->dir, "run2"));
	CLEANUP(free) char *inside = fs_join(run, "w-abcdef");
	struct proc_spec spec = {.argv = argv, .cwd = inside, .in = -1, .out = -1, .err = -1};
	struct proc orphan = {0}, other = {0};
	struct err e = {0};
	int status = 0;
	char note[64];

	close_supervisor(f);
	assert_true(fs_mkdirs(inside, 0700, &e));
	assert_true(proc_spawn(&spec, &orphan, &e));
	spec.cwd = f->dir;
	assert_true(proc_spawn(&spec, &other, &e));
	(void)snprintf(note, sizeof(note), "%d %llu\n", orphan.pid,
		       (unsigned long long)orphan.start_time);
	test_write(test_path(run, "w-abcdef.pid"), note, strlen(note));
	/* Another process that got the pid: wrong folder, wrong start time. */
	(void)snprintf(note, sizeof(note), "%d %llu\n", other.pid,
		       (unsigned long long)other.start_time);
	test_write(test_path(run, "w-ghijkl.pid"), note, strlen(note));
	(void)snprintf(note, sizeof(note), "%d 1\n", other.pid);
	test_write(test_path(run, "w-mnopqr.pid"), note, strlen(note));
	test_write(test_path(run, "w-junk.pid"), "-1 \n", 4);

	open_supervisor(f, run);
	assert_true(proc_wait(&orphan, 2000, &status));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(kill(other.pid, 0), 0);
	proc_stop(&other, 0);
	assert_int_equal(count_entries(run), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_worker_starts_answers_and_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(the_load_is_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(its_log_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_log_is_rotated, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crash_while_loading_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_missing_server_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crash_while_running_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hang_while_loading_is_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hang_at_the_first_token_is_ended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_slow_quiet_load_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(the_wrong_device_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_load_can_be_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_with_a_stream_open_is_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stop_of_a_stopped_process_is_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_end_of_the_daemon_stops_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_path_still_has_a_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(a_worker_dies_with_its_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(orphans_are_killed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
