/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime python needs of an environment, made when a model first asks for it. */

#include <stdlib.h>

#include "engine/python.h"
#include "env/env_python.h"

struct making {
	struct envs *es;
	struct task *task; /* may be NULL */
	struct db_env row;
};

static bool is_there(struct envs *es, const struct db_env *row)
{
	return row->server_digest && store_has(es->s.store, row->server_digest) &&
	       !envs_python_why_not(es, row) && env_python_settled(es, row);
}

bool envs_has_server(struct envs *es, const char *name)
{
	CLEANUP(db_env_done) struct db_env row = {0};

	return db_env_get(es->s.db, name, &row, NULL) && is_there(es, &row);
}

static bool has_python(struct making *m, struct err *e)
{
	const char *why = envs_python_why_not(m->es, &m->row);

	if (!why)
		return true;
	(void)err_set(e, ERR_UNAVAILABLE, "environment '%s' has no Python for runtime python: %s",
		      m->row.name, why);
	return err_hint(e, "set runtime to server, or shunt env create MODEL BACKEND once it can "
			   "be made");
}

static bool add_packages(struct making *m, struct err *e)
{
	const struct build_watch watch = env_watch(m->task);
	CLEANUP(python_done) struct python python = {0};
	CLEANUP(free) char *digest = NULL;

	if (!engine_find_python(m->es->s.engine, &python, e) ||
	    !engine_python_server(m->es->s.engine, m->es->s.store, &python, &watch, &digest, e))
		return false;
	env_hold(m->es, m->row.name, digest);
	if (!store_root_add(m->es->s.store, digest, e))
		return false;
	free(m->row.server_digest);
	m->row.server_digest = STEAL(digest);
	env_measure(m->es, &m->row);
	return db_env_put(m->es->s.db, &m->row, e);
}

bool envs_make_server(struct envs *es, const char *name, struct task *t, struct err *e)
{
	const struct build_watch watch = env_watch(t);
	struct making m = {.es = es, .task = t};
	bool ok;

	if (envs_has_server(es, name))
		return true;
	if (!envs_make_python(es, name, t, e) || !env_claim(es, name, watch.cancelled, t, e))
		return false;
	ok = db_env_get(es->s.db, name, &m.row, e) && has_python(&m, e) &&
	     (is_there(es, &m.row) || add_packages(&m, e));
	env_release(es, name);
	db_env_done(&m.row);
	return ok || err_wrap(e, "preparing runtime python");
}
