/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: the live state of each model, and the changes of it. */

#include <pthread.h>

#include "switch/fit.h"
#include "switch/switch.h"

/* A model's live state. Never freed before the end. */
struct entry {
	struct entry *next;
	char *id;
	struct route *route;
	/* guarded by switcher->lock */
	enum model_state state;
	int failures;          /* in a row, for the back-off */
	struct worker *worker; /* NULL: none */
	char *loaded_as;    /* environment, its pieces, and options of the worker: the same again is
			       nothing to do */
	int64_t not_before; /* monotonic ms: no start on demand before */
	int64_t rest_until; /* monotonic ms: no replacement of an ailing worker before */
	int64_t ready_since; /* monotonic ms */
	int64_t keep_alive_ms;
	char *task_backend; /* what the task switches to; NULL: a load */
	char *task_options; /* of a load that has begun: those that it read; NULL: not yet */
	char *first_backend;
	char task[TASK_ID_SIZE]; /* the task that will change or changes it, "" */
	/* A switch whose environment is still being made: beside it the model is loaded, changed
	 * and unloaded as if it weren't there. It becomes `task` for its last step. */
	char first_task[TASK_ID_SIZE]; /* "" */
	struct env_wish task_wish, first_wish;
	bool busy;       /* someone changes it: the model's slot */
	bool kept_alive; /* a request said how long it stays: until it is unloaded */
	char reason[512];
};

struct switcher {
	struct switcher_settings s;
	pthread_mutex_t lock;
	pthread_cond_t freed; /* a slot was given back */
	struct entry *entries;
	struct rebuild *rebuilds; /* guarded by lock */
	pthread_cond_t news;      /* a model's state has changed, or leaving */
	bool leaving;             /* guarded by lock: what is loaded now stays known as such */
	struct upkeep *upkeep;    /* of who starts and stops; NULL: none */
};

/* Lock held. NULL: unknown. */
struct entry *entry_find(struct switcher *sw, const char *id);

/* Takes the model's slot; waits while another has it. ERR_CANCELLED. */
MUST_CHECK bool entry_claim(struct switcher *sw, struct entry *en, bool (*cancelled)(void *),
			    void *arg, struct err *e);
void entry_release(struct switcher *sw, struct entry *en);
/* Lock held. The task that changes it or will, "". */
const char *entry_task(const struct entry *en);
/* Lock held. Requests wait for a worker that nobody will bring: the route must be closed. */
bool entry_line_is_left(const struct entry *en);
/* Lock held. One more failure: the first wait is none, then 2, 4 … 64 s. */
int64_t entry_back_off_ms(struct entry *en);
/* Failures on another backend say nothing about this one: no back-off. */
void entry_fresh(struct switcher *sw, struct entry *en);
/* The only writer of a model's state; tells live viewers. why: NULL or the failure. */
void entry_set_state(struct switcher *sw, struct entry *en, enum model_state state,
		     const struct err *why);

/* --- changes; the slot is held ------------------------------------------ */

/* Unloaded → loaded in its environment (of `m`). On failure: failed, with the reason. */
MUST_CHECK bool change_load(struct switcher *sw, struct entry *en, const struct db_model *m,
			    struct task *t, struct err *e);
/* Loaded → loaded in `environment` on `backend` (or the same with other options). On failure the
 * old worker serves: never stopped, or started again. */
MUST_CHECK bool change_replace(struct switcher *sw, struct entry *en, const struct db_model *m,
			       const char *backend, const char *environment, bool force,
			       struct task *t, struct err *e);
/* Loaded → unloaded. ERR_BUSY when requests still run after drain_timeout and not force. */
MUST_CHECK bool change_unload(struct switcher *sw, struct entry *en, bool force,
			      bool (*cancelled)(void *), void *arg, struct err *e);
/* Makes what the model needs in that environment: llama.cpp for the backend, and Python when that
 * is its runtime. Blocks, for task steps. */
MUST_CHECK bool change_prepare(struct switcher *sw, const struct db_model *m,
			       const char *environment, const struct backend *b,
			       const struct env_wish *w, struct task *t, struct err *e);
