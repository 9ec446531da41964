/* SPDX-License-Identifier: Apache-2.0 */
#include "env/env.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "env/env_devices.h"
#include "env/env_priv.h"
#include "env/env_python.h"

/* --- who works on what -------------------------------------------------- */

struct busy {
	struct busy *next;
	struct strv digests; /* pieces for it that no row names yet */
	char name[];
};

/* Lock held. */
static struct busy **find_busy(struct envs *es, const char *name)
{
	struct busy **p = &es->busy;

	while (*p && strcmp((*p)->name, name) != 0)
		p = &(*p)->next;
	return p;
}

/* Lock held. */
static void take(struct envs *es, const char *name)
{
	struct busy *b = mem_alloc(sizeof(*b) + strlen(name) + 1);

	memcpy(b->name, name, strlen(name) + 1);
	b->next = es->busy;
	es->busy = b;
}

bool env_try_claim(struct envs *es, const char *name)
{
	bool free_now;

	pthread_mutex_lock(&es->lock);
	free_now = !*find_busy(es, name);
	if (free_now)
		take(es, name);
	pthread_mutex_unlock(&es->lock);
	return free_now;
}

bool env_claim(struct envs *es, const char *name, bool (*cancelled)(void *), void *arg,
	       struct err *e)
{
	bool ok = true;

	pthread_mutex_lock(&es->lock);
	while (*find_busy(es, name) && ok) {
		struct timespec until = clock_after(200);

		pthread_cond_clockwait(&es->freed, &es->lock, CLOCK_MONOTONIC, &until);
		ok = !(cancelled && cancelled(arg));
	}
	if (ok)
		take(es, name);
	pthread_mutex_unlock(&es->lock);
	return ok || err_set(e, ERR_CANCELLED, "cancelled while environment '%s' was made", name);
}

void env_release(struct envs *es, const char *name)
{
	struct busy **p, *b;

	pthread_mutex_lock(&es->lock);
	p = find_busy(es, name);
	b = *p;
	assert(b); /* only who claimed it lets go */
	*p = b->next;
	strv_done(&b->digests);
	free(b);
	pthread_cond_broadcast(&es->freed);
	pthread_mutex_unlock(&es->lock);
}

void env_hold(struct envs *es, const char *name, const char *digest)
{
	pthread_mutex_lock(&es->lock);
	strv_add(&(*find_busy(es, name))->digests, digest);
	pthread_mutex_unlock(&es->lock);
}

/* Lock held. */
static bool is_held(const struct envs *es, const char *digest)
{
	for (const struct busy *b = es->busy; b; b = b->next)
		for (size_t i = 0; i < b->digests.count; i++)
			if (strcmp(b->digests.items[i], digest) == 0)
				return true;
	return false;
}

/* --- rows --------------------------------------------------------------- */

bool env_pieces_there(struct envs *es, const struct db_env *row)
{
	const struct backend *b = backend_find(row->backend);

	if (!b || !row->base_digest || !store_has(es->s.store, row->base_digest))
		return false;
	if (row->libraries_digest && !store_has(es->s.store, row->libraries_digest))
		return false;
	return !b->module || (row->module_digest && store_has(es->s.store, row->module_digest));
}

void env_measure(struct envs *es, struct db_env *row)
{
	const char *digests[ENV_PIECES];
	int64_t bytes;

	env_digests(row, digests);
	row->size_bytes = 0;
	for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
		if (digests[i] && store_size(es->s.store, digests[i], &bytes, NULL))
			row->size_bytes += bytes;
	}
}

bool env_row(struct envs *es, const char *name, const char *backend, struct db_env *ret,
	     struct err *e)
{
	struct err absent = {0};

	if (db_env_get(es->s.db, name, ret, &absent))
		return true;
	if (absent.kind != ERR_NOT_FOUND) {
		*e = absent;
		return false;
	}
	*ret = (struct db_env){.name = mem_dup(name),
			       .backend = mem_dup(backend),
			       .state = mem_dup(env_state_name(ENV_PLANNED)),
			       .created = clock_wall_ms()};
	return true;
}

bool envs_ready(struct envs *es, const char *name, const struct backend *b, struct db_env *ret)
{
	struct db_env row = {0};
	bool ready;

	if (!db_env_get(es->s.db, name, &row, NULL))
		return false;
	/* The row's backend is the truth, not the name's. */
	ready = strcmp(row.backend, b->name) == 0 &&
		strcmp(row.state, env_state_name(ENV_READY)) == 0 && env_pieces_there(es, &row);
	if (ret)
		*ret = row;
	else
		db_env_done(&row);
	return ready;
}

