/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Environments: what a model runs in. A name (llm_<slug>_<backend>) that points to pieces in the
 * store, verified by a real generation. Which backend they are of says the row, not the name: a
 * rebuild may have put another in. Any thread.
 *
 *   planned ─► building ─► built ─► ready      built: the pieces are there, but not yet verified
 * (no ▲  │         │       │         memory free for the check): a model's first token │  └─►
 * failed ◄──────┘         does it └──────┘ ready fails when its pieces are gone; a rebuild goes
 * from ready or built to ready in one step, from failed as at first; all but building may go to
 * removed
 */

#include <stdbool.h>

#include "backend/backend.h"
#include "base/err.h"
#include "db/db.h"
#include "engine/engine.h"
#include "env/env_name.h"
#include "store/store.h"
#include "task/task.h"

#define TO(x) (1u << ENV_##x)
/* clang-format off */
#define ENV_STATES(X)   /* state, name in the API and the database, where it may go next */ \
	X(ENV_PLANNED,  "planned",  TO(BUILDING) | TO(REMOVED))                   \
	X(ENV_BUILDING, "building", TO(BUILT) | TO(FAILED))                       \
	X(ENV_BUILT,    "built",    TO(READY) | TO(FAILED) | TO(BUILDING) | TO(REMOVED)) \
	X(ENV_READY,    "ready",    TO(READY) | TO(BUILDING) | TO(FAILED) | TO(REMOVED)) \
	X(ENV_FAILED,   "failed",   TO(BUILDING) | TO(REMOVED))                   \
	X(ENV_REMOVED,  "removed",  0)
/* clang-format on */
#define ENV_ENUM(state, name, to) state,
enum env_state { ENV_STATES(ENV_ENUM) ENV_STATE_COUNT };
#undef ENV_ENUM

struct envs; /* all environments of the daemon */

struct envs_settings {
	struct db *db;
	struct store *store;
	struct engine *engine;
	const char *envs_dir;          /* <state_dir>/envs */
	const char *cache_dir;         /* lasting shader caches: <state_dir>/cache */
	const char *const *worker_env; /* NULL-ended K=V of `worker_env`, borrowed */
	const char *self;              /* path of our own program, for probes */
	bool provision;                /* `toolkit_provision` auto: nobody is asked */
};
/* Recovers: rows in `building` become failed ("the daemon stopped during the build"), stages are
 * swept, pieces that a row names but the store lacks make it failed, envs/<name>/ is made again
 * where it is missing. */
MUST_CHECK bool envs_open(const struct envs_settings *s, struct envs **ret, struct err *e);
void envs_free(struct envs *es);

/* How it is to be made. NULL or zeroes: as it was, else as usual. */
struct env_wish {
	char arch[128]; /* architectures to build for, as arch_parse() has them */
	bool anew;      /* what the store has is built again: that takes a compiler */
	bool provision; /* what is missing to build may be fetched with pip */
};
/* What the backend and every build need, on this machine. */
void envs_check(struct envs *es, const struct backend *b, const char *arch, struct toolkit *ret);
/* The cheap check before a build of that environment (NULL: of one that is new). ERR_TOOLKIT names
 * all that is missing; ERR_CONSENT: it can be fetched, which nobody has allowed yet. */
MUST_CHECK bool envs_toolkit(struct envs *es, const char *name, const struct backend *b,
			     const struct env_wish *w, struct toolkit *ret, struct err *e);
/* Of one that is ready: ERR_CONFLICT when it was built for other architectures than these. */
MUST_CHECK bool envs_has_arch(struct envs *es, const char *name, const struct env_wish *w,
			      struct err *e);
/* Is the environment ready, with this backend in it: pieces there and verified? Fills ret (may be
 * NULL) when a row exists. */
bool envs_ready(struct envs *es, const char *name, const struct backend *b, struct db_env *ret);
/* Is it ready, and its Python made? */
bool envs_complete(struct envs *es, const char *name, const struct backend *b);
/* Is it ready, with a Python that is not as its row says, and nobody at work on it? One that could
 * not be made is not tried again as long as nothing has changed. */
