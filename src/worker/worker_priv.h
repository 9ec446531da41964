/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of this folder share. The supervisor's thread (main) owns processes and pipes and
 * is the only caller of worker_event(); other threads ask with supervisor_ask() and wait for
 * worker->changed.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/proc.h"
#include "worker/output.h"
#include "worker/watchdog.h"
#include "worker/worker.h"

enum worker_ask { EV_START, EV_READY, EV_STOP, EV_EXIT, EV_TIMEOUT, EV_COUNT };

/* Grouped by who may touch what, not by size. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct worker {
	atomic_int refs;
	struct supervisor *sv; /* set once; used only while the process lives */

	/* set once, at worker_start */
	char *model_id, *model_path, *environment, *backend, *device, *device_prefix, *mode;
	const struct runtime *runtime;
	struct strv command, args, environ;
	int slots;
	struct worker_context context; /* its strings owned; bytes unused */

	_Atomic enum worker_state state; /* written under lock */
	atomic_int pid;                  /* 0: no process */
	atomic_llong output_bytes;
	struct worker_traffic traffic;
	atomic_bool continues; /* set at the end of worker_prove */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	bool over; /* it will not come (back): failed, refused or ended */
	double fraction;
	bool said_ready;
	struct memory memory; /* as it said */
	int layers_on, layers;
	int64_t started; /* wall ms, 0: not yet */
	struct err verdict;

	/* set once, before pid */
	char *folder, *socket_name, *socket, *pid_file;
	int folder_fd; /* O_PATH, −1: none */

	/* main thread only */
	struct proc proc;
	int input;    /* our end of its stdin, −1: closed */
	int lifeline; /* closed: its guard kills it, and what it started */
	struct output out;
	struct watchdog dog;
	int status;          /* as from waitpid */
	int64_t deadline_ms; /* EV_TIMEOUT then; 0: none */
	int stop_step;
};

/* See worker_continues(); asks the worker. */
bool worker_find_continues(const struct worker *w);

struct supervisor {
	char *run_dir, *log_dir;
	/* set once, before run */
	struct watch_limits limits;
	void (*on_crash)(void *, struct worker *);
	void (*on_ailing)(void *, struct worker *, const char *);
	void *on_crash_arg, *ailing_arg;
	int wake; /* eventfd */

	pthread_mutex_t lock;
	/* guarded by lock */
	struct asked {
		struct worker *worker; /* a reference */
		enum worker_ask event;
	} * asked;
	size_t asked_count;
	bool quitting; /* no more starts */
	bool ended;    /* the loop has returned: nobody answers */

	/* main thread only */
	struct worker **live; /* a reference each */
	size_t live_count;
};

/* Hands an event to the main thread. False when there is none any more. */
bool supervisor_ask(struct supervisor *sv, struct worker *w, enum worker_ask event);

/* worker_state.c: the only writer of a worker's state. Main thread. */
void worker_set_state(struct worker *w, enum worker_state state);

/* worker.c, main thread: what the state table says. */
void worker_event(struct worker *w, enum worker_ask event);
/* Takes over what its output said. */
void worker_heard(struct worker *w);
/* Ends one that has no process: it will not start. Takes *why. */
void worker_refuse(struct worker *w, const struct err *why);

/* spawn.c, main thread. Folder, socket path, pid file, process. */
MUST_CHECK bool spawn_server(struct worker *w, struct err *e);
/* After its end: closes, removes the folder and the pid file. */
void spawn_clean(struct worker *w);

/* orphan.c: kills what an earlier daemon left, removes its folders. */
MUST_CHECK bool orphans_kill(const char *run_dir, struct err *e);
char *orphan_pid_file(const char *folder); /* caller frees */
MUST_CHECK bool orphan_note(const char *pid_file, const struct proc *p, struct err *e);