bool envs_complete(struct envs *es, const char *name, const struct backend *b)
{
	CLEANUP(db_env_done) struct db_env row = {0};

	return envs_ready(es, name, b, &row) && env_python_settled(es, &row) && !row.python_reason;
}

bool envs_python_is_due(struct envs *es, const char *name, const struct backend *b)
{
	CLEANUP(db_env_done) struct db_env row = {0};
	bool busy;

	pthread_mutex_lock(&es->lock);
	busy = *find_busy(es, name) != NULL;
	pthread_mutex_unlock(&es->lock);
	return !busy && envs_ready(es, name, b, &row) && !env_python_settled(es, &row);
}

bool envs_mark_ready(struct envs *es, const char *name, struct err *e)
{
	CLEANUP(db_env_done) struct db_env row = {0};

	if (!db_env_get(es->s.db, name, &row, e))
		return false;
	if (strcmp(row.state, env_state_name(ENV_READY)) == 0)
		return true;
	row.verified = clock_wall_ms();
	return env_set_state(es->s.db, &row, ENV_READY, NULL, e);
}

/* --- removal ------------------------------------------------------------ */

static bool names(const struct db_env *row, const char *digest)
{
	const char *digests[ENV_PIECES];
	bool found = false;

	env_digests(row, digests);
	for (size_t i = 0; i < ARRAY_LEN(digests); i++)
		found = found || (digests[i] && strcmp(digests[i], digest) == 0);
	return found;
}

struct needs {
	const struct envs *es; /* lock held */
	const struct db_env *list;
	size_t count;
	bool (*used)(void *arg, const char *digest);
	void *arg;
};

static bool is_needed(void *needs, const char *digest)
{
	const struct needs *n = needs;

	for (size_t i = 0; i < n->count; i++) {
		if (names(&n->list[i], digest))
			return true;
	}
	return is_held(n->es, digest) || (n->used && n->used(n->arg, digest));
}

bool envs_drop_roots(struct envs *es, bool (*used)(void *arg, const char *digest), void *arg,
		     struct err *e)
{
	struct needs n = {.es = es, .used = used, .arg = arg};
	struct db_env *list = NULL;
	bool ok;

	pthread_mutex_lock(&es->lock);
	ok = db_env_list(es->s.db, &list, &n.count, e);
	n.list = list;
	ok = ok && store_roots_keep(es->s.store, is_needed, &n, e);
	pthread_mutex_unlock(&es->lock);
	db_envs_free(list, n.count);
	return ok;
}

/* The row goes after the folder: a crash between leaves a row that opening makes whole again. The
 * roots go with the next gc. */
static bool remove_it(struct envs *es, const char *name, struct err *e)
{
	CLEANUP(db_env_done) struct db_env row = {0};

	return db_env_get(es->s.db, name, &row, e) && env_folder_remove(es, name, e) &&
	       env_set_state(es->s.db, &row, ENV_REMOVED, NULL, e) &&
	       db_env_delete(es->s.db, name, e);
}

bool envs_remove(struct envs *es, const char *name, const char *used_by, struct err *e)
{
	bool ok;

	if (used_by) {
		(void)err_set(e, ERR_CONFLICT, "environment '%s' is in use by model '%s'", name,
			      used_by);
		return err_hint(e, "switch the model to another backend first");
	}
	if (!env_try_claim(es, name)) {
		(void)err_set(e, ERR_CONFLICT, "environment '%s' is being made right now", name);
		return err_hint(e, "wait for its task, or cancel it");
	}
	ok = remove_it(es, name, e);
	env_release(es, name);
	return ok;
}

/* --- life --------------------------------------------------------------- */

bool envs_open(const struct envs_settings *s, struct envs **ret, struct err *e)
{
	struct envs *es = mem_alloc(sizeof(*es));

	es->s = *s;
	es->envs_dir = mem_dup(s->envs_dir);
	es->cache_dir = mem_dup(s->cache_dir);
	es->self = mem_dup(s->self);
	pthread_mutex_init(&es->lock, NULL);
	pthread_cond_init(&es->freed, NULL);
	if (!fs_mkdirs(es->envs_dir, 0700, e) || !env_recover(es, e)) {
		envs_free(es);
		return err_wrap(e, "opening the environments");
	}
	*ret = es;
	return true;
}

void envs_free(struct envs *es)
{
	if (!es)
		return;
	pthread_mutex_destroy(&es->lock);
	pthread_cond_destroy(&es->freed);
	free(es->envs_dir);
	free(es->cache_dir);
	free(es->self);
	free(es);
}
