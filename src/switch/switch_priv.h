/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: the live state of each model, and the changes of it. */

#include <pthread.h>

#include "switch/switch.h"

/* A model's live state. Never freed before the end. */
struct entry {
	struct entry *next;
	char *id;
	struct route *route;
	/* guarded by switcher->lock */
	enum model_state state;
	char reason[512];
	struct worker *worker; /* NULL: none */
	char *loaded_as; /* environment and options of the worker: the same again is nothing to do
			  */
	bool busy;       /* someone changes it: the model's slot */
	char task[TASK_ID_SIZE]; /* the task that will change or changes it, "" */
	char *task_backend;      /* what that task switches to; NULL: a load */
	int failures;            /* in a row, for the back-off */
	int64_t not_before;      /* monotonic ms: no start on demand before */
	int64_t ready_since;     /* monotonic ms */
};

struct switcher {
	struct switcher_settings s;
	pthread_mutex_t lock;
	pthread_cond_t freed; /* a slot was given back */
	struct entry *entries;
};

/* Lock held. NULL: unknown. */
struct entry *entry_find(struct switcher *sw, const char *id);

/* Takes the model's slot; waits while another has it. ERR_CANCELLED. */
MUST_CHECK bool entry_claim(struct switcher *sw, struct entry *en, bool (*cancelled)(void *),
			    void *arg, struct err *e);
void entry_release(struct switcher *sw, struct entry *en);
/* Lock held. Requests wait for a worker that nobody will bring: the route must be closed. */
bool entry_line_is_left(const struct entry *en);
/* Failures on another backend say nothing about this one: no back-off. */
void entry_fresh(struct switcher *sw, struct entry *en);
/* The only writer of a model's state; tells live viewers. why: NULL or the failure. */
void entry_set_state(struct switcher *sw, struct entry *en, enum model_state state,
		     const struct err *why);

/* --- changes; the slot is held ------------------------------------------ */

/* Unloaded → loaded in its environment (of `m`). On failure: failed, with the reason. */
MUST_CHECK bool change_load(struct switcher *sw, struct entry *en, const struct db_model *m,
			    struct task *t, struct err *e);
/* Loaded → loaded in `environment` on `backend` (or the same with other options): hold, drain, stop
 * the old, start the new, flip; the old one comes back when the new one doesn't come up. */
MUST_CHECK bool change_replace(struct switcher *sw, struct entry *en, const struct db_model *m,
			       const char *backend, const char *environment, bool force,
			       struct task *t, struct err *e);
/* Loaded → unloaded. ERR_BUSY when requests still run after drain_timeout and not force. */
MUST_CHECK bool change_unload(struct switcher *sw, struct entry *en, bool force,
			      bool (*cancelled)(void *), void *arg, struct err *e);
/* What a load of this model now would be: compare with entry->loaded_as. Caller frees. */
char *change_key(const struct db_model *m, const char *environment);
