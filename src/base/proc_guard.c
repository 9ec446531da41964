/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between us and a program that we run to its end: nothing that the program starts may
 * outlive us, whatever groups and sessions it makes, also when we are killed. A fork of ours that
 * never execs, so it makes only async-signal-safe calls. Orphans among its descendants become its
 * children (it is a subreaper), so killing its children until there are none reaches all of them.
 */

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc_priv.h"

enum {
	LINGER_MS = 1000, /* for what the program leaves behind */
	LOOK_MS = 10      /* between two looks at who still lives */
};

struct guard {
	pid_t self, program;
	int lifeline, signals;
	int status;       /* the program's */
	int64_t ended_ms; /* when the program ended, 0: it runs */
};

/* False: no descendant is left. */
static bool reap(struct guard *g)
{
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == g->program) {
			g->status = status;
			g->ended_ms = clock_ms();
		}
	}
	return pid == 0;
}

/* Until we reap it, a child's number means nobody else. */
static void kill_child(void *arg, pid_t pid)
{
	const struct guard *g = arg;
	struct proc_stat stat;

	if (proc_stat(pid, &stat) && stat.parent == g->self)
		(void)kill(pid, SIGKILL);
}

/* −1: nothing to wait for but signals and the lifeline. */
static int ms_left(const struct guard *g)
{
	int64_t left = g->ended_ms + LINGER_MS - clock_ms();

	if (!g->ended_ms)
		return -1;
	return left > 0 ? (int)left : 0;
}

/* Until a child ends or the lifeline is cut; true when that has come, or time is up. */
static bool is_over(struct guard *g, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = g->lifeline, .events = POLLIN},
		{.fd = g->signals, .events = POLLIN},
	};
	struct signalfd_siginfo info;

	if (poll(fds, 2, timeout_ms) == 0)
		return true;
	(void)!read(g->signals, &info, sizeof(info));
	return fds[0].revents != 0;
}

static void watch(struct guard *g)
{
	bool over = false;

	while (reap(g)) {
		if (over)
			proc_each(kill_child, g);
		over = is_over(g, over ? LOOK_MS : ms_left(g)) || over;
	}
}

/* As the program ended, without a second core file. */
static _Noreturn void end_as(int status)
{
	int signal_no = WTERMSIG(status);
	sigset_t set;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(signal_no, SIG_DFL);
	(void)kill(getpid(), signal_no);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signal_no);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	_exit(128 + signal_no);
}

_Noreturn void guard_run(pid_t program, int lifeline)
{
	struct guard g = {.self = getpid(), .program = program, .lifeline = STDIN_FILENO};
	sigset_t set;

	(void)prctl(PR_SET_NAME, "shunt-guard");
	(void)dup2(lifeline, g.lifeline);
	fds_close(1); /* others wait for the end of what only we would hold open */
	(void)signal(SIGCHLD, SIG_DFL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	g.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	watch(&g);
	end_as(g.status);
}