/* Of that only what the runtime needs. */
MUST_CHECK bool change_prepare_runtime(struct switcher *sw, const struct db_model *m,
				       const char *environment, struct task *t, struct err *e);
bool change_is_prepared(struct switcher *sw, const struct db_model *m, const char *environment,
			const struct backend *b);
/* What a load of this model now would be: compare with entry->loaded_as. Asked before the worker
 * starts: a rebuild that comes between makes it look old, never new. Caller frees. */
char *change_key(struct switcher *sw, const struct db_model *m, const char *environment);
/* Does its worker run on what that environment holds now? Only the slot's holder, or lock held. */
bool change_runs_in(struct switcher *sw, const struct entry *en, const char *environment);

/* rebuild.c. False: another backend would take the place of one that other models than `except`
 * use; names them. */
MUST_CHECK bool rebuild_disturbs_nobody(struct switcher *sw, const char *environment,
					const struct backend *b, const char *except, struct err *e);

/* --- of which changes are made; the slot is held ------------------------- */

/* The options in a change_key. */
const char *change_key_options(const char *key);
/* What conversations a worker there would take: see context_key. Caller frees. */
char *change_context_key(struct switcher *sw, const struct db_model *m, const char *environment);
/* The device that the model would run on, or several, joined by commas: the options', if the
 * backend has devices, else the environment's. Caller frees. */
char *change_device(const struct db_model *m, const struct env_run *run);
/* Are the devices of its options ones of that backend? For cpu they do not matter. */
MUST_CHECK bool change_owns_devices(const struct db_model *m, const struct backend *b,
				    struct err *e);
/* Is there memory for a worker of the model in that environment, beside all that run? old: of the
 * same model, may be NULL. Never fails; may ask a child process. No lock held. */
void change_fit(struct switcher *sw, const struct db_model *m, const char *environment,
		const struct worker *old, struct task *t, struct fit *ret);
/* Its options with the number of layers that fits now where they say auto; all, where all do. The
 * task's message tells when not all do. Caller frees. */
char *change_options(struct switcher *sw, const struct db_model *m, const struct env_run *run,
		     struct task *t);
/* A worker of the model in that environment, proved by a token. t may be NULL: no cancel. */
MUST_CHECK bool change_start(struct switcher *sw, const struct db_model *m, const char *environment,
			     struct task *t, struct worker **ret, struct err *e);
/* Gives it the conversations. One that is lost by that is started again, without. */
MUST_CHECK bool change_restore(struct switcher *sw, const struct db_model *m,
			       const char *environment, struct task *t, struct context *c,
			       struct worker **w, struct err *e);
/* kept.c: keep_context. What was kept of the model goes into *w, if it is still wanted. */
MUST_CHECK bool kept_restore(struct switcher *sw, const struct db_model *m, struct task *t,
			     struct worker **w, struct err *e);
/* Saves if it is to be kept; written down when the worker needs no more time. */
void kept_save(struct switcher *sw, struct entry *en, bool (*cancelled)(void *), void *arg,
	       struct context *ret);
void kept_write(struct context *kept);
/* Puts a worker into the entry, which has none; takes the reference and loaded_as. */
void change_set_worker(struct switcher *sw, struct entry *en, struct worker *w, char *loaded_as);
/* Takes it out; the caller's reference now. */
struct worker *change_take_worker(struct switcher *sw, struct entry *en);
/* Lets requests in to the entry's worker, unless it is dead. */
void change_go_on(struct switcher *sw, struct entry *en);
/* No worker came up: failed, with a pause before the next try. */
void change_give_up(struct switcher *sw, struct entry *en, const struct err *why);
/* Held: waits until nothing runs on the entry's worker, at most drain_timeout; then cuts when
 * force, else ERR_BUSY. */
MUST_CHECK bool change_drain(struct switcher *sw, struct entry *en, bool force,
			     bool (*cancelled)(void *), void *arg, struct err *e);
/* Cuts what runs on w. False: it does not end. */
bool change_cut(struct switcher *sw, struct entry *en, struct worker *w);
