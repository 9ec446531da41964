/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a child and ending it with all its descendants. A child leads a session: tools such
 * as ninja give each of their own children a process group, but leave them in the session. While
 * the leader is not reaped, its number cannot come to mean anything else.
 */
#include "base/proc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc_priv.h"

enum {
	LOOK_MS = 10,   /* between two looks at who still lives */
	DEATH_MS = 5000 /* from SIGKILL until we go on without: stuck in a driver */
};

static void forget(struct proc *p)
{
	if (p->pidfd >= 0)
		(void)close(p->pidfd);
	*p = (struct proc){.pidfd = -1};
}

static bool is_same(const struct proc *p)
{
	return p->pid > 0 && proc_start_time(p->pid) == p->start_time;
}

/* Readable when it has ended; a process that isn't our child (after a restart) may have no pidfd.
 */
static bool ended_within(const struct proc *p, int timeout_ms)
{
	struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};

	if (p->pidfd >= 0)
		return poll(&fd, 1, timeout_ms) > 0;
	if (timeout_ms != 0)
		(void)poll(NULL, 0, timeout_ms > 0 && timeout_ms < LOOK_MS ? timeout_ms : LOOK_MS);
	return !proc_alive(p->pid, p->start_time);
}

static int reap(struct proc *p)
{
	int status = 0;

	while (waitpid(p->pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		status = 0; /* not our child */
		break;
	}
	forget(p);
	return status;
}

bool proc_wait(struct proc *p, int timeout_ms, int *ret_status)
{
	int64_t end = clock_ms() + timeout_ms;
	int left = timeout_ms;
	int status = 0;

	while (p->pid > 0 && !ended_within(p, left)) {
		if (timeout_ms >= 0) {
			left = (int)(end - clock_ms());
			if (left <= 0)
				return false;
		}
	}
	if (p->pid > 0)
		status = reap(p);
	if (ret_status)
		*ret_status = status;
	return true;
}

/* The pidfd makes the look and the signal one: a number that was given away between them is safe.
 */
static bool signal_member(pid_t pid, pid_t session, int signal)
{
	CLEANUP(close) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct proc_stat stat;

	if (!proc_stat(pid, &stat) || stat.session != session || stat.state == 'Z' ||
	    stat.state == 'X')
		return false;
	if (fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
	else
		(void)kill(pid, signal);
	return true;
}

struct sweep {
	pid_t session;
	int signal; /* 0: only counts */
	int living;
};

static void sweep_one(void *arg, pid_t pid)
{
	struct sweep *s = arg;

	s->living += signal_member(pid, s->session, s->signal);
}

static int signal_session(pid_t session, int signal)
{
	struct sweep s = {session, signal, 0};

	(void)kill(-session, signal);
	proc_each(sweep_one, &s);
	return s.living;
}

void proc_signal(const struct proc *p, int signal)
{
	if (is_same(p))
		(void)signal_session(p->pid, signal);
}

/* Waits until nobody of the session lives. `signal` again and again: new ones may be forked while
 * we look. */
static bool session_gone(const struct proc *p, int signal, int within_ms)
{
	int64_t end = clock_ms() + within_ms;

	while (signal_session(p->pid, signal) > 0) {
		if (clock_ms() >= end)
			return false;
		if (ended_within(p, LOOK_MS)) /* others are left: their end wakes nobody */
			(void)poll(NULL, 0, LOOK_MS);
	}
	return true;
}

int proc_stop(struct proc *p, int grace_ms)
{
	if (p->pid <= 0)
		return 0;
	if (!is_same(p)) {
		forget(p);
		return 0;
	}
	(void)signal_session(p->pid, SIGTERM);
	if (!session_gone(p, 0, grace_ms) && !session_gone(p, SIGKILL, DEATH_MS)) {
		log_warn("process does not die pid=%d after_ms=%d, continuing", (int)p->pid,
			 (int)DEATH_MS);
		forget(p);
		return 0;
	}
	return reap(p);
}
