/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A running server of one model in one environment: llama-server, or Python's (runtime.h).
 * Processes are forked, watched and reaped by the supervisor in the main thread (PR_SET_PDEATHSIG
 * fires when the forking thread ends); any thread may ask for a start or a stop and waits for it.
 * Workers are reference-counted.
 *
 *   DOWN ─start─► STARTING ─ready─► RUNNING ─stop─► STOPPING ─exit─► DOWN
 *                    │                 ├─exit────────────────────────► DOWN (a crash)
 *                    └─exit──► DOWN    └─stalled─► FAILING ─exit─────► DOWN (a crash)
 *
 * Why it went down is classified, and logged with the end of its output. What a RUNNING one is
 * watched for stands in watchdog.h.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/memory.h"
#include "worker/runtime.h"

struct supervisor;
struct worker;

enum worker_state {
	WORKER_STARTING,
	WORKER_RUNNING,
	WORKER_STOPPING, /* it was asked to, or did not come up */
	WORKER_FAILING,  /* it is being killed because it stopped working */
	WORKER_DOWN
};
const char *worker_state_name(enum worker_state s); /* "starting" */

struct worker_spec {          /* strings borrowed during worker_start, copied */
	const char *model_id; /* --alias */
	const char *model_path;
	const char *environment; /* name, to show */
	const char *backend;
	const struct runtime *runtime;
	const char *const *command; /* NULL-ended: the program, and what comes before all options */
	const char *device;         /* "none", "Vulkan0", "CUDA0,CUDA1": always passed */
	const char *device_prefix;  /* what the devices it reports must start with; NULL: cpu */
	const char *const *args;    /* NULL-ended, from the option table */
	const char *const *environ; /* NULL-ended, whole environment */
	const char *mode;           /* chat, embedding, rerank: how it is proved */
	int slots;                  /* generations at once */
	/* Of its conversations: where they may be saved (absolute, a folder; NULL: never), what
	 * they fit (see context_key), how many tokens its memory holds. */
	const char *context_dir, *context_key;
	int64_t context_tokens;
};

/* run_dir: 0700 folder for sockets and working folders, a short path; log_dir gets <model>.log
 * (rotated at 8 MiB). Orphans of an earlier daemon (pid files in run_dir, pid + start time) are
 * killed. */
MUST_CHECK bool supervisor_open(const char *run_dir, const char *log_dir, struct supervisor **ret,
				struct err *e);
/* The main thread's loop until supervisor_quit: forks, watches pidfds, reads the workers' stdout,
 * runs timers. signal_fd (a signalfd, may be −1) readable → on_signal, which may call
 * supervisor_quit. */
void supervisor_run(struct supervisor *sv, int signal_fd, void (*on_signal)(void *), void *arg);
void supervisor_quit(
	struct supervisor *sv); /* any thread; workers are stopped before run returns */
void supervisor_free(struct supervisor *sv);
/* Called from the main thread when a worker that was RUNNING has ended unasked. Must not block. Set
 * once, before run. */
void supervisor_on_crash(struct supervisor *sv, void (*fn)(void *arg, struct worker *w), void *arg);

/* Called from the main thread when one that is RUNNING should be replaced before it does harm; why
 * is a sentence. It serves on meanwhile. Must not block. Set once, before run. */
void supervisor_on_ailing(struct supervisor *sv,
			  void (*fn)(void *arg, struct worker *w, const char *why), void *arg);
/* Before the first start. */
struct watch_limits {
	int64_t stall_ms;     /* without progress, while loading or while a request waits */
	int64_t growth_bytes; /* more than when it was ready: replaced. 0: when memory is short */
};
void supervisor_set_limits(struct supervisor *sv, const struct watch_limits *limits);

/* Starts and waits until it answers, reports the device it was given, or has failed.
 * progress: 0 … 1 of the load, may be NULL. cancelled may be NULL. A start that makes no progress
 * (no load percentage, no CPU time, no output) for stall_ms is killed. *ret holds a reference for
 * the caller. ERR_NO_SPACE: out of memory; ERR_WORKER: why it ended, classified (missing library,
 * SIGILL, unknown device, bad model …), with the end of its output. */
