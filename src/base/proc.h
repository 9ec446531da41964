/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Child processes: argv arrays, never a shell; each leads a session and a process group of its
 * own, so that it can be ended with all its descendants (ninja gives each of its own children a
 * group, but not a session); nothing inherited but what is named. A child's PR_SET_PDEATHSIG fires
 * when the *thread* that spawned it ends: spawn from a thread that waits for the child, or from
 * main.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct proc {
	pid_t pid;           /* 0: none */
	pid_t program;       /* the same, or whom it guards */
	int pidfd;           /* −1: none; readable when it has ended */
	uint64_t start_time; /* /proc/<pid>/stat field 22: tells a reused pid */
};

struct proc_spec {
	const char *const
		*argv;          /* NULL-ended; argv[0] with '/' is a path, else looked up in PATH */
	const char *const *env; /* NULL-ended "K=V"; NULL: proc_clean_env() */
	const char *cwd;        /* NULL: inherited */
	int in, out, err;       /* fds for 0, 1, 2; −1: /dev/null. Not closed in the parent. */
	int death_signal;       /* PR_SET_PDEATHSIG, 0: none */
	int oom_score_adj;      /* 0: inherited */
	bool idle;              /* SCHED_IDLE and idle I/O */
	bool guarded;
	int lifeline; /* guarded: the reading end of a pipe */
};

/* Guarded: the process is a guard and the program its child, in its session; the guard ends as the
 * program did, once none of the program's descendants lives, whatever session it is in. It kills
 * them when they outlive the program by a second, and all of them when the lifeline's writing end
 * is closed, by us or by our death.
 * ERR_NOT_FOUND: no such program; ERR_SYSTEM: it or its cwd could not be used. */
MUST_CHECK bool proc_spawn(const struct proc_spec *spec, struct proc *ret_proc, struct err *e);
/* Waits at most timeout_ms (−1: for ever). True: it has ended, *ret_status as from waitpid, proc
 * emptied. */
bool proc_wait(struct proc *p, int timeout_ms, int *ret_status);
/* Signals the whole session, if the process is still ours (pid + start time). */
void proc_signal(const struct proc *p, int signal);
/* SIGTERM to all, SIGKILL after grace_ms to who is left, reaps, empties p. Also when the leader has
 * ended but others live. Returns the leader's status as from waitpid, 0 when it is not known. */
int proc_stop(struct proc *p, int grace_ms);
/* True when that pid runs and was started then. */
bool proc_alive(pid_t pid, uint64_t start_time);
uint64_t proc_start_time(pid_t pid);  /* 0: no such process */
int64_t proc_memory_bytes(pid_t pid); /* resident set (PSS where readable), 0: unknown */
/* Without files that it maps; also what is swapped out. What a leak grows. 0: unknown. */
int64_t proc_own_bytes(pid_t pid);
/* Of files that it maps, what is in memory. 0: unknown. */
int64_t proc_mapped_bytes(pid_t pid);
/* "exit status 1", "killed by SIGILL (illegal instruction: built for another CPU?)" … */
const char *proc_status_text(int status, char *buf, size_t size);

/* PATH HOME USER LANG TMPDIR TERM and the proxy, pip and TLS variables (PIP_*, *_PROXY,
 * SSL_CERT_FILE …) of ours; never LD_*, PYTHON*, GGML_*, LLAMA_*, CMAKE_*, CFLAGS and such. Caller
 * frees with strv_done. */
struct strv;
void proc_clean_env(struct strv *ret_env);

/* Runs a program under a guard to its end, its stdout and stderr line by line to on_line. What it
 * leaves behind may write for a second more, then it is killed. */
struct proc_run {
	const char *const *argv;
	const char *const *env; /* as proc_spec */
	const char *cwd;
	bool idle;
	int quiet_ms; /* killed when it prints nothing for so long; 0: no limit */
	void (*on_line)(void *arg, const char *line); /* may be NULL; '\r' ends a line too */
	bool (*cancelled)(void *arg);                 /* may be NULL; asked at least each 200 ms */
	void *arg;
	char *tail; /* may be NULL: gets the last lines of the output, NUL-terminated */
	size_t tail_size;
};
/* ERR_CANCELLED (whole group killed, ≤ 2 s), ERR_NOT_FOUND (no such program), ERR_SYSTEM (could not
 * start, quiet too long). An exit status other than 0 is not an error here: look at *ret_status. */
MUST_CHECK bool proc_run(const struct proc_run *run, int *ret_status, struct err *e);
