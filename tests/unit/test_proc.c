/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"

#define SH(script)                                                                                 \
	(const char *const[])                                                                      \
	{                                                                                          \
		"sh", "-c", script, NULL                                                           \
	}

/* What a run printed, lines joined by '|', and when to cancel it. */
struct seen {
	struct buf text;
	int lines;
	int cancel_after; /* lines; 0: never */
	pid_t pids[8];    /* the lines that are numbers */
	int pid_count;
};

static void see(void *arg, const char *line)
{
	struct seen *seen = arg;
	long pid = strtol(line, NULL, 10);

	buf_printf(&seen->text, "%s|", line);
	seen->lines++;
	if (pid > 0 && seen->pid_count < 8)
		seen->pids[seen->pid_count++] = (pid_t)pid;
}

static bool seen_enough(void *arg)
{
	const struct seen *seen = arg;

	return seen->cancel_after > 0 && seen->lines >= seen->cancel_after;
}

static bool run(const char *const *argv, struct seen *seen, int *ret_status, struct err *e)
{
	const struct proc_run spec = {
		.argv = argv, .on_line = see, .cancelled = seen_enough, .arg = seen};

	return proc_run(&spec, ret_status, e);
}

/* The lines of a program that must end with 0. The caller frees. */
static char *output(const char *const *argv)
{
	struct seen seen = {0};
	struct err e = {0};
	int status = -1;

	if (!run(argv, &seen, &status, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(status, 0);
	return buf_steal(&seen.text);
}

static void assert_output(const char *const *argv, const char *expected)
{
	char *text = output(argv);

	assert_string_equal(text, expected);
	free(text);
}

static void assert_all_dead(const struct seen *seen, int count)
{
	assert_int_equal(seen->pid_count, count);
	for (int i = 0; i < count; i++)
		assert_false(proc_alive(seen->pids[i], proc_start_time(seen->pids[i])));
}

static struct proc spawn(const struct proc_spec *spec)
{
	struct proc p = {.pidfd = -1};
	struct err e = {0};

	if (!proc_spawn(spec, &p, &e))
		fail_msg("%s", e.msg);
	assert_true(p.pid > 0 && p.pidfd >= 0 && p.start_time > 0);
	return p;
}

static const char *const sleeper[] = {"sleep", "1000", NULL};

static void a_line_ends_at_newline_or_return(void **state)
{
	assert_output(SH("printf 'a\\nb\\r\\n\\nc\\rd\\r\\r\\ne\\001f\\000g\\nend'"),
		      "a|b||c|d|e\001f g|end|");
	assert_output(SH("echo out; echo err >&2"), "out|err|");
	assert_output(SH("cat"), ""); /* stdin is empty */
}

static void a_long_line_comes_in_pieces(void **state)
{
	struct seen seen = {0};
	struct err e = {0};
	int status = -1;

	assert_true(run(SH("head -c 150000 /dev/zero | tr '\\0' x"), &seen, &status, &e));
	assert_int_equal(seen.lines, 3);
	assert_int_equal(seen.text.len, 150003);
	buf_done(&seen.text);
}

static void the_tail_is_the_last_whole_lines(void **state)
{
	char tail[32] = "old";
	struct err e = {0};
	int status = -1;
	struct proc_run spec = {.argv = SH("seq 1 1000; echo; echo last one; exit 3"),
				.tail = tail,
				.tail_size = sizeof(tail)};

	assert_true(proc_run(&spec, &status, &e));
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_string_equal(tail, "996\n997\n998\n999\n1000\n\nlast one\n");

	spec.argv = SH("echo abc; echo 0123456789012345678901234567890123456789");
	assert_true(proc_run(&spec, &status, &e));
	assert_string_equal(tail, "012345678901234567890123456789\n");
}

static void what_cannot_start_says_why(void **state)
{
	const char *script = test_path(*state, "script");
	const struct {
		const char *program, *cwd;
		enum err_kind kind;
		const char *message;
	} cases[] = {
		{"no-such-program-7", NULL, ERR_NOT_FOUND,
		 "program 'no-such-program-7' was not found in PATH"},
		{"/no/such/program", NULL, ERR_NOT_FOUND,
		 "program '/no/such/program' does not exist"},
		{"/dev/null", NULL, ERR_SYSTEM, "start '/dev/null': Permission denied"},
		{"/bin/true", "/no/such/folder", ERR_SYSTEM,
		 "start '/bin/true': enter '/no/such/folder': No such file or directory"},
		{script, NULL, ERR_SYSTEM, "its interpreter or loader is missing"},
	};

	test_write(script, "#!/no/such/sh\n", 14);
	assert_int_equal(chmod(script, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *const argv[] = {cases[i].program, NULL};
		const struct proc_run spec = {.argv = argv, .cwd = cases[i].cwd};
		struct err e = {0};
		int status = -1;

		assert_false(proc_run(&spec, &status, &e));
		assert_int_equal(e.kind, cases[i].kind);
		if (!strstr(e.msg, cases[i].message))
			fail_msg("'%s' does not say '%s'", e.msg, cases[i].message);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing left to reap */
}

static void a_child_inherits_nothing(void **state)
{
	int stray = fcntl(STDERR_FILENO, F_DUPFD, 77);
	char *text;

	assert_true(stray >= 77);
	text = output((const char *const[]){"ls", "/proc/self/fd", NULL});
	assert_string_equal(text, "0|1|2|3|"); /* 3 is the folder that it reads */
	free(text);
	(void)close(stray);
}

static void a_child_has_default_signals(void **state)
{
	sigset_t set, before;

	(void)sigfillset(&set);
	(void)pthread_sigmask(SIG_SETMASK, &set, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	char *text = output(
		(const char *const[]){"grep", "-E", "SigBlk|SigIgn", "/proc/self/status", NULL});
	(void)signal(SIGPIPE, SIG_DFL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(text, "SigBlk:\t0000000000000000|SigIgn:\t0000000000000000|");
	free(text);
}

static void fds_are_placed_even_when_they_cross(void **state)
{
	int in[2], out[2];
	int keep[2] = {dup(0), dup(1)};
	char text[16] = "";
	ssize_t n;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], "through", 7), 7);
	(void)close(in[1]);
	assert_int_equal(dup2(in[0], 1), 1); /* 1 is what the child reads, 0 where it writes */
	assert_int_equal(dup2(out[1], 0), 0);
	struct proc p = {.pidfd = -1};
	struct err e = {0};
	bool ok = proc_spawn(
		&(struct proc_spec){
			.argv = (const char *const[]){"cat", NULL}, .in = 1, .out = 0, .err = -1},
		&p, &e);
	(void)dup2(keep[0], 0);
	(void)dup2(keep[1], 1);
	(void)close(out[1]);
	assert_true(ok);
	n = read(out[0], text, sizeof(text) - 1);
	assert_int_equal(n, 7);
	assert_string_equal(text, "through");
	assert_true(proc_wait(&p, -1, NULL));
	for (int i = 0; i < 2; i++)
		(void)close(keep[i]);
	(void)close(in[0]);
	(void)close(out[0]);
}

static void a_child_is_idle_and_first_to_go(void **state)
{
	struct proc p = spawn(&(struct proc_spec){.argv = sleeper,
						  .in = -1,
						  .out = -1,
						  .err = -1,
						  .oom_score_adj = 345,
						  .idle = true});
	char path[64];

	assert_int_equal(getpgid(p.pid), p.pid);
	assert_int_equal(getsid(p.pid), p.pid);
	assert_int_equal(sched_getscheduler(p.pid), SCHED_IDLE);
	assert_int_equal(syscall(SYS_ioprio_get, 1, p.pid) >> 13, 3);
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)p.pid);
	char *text = test_read(path, NULL);
	assert_string_equal(text, "345\n");
	free(text);
	(void)snprintf(path, sizeof(path), "/proc/%d/autogroup", (int)p.pid);
	if (access(path, F_OK) == 0) {
		text = test_read(path, NULL);
		assert_non_null(strstr(text, " nice 19\n"));
		free(text);
	}
	assert_true(proc_memory_bytes(p.pid) > 0);
	assert_true(proc_own_bytes(getpid()) > 0);
	assert_true(proc_mapped_bytes(getpid()) > 0);
	proc_stop(&p, 1000);
	assert_int_equal(p.pid, 0);
	assert_int_equal(p.pidfd, -1);
}

static void all_that_an_idle_program_starts_is_idle(void **state)
{
	struct seen seen = {0};
	struct err e = {0};
	int status = -1;
	const struct proc_run spec = {.argv = SH("setsid -w sh -c 'chrt -p $$; ionice -p $$'"),
				      .on_line = see,
				      .arg = &seen,
				      .idle = true};

	assert_true(proc_run(&spec, &status, &e));
	assert_non_null(strstr(seen.text.data, "SCHED_IDLE"));
	assert_non_null(strstr(seen.text.data, "|idle|"));
	buf_done(&seen.text);
}

static void waiting_ends_with_the_child_or_the_time(void **state)
{
	struct proc p = spawn(&(struct proc_spec){.argv = sleeper, .in = -1, .out = -1, .err = -1});
	struct proc other = {.pid = p.pid, .pidfd = -1, .start_time = p.start_time + 1};
	int status = -1;

	assert_false(proc_wait(&p, 20, &status));
	proc_signal(&other, SIGKILL); /* that number once was another process */
	(void)proc_stop(&other, 0);
	assert_false(proc_wait(&p, 20, &status));
	assert_true(proc_alive(p.pid, p.start_time));
	assert_false(proc_alive(p.pid, p.start_time + 1));
	proc_signal(&p, SIGINT);
	assert_true(proc_wait(&p, 10000, &status));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	assert_true(proc_wait(&p, 0, &status)); /* again: nothing to wait for */
	assert_int_equal(proc_start_time(-1), 0);
	assert_int_equal(proc_memory_bytes(0), 0);
	assert_int_equal(proc_own_bytes(0) + proc_mapped_bytes(0), 0);
}

static void cancel_ends_all_descendants_within_two_seconds(void **state)
{
	/* The second has its own process group, as ninja's compilers have. */
	const char *script = "trap '' TERM; echo $$\n"
			     "sh -c 'echo $$; while :; do sleep 1; done' &\n"
			     "set -m; sh -c 'echo $$; while :; do sleep 1; done' &\n"
			     "wait; wait; wait\n";
	struct seen seen = {.cancel_after = 3};
	struct err e = {0};
	int status = -1;
	int64_t begin = clock_ms();

	assert_false(run((const char *const[]){"bash", "-c", script, NULL}, &seen, &status, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	assert_true(clock_ms() - begin < 2000);
	assert_all_dead(&seen, 3);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	buf_done(&seen.text);
}

static void cancel_reaches_who_outlived_the_program(void **state)
{
	struct seen seen = {.cancel_after = 1};
	struct err e = {0};
	int status = -1;

	assert_false(run(SH("sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & exit 0"),
			 &seen, &status, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	assert_all_dead(&seen, 1);
	buf_done(&seen.text);
}

static void what_a_program_leaves_behind_does_not_hold_us(void **state)
{
	struct seen seen = {0};
	struct err e = {0};
	int status = -1;

	assert_true(run(SH("sleep 1000 & echo $!; exit 7"), &seen, &status, &e));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_all_dead(&seen, 1);
	buf_done(&seen.text);
}

/* One in the program's session, one in a group and one in a session of its own. Each says its pid.
 */
static const char *const family[] = {
	"bash", "-c",
	"exec 2>/dev/null\n" /* that setsid's parent is done */
	"trap '' TERM; echo $$\n"
	"set -m; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &\n"
	"setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &\n"
	"wait; wait; wait\n",
	NULL};

static void cancel_reaches_who_left_the_session(void **state)
{
	struct seen seen = {.cancel_after = 3};
	struct err e = {0};
	int status = -1;
	int64_t begin = clock_ms();

	assert_false(run(family, &seen, &status, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	assert_true(clock_ms() - begin < 2000);
	assert_all_dead(&seen, 3);
	buf_done(&seen.text);
}

static void tell_pid(void *arg, const char *line)
{
	pid_t pid = (pid_t)strtol(line, NULL, 10);

	(void)!write(*(int *)arg, &pid, sizeof(pid));
}

static bool any_alive(const pid_t *pids, int count)
{
	for (int i = 0; i < count; i++) {
		if (proc_alive(pids[i], proc_start_time(pids[i])))
			return true;
	}
	return false;
}

static void nobody_outlives_us_by_a_second(void **state)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	pid_t pids[3] = {0};
	int pipe_ends[2];
	int64_t killed;
	pid_t us;

	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	us = fork();
	if (us == 0) {
		const struct proc_run spec = {
			.argv = family, .on_line = tell_pid, .arg = &pipe_ends[1]};
		int status = 0;

		_exit(proc_run(&spec, &status, NULL));
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(read(pipe_ends[0], &pids[i], sizeof(pids[i])), sizeof(pids[i]));
	assert_true(any_alive(&pids[2], 1));
	(void)kill(us, SIGKILL);
	killed = clock_ms();
	while (any_alive(pids, 3) && clock_ms() - killed < 1000)
		(void)nanosleep(&pause, NULL);
	assert_false(any_alive(pids, 3));
	assert_int_equal(waitpid(us, NULL, 0), us);
	(void)close(pipe_ends[0]);
	(void)close(pipe_ends[1]);
}

static void the_guard_ends_as_the_program_did(void **state)
{
	static const struct {
		const char *script;
		int status;
	} cases[] = {
		{"exit 0", 0},
		{"exit 7", 7 << 8},
		{"kill -SEGV $$", SIGSEGV},
		{"kill -TERM $$", SIGTERM},
		{"kill -KILL $$", SIGKILL},
		{"kill -PIPE $$", SIGPIPE},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *const *argv = SH(cases[i].script);
		struct seen seen = {0};
		struct err e = {0};
		int status = -1;

		assert_true(run(argv, &seen, &status, &e));
		assert_int_equal(status & ~0x80 /* a core */, cases[i].status);
	}
}

static void cancelled_before_is_never_started(void **state)
{
	struct seen seen = {.lines = 1, .cancel_after = 1};
	struct err e = {0};
	int status = -1;

	assert_false(run(SH("echo no"), &seen, &status, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	assert_null(seen.text.data);
}

static void a_silent_program_is_stopped(void **state)
{
	struct err e = {0};
	int status = -1;
	const struct proc_run spec = {.argv = sleeper, .quiet_ms = 50};

	assert_false(proc_run(&spec, &status, &e));
	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_string_equal(e.msg, "'sleep' printed nothing for 0.05 s and was stopped");
}

static void *spawn_and_end(void *arg)
{
	*(struct proc *)arg = spawn(&(struct proc_spec){
		.argv = sleeper, .in = -1, .out = -1, .err = -1, .death_signal = SIGUSR1});
	return NULL;
}

static void a_child_dies_with_the_thread_that_made_it(void **state)
{
	pthread_t thread;
	struct proc p = {.pidfd = -1};
	int status = -1;

	assert_int_equal(pthread_create(&thread, NULL, spawn_and_end, &p), 0);
	(void)pthread_join(thread, NULL);
	assert_true(proc_wait(&p, 10000, &status));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

static void *spawn_many(void *arg)
{
	int *good = arg;

	for (int i = 0; i < 25; i++) {
		struct err e = {0};
		int status = -1;
		char tail[64];
		const struct proc_run spec = {.argv = (const char *const[]){"echo", "hello", NULL},
					      .tail = tail,
					      .tail_size = sizeof(tail)};

		*good +=
			proc_run(&spec, &status, &e) && status == 0 && strcmp(tail, "hello\n") == 0;
	}
	return NULL;
}

static void threads_spawn_at_once(void **state)
{
	pthread_t threads[4];
	int good[4] = {0};

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spawn_many, &good[i]), 0);
	for (int i = 0; i < 4; i++) {
		(void)pthread_join(threads[i], NULL);
		assert_int_equal(good[i], 25);
	}
}

static void a_child_sees_only_what_is_meant_for_it(void **state)
{
	const char *const set[] = {"LD_LIBRARY_PATH",
				   "PYTHONPATH",
				   "GGML_BACKEND_PATH",
				   "LLAMA_ARG_X",
				   "CMAKE_PREFIX_PATH",
				   "CFLAGS",
				   "CC",
				   "PIP_INDEX_URL",
				   "HTTPS_PROXY",
				   "no_proxy"};
	struct strv env = {0};
	struct buf found = {0};

	for (size_t i = 0; i < ARRAY_LEN(set); i++)
		assert_int_equal(setenv(set[i], "x", 1), 0);
	proc_clean_env(&env);
	for (size_t i = 0; i < ARRAY_LEN(set); i++) {
		for (size_t k = 0; k < env.count; k++) {
			if (strncmp(env.items[k], set[i], strlen(set[i])) == 0)
				buf_printf(&found, "%s ", env.items[k]);
		}
		(void)unsetenv(set[i]);
	}
	assert_string_equal(found.data, "PIP_INDEX_URL=x HTTPS_PROXY=x no_proxy=x ");
	buf_done(&found);
	strv_done(&env);
}

static void a_status_has_words(void **state)
{
	char text[128];

	assert_string_equal(proc_status_text(1 << 8, text, sizeof(text)), "exit status 1");
	assert_string_equal(proc_status_text(SIGILL, text, sizeof(text)),
			    "killed by SIGILL (illegal instruction: built for another CPU?)");
	assert_string_equal(proc_status_text(SIGKILL, text, sizeof(text)),
			    "killed by SIGKILL (by force: out of memory?)");
	assert_string_equal(proc_status_text(SIGWINCH, text, sizeof(text)), "killed by signal 28");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_ends_at_newline_or_return),
		cmocka_unit_test(a_long_line_comes_in_pieces),
		cmocka_unit_test(the_tail_is_the_last_whole_lines),
		cmocka_unit_test_setup_teardown(what_cannot_start_says_why, test_dir_setup,
						test_dir_teardown),
		cmocka_unit_test(a_child_inherits_nothing),
		cmocka_unit_test(a_child_has_default_signals),
		cmocka_unit_test(fds_are_placed_even_when_they_cross),
		cmocka_unit_test(a_child_is_idle_and_first_to_go),
		cmocka_unit_test(all_that_an_idle_program_starts_is_idle),
		cmocka_unit_test(waiting_ends_with_the_child_or_the_time),
		cmocka_unit_test(cancel_ends_all_descendants_within_two_seconds),
		cmocka_unit_test(cancel_reaches_who_outlived_the_program),
		cmocka_unit_test(what_a_program_leaves_behind_does_not_hold_us),
		cmocka_unit_test(cancel_reaches_who_left_the_session),
		cmocka_unit_test(nobody_outlives_us_by_a_second),
		cmocka_unit_test(the_guard_ends_as_the_program_did),
		cmocka_unit_test(cancelled_before_is_never_started),
		cmocka_unit_test(a_silent_program_is_stopped),
		cmocka_unit_test(a_child_dies_with_the_thread_that_made_it),
		cmocka_unit_test(threads_spawn_at_once),
		cmocka_unit_test(a_child_sees_only_what_is_meant_for_it),
		cmocka_unit_test(a_status_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