bool envs_python_is_due(struct envs *es, const char *name, const struct backend *b);
/* Why the environment's Python is not to be used, NULL: it is. Borrowed from the row. */
const char *envs_python_why_not(struct envs *es, const struct db_env *row);
/* Builds what is missing, verifies, records. Blocks; for task steps (t NULL: no progress, no
 * cancel). Two callers for one digest share one build; the build is cancelled when the last of them
 * is. Ends ready, or built (no memory free for the check), or failed with the reason and this
 * error. What is ready stays as it is; one that holds another backend gets this one as in a
 * rebuild. Its Python is not made. Pieces that were verified with another environment are not
 * verified again. */
MUST_CHECK bool envs_create(struct envs *es, const char *name, const struct backend *b,
			    const struct env_wish *w, struct task *t, struct err *e);
/* Puts that backend into an environment there is (ERR_NOT_FOUND), for all its models. What works
 * stays in use until the new is verified, and after a failure. anew: a word nobody used before, to
 * build also what the store has; NULL: no. */
MUST_CHECK bool envs_rebuild(struct envs *es, const char *name, const struct backend *b,
			     const struct env_wish *w, const char *anew, struct task *t,
			     struct err *e);
/* Makes and proves the Python of an environment that is ready (others get none yet), unless that is
 * done. Blocks, as envs_create; takes what pip and the network take, so it comes after what a user
 * waits for. What goes wrong becomes the reason in the environment, and is no error: this is false
 * when cancelled, when the daemon stops, when there is no such environment or its row can't be
 * saved. Who needs the Python asks envs_python_why_not then. */
MUST_CHECK bool envs_make_python(struct envs *es, const char *name, struct task *t, struct err *e);
/* What the runtime python needs of an environment that is ready: its Python, and llama_cpp.server's
 * packages. Blocks, as envs_create. ERR_UNAVAILABLE: why it has no Python. */
MUST_CHECK bool envs_make_server(struct envs *es, const char *name, struct task *t, struct err *e);
/* Is all that there? */
bool envs_has_server(struct envs *es, const char *name);
/* Undoes a rebuild: the row as it was. Its pieces are still there (envs_drop_roots). */
MUST_CHECK bool envs_put_back(struct envs *es, const struct db_env *before, struct err *e);
/* Lets go of builds that no environment names any more and `used` (a worker's, may be NULL) does
 * not claim: gc may have them. */
MUST_CHECK bool envs_drop_roots(struct envs *es, bool (*used)(void *arg, const char *digest),
				void *arg, struct err *e);
/* Removes row, folder and roots; ERR_NOT_FOUND, ERR_CONFLICT when `used_by` (a model id that uses
 * it, may be NULL) is given or while building. */
MUST_CHECK bool envs_remove(struct envs *es, const char *name, const char *used_by, struct err *e);

/* What a worker needs to run in an environment. Strings owned by the struct. */
struct env_run {
	char *name; /* environment */
	const struct backend *backend;
	char *base_dir; /* folder of llama-server and libraries */
	char *module;   /* path of the module, NULL for cpu */
	char *device;   /* "Vulkan0" verified; "none" for cpu */
	/* For the runtime python: interpreter, launcher, and what that needs besides; NULL: the
	 * environment has none, see envs_make_server. */
	char *python, *launcher, *packages;
	struct strv environ; /* whole environment for the process: clean, caches, worker_env,
				GGML_BACKEND_PATH */
};
MUST_CHECK bool envs_run_facts(struct envs *es, const char *name, struct env_run *ret,
			       struct err *e);
void env_run_done(struct env_run *r);
static inline void env_run_done_p(struct env_run *r)
{
	env_run_done(r);
}
/* After a first token of a real model on it: built → ready. */
MUST_CHECK bool envs_mark_ready(struct envs *es, const char *name, struct err *e);
/* A device as `llama-server --list-devices` says. */
struct env_device {
	char name[32]; /* Vulkan0 */
	char title[128];
	int64_t total_bytes, free_bytes;
	bool in_ram;   /* its memory is the machine's: an integrated GPU, or a CPU that plays one */
	bool software; /* a CPU that plays one */
};
/* Devices of the backend, by a child process; ERR_VERIFY with the reason when there is none. Caller
 * frees the array with free(). */
MUST_CHECK bool envs_devices(struct envs *es, const char *name, struct env_device **ret,
			     size_t *ret_count, struct err *e);
