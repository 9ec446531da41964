/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a program. Other threads may hold any lock at the fork, so all that the child needs is
 * made before it, and the child makes only async-signal-safe calls. A pipe that the exec closes
 * tells the parent whether there was one.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/proc_priv.h"

enum step { STEP_FDS, STEP_CWD, STEP_GUARD, STEP_PROGRAM, STEP_EXEC };

/* What the child writes when it did not get to be the program; and a guarded one who it is. */
struct report {
	enum step step;
	int number; /* an error's, or at STEP_PROGRAM its pid */
};

/* Made before the fork. */
struct plan {
	const struct proc_spec *spec;
	const char *path;
	const char *const *env;
	int fds[5]; /* for 0, 1, 2, the pipe for the report, and the lifeline (may be −1) */
	pid_t parent;
	char oom_score_adj[16];
};

/* --- in the child ------------------------------------------------------- */

static _Noreturn void give_up(int fd, enum step step)
{
	const struct report r = {step, errno};

	(void)!write(fd, &r, sizeof(r));
	_exit(127);
}

static void introduce(int fd)
{
	const struct report r = {STEP_PROGRAM, getpid()};

	(void)!write(fd, &r, sizeof(r));
}

static void keep_no_other_fds(void)
{
	if (syscall(SYS_close_range, 3U, UINT_MAX, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) == 0)
		return;
	for (int fd = 3; fd < 4096; fd++) /* Linux before 5.11, or a container that forbids it */
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void fds_close(unsigned int first)
{
	if (syscall(SYS_close_range, first, UINT_MAX, 0U) == 0)
		return;
	for (int fd = (int)first; fd < 4096; fd++)
		(void)close(fd);
}

/* The sources may be 0 to 2 themselves: first all out of the way, then into place. */
static int place_fds(const struct plan *plan, int *ret_lifeline)
{
	int up[5];

	for (int i = 4; i >= 0; i--) {
		up[i] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, 3);
		if (up[i] < 0 && plan->fds[i] >= 0)
			give_up(i >= 3 ? plan->fds[3] : up[3], STEP_FDS);
	}
	for (int i = 0; i < 3; i++) {
		if (dup2(up[i], i) < 0)
			give_up(up[3], STEP_FDS);
	}
	keep_no_other_fds();
	*ret_lifeline = up[4];
	return up[3];
}

/* Splits in two: who returns will be the program, the other is its guard, and its parent. */
static pid_t get_guard(int lifeline, int report)
{
	pid_t guard = getpid();
	pid_t program;

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	program = fork();
	if (program < 0)
		give_up(report, STEP_GUARD);
	if (program > 0)
		guard_run(program, lifeline);
	return guard;
}

static void reset_signals(void)
{
	const struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &standard, NULL); /* not for KILL, STOP and libc's own */
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* Where each session has a share of its own (autogroup), a policy counts only within it, and an
 * idle session would get as much as a worker's. Anyone may lower it, ten times a second. */
static void lower_session(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 3; i++) {
		if (write(fd, "19", 2) >= 0 || errno != EAGAIN)
			break;
		(void)nanosleep(&pause, NULL);
	}
	if (fd >= 0)
		(void)close(fd);
}

static void take_a_back_seat(void)
{
	const struct sched_param param = {0};

	lower_session();
	(void)syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &param);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static void set_oom_score(const char *text)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		(void)close(fd);
	}
}

static _Noreturn void be_child(const struct plan *plan)
{
	const struct proc_spec *spec = plan->spec;
	pid_t parent = plan->parent;
	int lifeline = -1;
	int report = place_fds(plan, &lifeline);

	(void)setsid();
	if (spec->cwd && chdir(spec->cwd) < 0)
		give_up(report, STEP_CWD);
	if (lifeline >= 0) {
		parent = get_guard(lifeline, report);
		introduce(report);
	}
	if (spec->death_signal) {
		(void)prctl(PR_SET_PDEATHSIG, spec->death_signal);
		if (getppid() != parent) /* died before the line above */
			_exit(127);
	}
	if (spec->oom_score_adj)
		set_oom_score(plan->oom_score_adj);
	if (spec->idle)
		take_a_back_seat();
	reset_signals();
	execve(plan->path, (char *const *)spec->argv, (char *const *)plan->env);
	give_up(report, STEP_EXEC);
}

