/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Make another environment the active one, or put everything back: load, unload, switch-backend.
 * Owns each model's live state and its worker. A change of a model holds the model's slot (one at a
 * time per model); a first switch takes it only for its last step, after the build. Any thread; one
 * lock for memory and one transaction, never held across spawn, wait, network.
 *
 *   unloaded ─► loading ─► loaded ─► switching ─► loaded | failed
 *      ▲           └► failed  └─► unloading ─► unloaded
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "db/db.h"
#include "env/env.h"
#include "model/ability.h"
#include "switch/context.h"
#include "switch/fit.h"
#include "switch/route.h"
#include "task/task.h"
#include "worker/worker.h"

enum model_state {
	MODEL_UNLOADED,
	MODEL_LOADING,
	MODEL_LOADED,
	MODEL_SWITCHING,
	MODEL_UNLOADING,
	MODEL_FAILED
};
const char *model_state_name(enum model_state s);

struct switcher;
struct gpu_watch;
struct switcher_settings {
	struct db *db;
	struct tasks *tasks;
	struct envs *envs;
	struct supervisor *supervisor;
	struct routes *routes;
	struct contexts *contexts;
	struct gpu_watch *gpus; /* may be NULL */
	int64_t drain_timeout_ms;
	int64_t idle_unload_ms; /* of models that don't say; 0: never */
	int64_t memory_limit;   /* see fit.h */
	const char *self;       /* our own program, which asks drivers as a child */
};
/* Makes a route for each model of the catalogue. */
MUST_CHECK bool switcher_open(const struct switcher_settings *s, struct switcher **ret,
			      struct err *e);
void switcher_free(struct switcher *sw);
/* Loads the models marked keep_loaded, one after another, and from then on unloads idle ones; in a
 * thread of its own. */
void switcher_start(struct switcher *sw);
/* The daemon stops: that thread ends, and what is loaded now stays known as such. */
void switcher_leave(struct switcher *sw);

/* The catalogue changed: a model is new there, or has other aliases. */
void switcher_model_added(struct switcher *sw, const char *id);
/* Unloads and forgets live state and route; ERR_CONFLICT naming the task while one changes this
 * model. */
MUST_CHECK bool switcher_model_removed(struct switcher *sw, const char *id, struct err *e);

enum reload { RELOAD_AUTO, RELOAD_NO, RELOAD_YES };
struct switch_answer {
	char task[TASK_ID_SIZE];
	bool instant;      /* every piece is ready and verified */
	char message[320]; /* as in the document */
	char *environment; /* name, caller frees */
};
/* Everywhere w: how an environment that has to be made is to be; NULL: as usual. */
/* switch-backend, all answers of the contract: nothing to do → finished task; same switch under way
 * → its task; another → ERR_CONFLICT naming it, unless force supersedes it. `backend` as the user
 * wrote it, or auto: the ready one that is fastest by measurement (bench.h). The environment is
 * NULL as long as that is not known. */
MUST_CHECK bool switch_backend(struct switcher *sw, const char *id, const char *backend,
			       enum reload reload, bool force, const struct env_wish *w,
			       struct switch_answer *ret, struct err *e);
/* create-environment: as the build half of a switch. */
MUST_CHECK bool switch_create_environment(struct switcher *sw, const char *id, const char *backend,
					  const struct env_wish *w, struct switch_answer *ret,
					  struct err *e);
/* The legacy rebuild: the named environment gets this backend, also another than its name says, for
 * all models that use it. The old content serves until the new is verified; a failure, of a worker
 * on it too, leaves it. reload: AUTO replaces the workers that run there, YES also loads the
 * others, NO leaves them on the old content until their next load. force: builds what the store has
 * too, whoever uses it. The same rebuild under way: its task. */
MUST_CHECK bool switch_rebuild(struct switcher *sw, const char *name, const char *backend,
			       enum reload reload, bool force, const struct env_wish *w,
			       struct switch_answer *ret, struct err *e);
/* The environment in which a model runs on a backend: its own if it has that one, else the one
 * named so. Caller frees. */
char *switch_environment(const struct db_model *m, const struct backend *b);
/* Does a worker run on this piece of the store? Takes a struct switcher *. */
bool switcher_uses_piece(void *switcher, const char *digest);
/* load: merges no options itself (the API did); worker with the same options: a finished task.
 * Model without association: ERR_CONFLICT with a hint. The task under way for the same load is
 * returned again. */
MUST_CHECK bool switch_load(struct switcher *sw, const char *id, const struct env_wish *w,
			    char ret_task[static TASK_ID_SIZE], struct err *e);
/* Drains (at most drain_timeout, then cuts when force, else ERR_BUSY), stops; returns with memory
 * free. Not loaded: success. */
MUST_CHECK bool switch_unload(struct switcher *sw, const char *id, bool force, struct err *e);
/* The gateway's: something wants this model. Starts a load when it is not loaded and none runs;
 * honours the back-off after crashes (ERR_UNAVAILABLE). Returns without waiting: the route holds.
 */
MUST_CHECK bool switch_want(struct switcher *sw, const char *id, struct err *e);

/* What a load of the model would take, with the options of `m`, and whether there is room beside
 * what runs; starts nothing. backend: NULL, its own. */
struct forecast {
	const struct backend *backend;
	bool ready; /* its environment there is */
	struct fit fit;
};
MUST_CHECK bool switch_forecast(struct switcher *sw, const struct db_model *m, const char *backend,
				struct forecast *ret, struct err *e);

/* Ids of the models that have a worker. */
void switcher_loaded(struct switcher *sw, struct strv *ret);
/* What the model can be asked; wanted: ABILITY_…. ERR_NOT_FOUND. */
MUST_CHECK bool switcher_ability(struct switcher *sw, const char *id, unsigned wanted,
				 struct ability *ret, struct err *e);
/* What runs it, or will when it is loaded. */
const struct runtime *switcher_runtime(struct switcher *sw, const char *id);
/* A request's keep_alive: as long as this load lasts it takes the place of idle_unload. -1: for
 * ever; 0: unloaded when the last request ends. */
void switcher_keep_alive(struct switcher *sw, const char *id, int64_t ms);

/* A snapshot for the API. */
struct model_live {
	enum model_state state;
	char reason[512];        /* why failed, "" */
	char task[TASK_ID_SIZE]; /* task that changes it now, "" */
	struct worker *worker;   /* a reference, NULL: none; worker_unref */
	struct route_stats requests;
};
void switcher_live(struct switcher *sw, const char *id, struct model_live *ret);
enum { MODEL_STATE_COUNT = MODEL_FAILED + 1 };
/* How many models are in each state. */
void switcher_count(struct switcher *sw, int ret[static MODEL_STATE_COUNT]);
void model_live_done(struct model_live *l);
/* Conversations that came along, since the start. */
void switcher_context_totals(struct switcher *sw, struct context_totals *ret);
/* At the end, when nobody is served any more: keeps what keep_context asks for, at most so long, or
 * until `hurry` (may be NULL) says so. */
void switcher_keep(struct switcher *sw, int64_t timeout_ms, bool (*hurry)(void *), void *arg);
/* From the supervisor (main thread): a worker died. Doesn't block. */
void switcher_worker_crashed(void *switcher, struct worker *w);
/* From the supervisor (main thread): one should be replaced, and why. Doesn't block: a task does
 * it, as for other options, so that no request is lost. */
void switcher_worker_ailing(void *switcher, struct worker *w, const char *why);
