/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime python needs of an environment, made when a model first asks for it. */

#include <stdlib.h>

#include "engine/python.h"
#include "env/env_python.h"

bool env_server_usable(struct envs *es, const struct db_env *row)
{
	return row->server_digest && (!envs_python_why_not(es, row) || env_python_unproved(row));
}

static bool is_there(struct envs *es, const struct db_env *row)
{
	return env_server_usable(es, row) && store_has(es->s.store, row->server_digest) &&
	       env_python_settled(es, row);
}

bool envs_has_server(struct envs *es, const char *name)
{
	CLEANUP(db_env_done) struct db_env row = {0};

	return db_env_get(es->s.db, name, &row, NULL) && is_there(es, &row);
}

static bool has_python(struct envs *es, const struct db_env *row, struct err *e)
{
	const char *why = envs_python_why_not(es, row);

	if (!why || env_python_unproved(row))
		return true;
	(void)err_set(e, ERR_UNAVAILABLE, "environment '%s' has no Python for runtime python: %s",
		      row->name, why);
	return err_hint(e, "set runtime to server, or shunt env create MODEL BACKEND once it can "
			   "be made");
}

static bool add_packages(struct envs *es, struct db_env *row, struct task *t, struct err *e)
{
	const struct build_watch watch = env_watch(t);
	CLEANUP(python_done) struct python python = {0};
	CLEANUP(free) char *digest = NULL;

	if (!engine_find_python(es->s.engine, &python, e) ||
	    !engine_python_server(es->s.engine, es->s.store, &python, &watch, &digest, e))
		return false;
	env_hold(es, row->name, digest);
	if (!store_root_add(es->s.store, digest, e))
		return false;
	free(row->server_digest);
	row->server_digest = STEAL(digest);
	env_measure(es, row);
	return db_env_put(es->s.db, row, e);
}

bool envs_make_server(struct envs *es, const char *name, struct task *t, struct err *e)
{
	const struct build_watch watch = env_watch(t);
	CLEANUP(db_env_done) struct db_env row = {0};
	bool ok;

	if (envs_has_server(es, name))
		return true;
	if (!env_python_make(es, name, t, e) || !env_claim(es, name, watch.cancelled, t, e))
		return false;
	ok = db_env_get(es->s.db, name, &row, e) && has_python(es, &row, e) &&
	     (is_there(es, &row) || add_packages(es, &row, t, e));
	env_release(es, name);
	return ok || err_wrap(e, "preparing runtime python");
}
