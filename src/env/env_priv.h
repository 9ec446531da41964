/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside src/env: what its files share. */

#include <pthread.h>

#include "base/mem.h"
#include "env/env.h"
#include "env/env_state.h"

#define ENV_CHECK_PREFIX ".check-" /* work folder of a verification, in envs_dir */

struct busy; /* an environment that is being made or removed */

struct envs {
	struct envs_settings s; /* set once */
	char *envs_dir, *cache_dir, *self;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct busy *busy; /* guarded by lock */
};

static inline void db_env_done_p(struct db_env *row)
{
	db_env_done(row);
}

/* One at a time works on an environment: waits until it is ours, ERR_CANCELLED when meanwhile
 * `cancelled` says so. */
MUST_CHECK bool env_claim(struct envs *es, const char *name, bool (*cancelled)(void *), void *arg,
			  struct err *e);
/* Without waiting; false when someone else works on it. */
bool env_try_claim(struct envs *es, const char *name);
void env_release(struct envs *es, const char *name);
/* A piece for an environment that we work on: it stays, though no row names it yet. */
void env_hold(struct envs *es, const char *name, const char *digest);

/* The pieces that a row names; NULL: it has none of that kind. */
#define ENV_PIECES 5
static inline void env_digests(const struct db_env *row, const char *ret[static ENV_PIECES])
{
	ret[0] = row->base_digest;
	ret[1] = row->module_digest;
	ret[2] = row->python_digest;
	ret[3] = row->server_digest;
	ret[4] = row->libraries_digest;
}
/* Are all pieces that its workers run of in the store? Never looks at their contents. */
bool env_pieces_there(struct envs *es, const struct db_env *row);
/* Sum of its pieces, into the row. */
void env_measure(struct envs *es, struct db_env *row);
/* Row for a name: the one there is, or a new one in state planned (not saved). */
MUST_CHECK bool env_row(struct envs *es, const char *name, const char *backend, struct db_env *ret,
			struct err *e);

/* envs/<name>/: env.json, bin/ and lib/ with links into the store, its Python. In place: what the
 * user has installed there stays. */
MUST_CHECK bool env_folder_make(struct envs *es, const struct db_env *row, struct err *e);
MUST_CHECK bool env_folder_remove(struct envs *es, const char *name, struct err *e);

/* What a worker needs, from a row with pieces. */
void env_run_fill(struct envs *es, const struct db_env *row, const struct backend *b,
		  struct env_run *ret);

/* As envs_toolkit, of an environment whose row is known. */
MUST_CHECK bool env_toolkit(struct envs *es, const struct db_env *row, const struct backend *b,
			    const struct env_wish *w, struct toolkit *ret, struct err *e);
/* As envs_has_arch. */
MUST_CHECK bool env_has_arch(const struct db_env *row, const struct env_wish *w, struct err *e);

/* At open: finishes or undoes what an earlier run left. */
MUST_CHECK bool env_recover(struct envs *es, struct err *e);