/* --- in the parent ------------------------------------------------------ */

static bool find_program(const char *name, char **ret_path, struct err *e)
{
	*ret_path = strchr(name, '/') ? mem_dup(name) : fs_which(name);
	if (*ret_path)
		return true;
	(void)err_set(e, ERR_NOT_FOUND, "program '%s' was not found in PATH", name);
	return err_hint(e, "install '%s', or add its folder to PATH", name);
}

/* Every signal waits while a second process runs our handlers' code. */
static pid_t fork_quietly(const struct plan *plan, int *ret_errnum)
{
	sigset_t all, before;
	pid_t pid;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		be_child(plan);
	*ret_errnum = errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static bool explain(const struct plan *plan, const struct report *r, struct err *e)
{
	if (r->step == STEP_FDS)
		return err_sys(e, r->number, "start '%s': file descriptors", plan->path);
	if (r->step == STEP_GUARD)
		return err_sys(e, r->number, "start '%s': fork", plan->path);
	if (r->step == STEP_CWD)
		return err_sys(e, r->number, "start '%s': enter '%s'", plan->path, plan->spec->cwd);
	if (r->number == ENOENT && access(plan->path, F_OK) == 0) {
		(void)err_set(e, ERR_SYSTEM, "start '%s': its interpreter or loader is missing",
			      plan->path);
		return err_hint(e, "was it built for another system? 'file %s' tells", plan->path);
	}
	if (r->number == ENOENT || r->number == ENOTDIR)
		return err_set(e, ERR_NOT_FOUND, "program '%s' does not exist", plan->path);
	return err_sys(e, r->number, "start '%s'", plan->path);
}

/* The next report. 0: there was an exec. */
static ssize_t read_report(int fd, struct report *ret)
{
	ssize_t n;

	do {
		n = read(fd, ret, sizeof(*ret));
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Waits for the exec. True: it happened. */
static bool executed(const struct plan *plan, int from_child, pid_t pid, pid_t *ret_program,
		     struct err *e)
{
	struct report r;
	ssize_t n = read_report(from_child, &r);

	*ret_program = pid;
	if (n == sizeof(r) && r.step == STEP_PROGRAM) {
		*ret_program = r.number;
		n = read_report(from_child, &r);
	}
	if (n == 0)
		return true;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (n != sizeof(r))
		return err_set(e, ERR_SYSTEM, "start '%s': no report from the child", plan->path);
	return explain(plan, &r, e);
}

static bool fork_and_exec(struct plan *plan, struct proc *ret_proc, struct err *e)
{
	int ends[2], errnum = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "start '%s': pipe", plan->path);
	CLEANUP(close) int from_child = ends[0];
	plan->fds[3] = ends[1];
	plan->parent = getpid();
	pid_t pid = FAULT("proc.spawn") ? -1 : fork_quietly(plan, &errnum);
	(void)close(ends[1]);
	if (pid < 0)
		return err_sys(e, errnum, "start '%s': fork", plan->path);
	pid_t program;
	if (!executed(plan, from_child, pid, &program, e))
		return false;
	*ret_proc = (struct proc){
		.pid = pid,
		.program = program,
		.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
		.start_time = proc_start_time(pid),
	};
	return true;
}

bool proc_spawn(const struct proc_spec *spec, struct proc *ret_proc, struct err *e)
{
	CLEANUP(free) char *path = NULL;
	CLEANUP(strv_done) struct strv clean = {0};
	CLEANUP(close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct plan plan = {.spec = spec, .env = spec->env};

	if (null < 0)
		return err_sys(e, errno, "open '/dev/null'");
	if (!find_program(spec->argv[0], &path, e))
		return false;
	if (!plan.env) {
		proc_clean_env(&clean);
		plan.env = strv_items(&clean);
	}
	plan.path = path;
	plan.fds[0] = spec->in < 0 ? null : spec->in;
	plan.fds[1] = spec->out < 0 ? null : spec->out;
	plan.fds[2] = spec->err < 0 ? null : spec->err;
	plan.fds[4] = spec->guarded ? spec->lifeline : -1;
	(void)snprintf(plan.oom_score_adj, sizeof(plan.oom_score_adj), "%d", spec->oom_score_adj);
	return fork_and_exec(&plan, ret_proc, e);
}