MUST_CHECK bool worker_start(struct supervisor *sv, const struct worker_spec *spec,
			     void (*progress)(void *arg, double fraction),
			     bool (*cancelled)(void *arg), void *arg, struct worker **ret,
			     struct err *e);
/* Exit line on stdin, SIGTERM, close stdin, SIGKILL; returns when the process is reaped
 * (bounded: ≤ 5 s, also when a driver holds it longer). Idempotent. Upstream connections should be
 * closed first. */
void worker_stop(struct worker *w);
struct worker *worker_ref(struct worker *w);
void worker_unref(struct worker *w); /* NULL is fine; the last one needs the process to be gone */
CLEANUP_DEFINE(worker_unref, struct worker)

/* What the gateway, the switch and the watchdog tell each other about a worker's requests. Written
 * by switch/route.c, but the last three; read anywhere. */
struct worker_traffic {
	atomic_int running; /* requests on it now */
	atomic_int movable; /* of them, those that can stop and go on elsewhere */
	atomic_uint cuts;   /* grows each time running requests are to be cut */
	atomic_uint moves;  /* grows each time movable ones are asked to leave */
	/* the gateway's: */
	atomic_llong touched_ms; /* monotonic: when bytes of an answer last came */
	atomic_llong awaited_ms; /* monotonic: when someone last waited for bytes */
	atomic_uint breaks;      /* answers that it broke off */
};
struct worker_traffic *worker_traffic(struct worker *w);
/* Any thread. Bytes of an answer have come. A comment in a stream is a sign that HTTP lives, which
 * it does in a server that computes no more: it doesn't count. */
void worker_touch(struct worker *w, const char *bytes, size_t len);
/* Who reads from it finds nothing there: about every second. Not while a client that is slow to
 * read is what is waited for. */
void worker_await(struct worker *w);
/* It closed a connection in the middle of an answer, or garbled it. */
void worker_broke_off(struct worker *w);

enum worker_state worker_state(const struct worker *w);
const char *worker_socket(const struct worker *w);
const char *worker_model(const struct worker *w);
const char *worker_environment(const struct worker *w);
const char *worker_backend(const struct worker *w);
const char *worker_device(const struct worker *w);
const char *worker_mode(const struct worker *w); /* chat, embedding, rerank */
const struct runtime *worker_runtime(const struct worker *w);
int worker_pid(const struct worker *w);
int worker_slots(const struct worker *w);
int64_t worker_started(const struct worker *w); /* wall ms */
/* Now: of the process, and what it said that it took on its devices when it loaded. */
int64_t worker_memory_bytes(const struct worker *w);
/* What its load took: as it said itself, and of the process, seen from outside, now. */
struct worker_took {
	struct memory memory; /* its buffers */
	int layers_on,
		layers; /* on devices, of so many; 0 of 0: it did not say, or is on the CPU */
	int64_t private_bytes; /* of the process, what is no file's */
};
void worker_took(const struct worker *w, struct worker_took *ret);
/* Why it went down: a copy, "" while it lives. Caller frees. */
char *worker_death(const struct worker *w);
bool worker_continues(const struct worker *w); /* as worker_prove found */
/* Generates one token of the loaded model: the proof at a switch. Also finds out whether a chat
 * answer that was begun can go on, letter by letter; not all templates allow that. */
MUST_CHECK bool worker_prove(struct worker *w, bool (*cancelled)(void *), void *arg, struct err *e);
/* Path of a model's log, caller frees. */
char *supervisor_log_path(const struct supervisor *sv, const char *model_id);

/* What its slots can hold; borrowed from the worker. */
struct worker_context {
	const char *dir, *key; /* as in the spec */
	int64_t tokens;
	int64_t bytes; /* of that memory, as it said when it loaded; 0: it did not */
};
void worker_get_context(struct worker *w, struct worker_context *ret);
