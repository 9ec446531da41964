/* SPDX-License-Identifier: Apache-2.0 */
#include "env/env_python.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "engine/python.h"
#include "env/verify_python.h"

/* --- does it have to be made? --------------------------------------------- */

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* A link whose interpreter was removed leads nowhere. */
static bool venv_works(struct envs *es, const char *name)
{
	CLEANUP(free) char *python = mem_printf("%s/%s/bin/python", es->envs_dir, name);

	return fs_exists(python);
}

/* All that it was made of and proved with. */
static char *seen(const struct db_env *row)
{
	CLEANUP(free) char *interpreter = python_seen(row->python_program);

	return mem_printf("%s%s\n%s\n", interpreter, row->base_digest,
			  row->module_digest ? row->module_digest : "no module");
}

bool env_python_settled(struct envs *es, const struct db_env *row)
{
	CLEANUP(free) char *now = NULL;

	if (!engine_has_python(es->s.engine))
		return true;
	now = seen(row);
	return same(row->python_seen, now) &&
	       (row->python_reason || (venv_works(es, row->name) && row->python_digest &&
				       store_has(es->s.store, row->python_digest)));
}

bool env_python_unproved(const struct db_env *row)
{
	return row->python_digest && row->python_reason &&
	       strstr(row->python_reason, PYTHON_UNPROVED);
}

const char *envs_python_why_not(struct envs *es, const struct db_env *row)
{
	if (row->python_reason)
		return row->python_reason;
	if (row->python_digest)
		return NULL;
	return engine_has_python(es->s.engine)
		       ? "not made yet: shunt env create MODEL BACKEND makes it"
		       : "this engine_source has no llama-cpp-python";
}

/* --- making --------------------------------------------------------------- */

/* An environment whose name is claimed. */
struct making {
	struct envs *es;
	struct task *task; /* may be NULL: no progress, no cancel */
	struct db_env row;
};

static bool is_cancelled(void *task)
{
	return task && task_cancelled(task);
}

static void on_step(void *task, const char *title, double fraction)
{
	if (!task)
		return;
	task_title(task, "%s", title);
	task_progress(task, fraction);
}

static void on_line(void *task, const char *line)
{
	if (task)
		task_log_line(task, line);
}

struct build_watch env_watch(struct task *t)
{
	return (struct build_watch){
		.on_step = on_step, .on_line = on_line, .cancelled = is_cancelled, .arg = t};
}

static void forget(struct db_env *row)
{
	free(STEAL(row->server_digest));
	free(STEAL(row->python_digest));
	free(STEAL(row->python_version));
	free(STEAL(row->python_program));
	free(STEAL(row->python_seen));
	free(STEAL(row->python_reason));
}

static bool make_piece(struct making *m, struct err *e)
{
	CLEANUP(python_done) struct python python = {0};
	const struct build_watch watch = env_watch(m->task);
	CLEANUP(free) char *digest = NULL;

	if (!engine_find_python(m->es->s.engine, &python, e) ||
	    !engine_python(m->es->s.engine, m->es->s.store, &python, &watch, &digest, e))
		return false;
	env_hold(m->es, m->row.name, digest);
	if (!store_root_add(m->es->s.store, digest, e))
		return false;
	m->row.python_digest = STEAL(digest);
	m->row.python_version = mem_dup(python.version);
	m->row.python_program = STEAL(python.program);
	return env_folder_make(m->es, &m->row, e);
}

/* The same interpreter, piece, base and module have answered in another environment. */
static bool proved_before(const struct making *m)
{
	struct db_env *list = NULL;
	size_t count = 0;
	bool found = false;

	if (!db_env_list(m->es->s.db, &list, &count, NULL))
		return false;
	for (size_t i = 0; i < count && !found; i++) {
		const struct db_env *r = &list[i];

		found = strcmp(r->name, m->row.name) != 0 && !r->python_reason &&
			r->python_digest && same(r->python_digest, m->row.python_digest) &&
			same(r->python_version, m->row.python_version) &&
			same(r->python_program, m->row.python_program) &&
			same(r->base_digest, m->row.base_digest) &&
			same(r->module_digest, m->row.module_digest);
	}
	db_envs_free(list, count);
	return found;
}

static bool prove(const struct making *m, struct err *e)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	CLEANUP(free)
	char *folder = mem_printf("%s/%s%s", m->es->envs_dir, ENV_CHECK_PREFIX, m->row.name);
	CLEANUP(free)
	char *python = mem_printf("%s/%s/bin/python", m->es->envs_dir, m->row.name);
	CLEANUP(free) char *script = engine_python_check(m->es->s.engine);
	struct err left = {0};
	bool ok;

	on_step(m->task, "Verifying Python", 0.9);
	env_run_fill(m->es, &m->row, backend_find(m->row.backend), &run);
	const struct verify_python v = {.run = &run,
					.python = python,
					.script = script,
					.work_dir = folder,
					.task = m->task,
					.cancelled = is_cancelled,
					.arg = m->task};
	ok = fs_remove_tree(folder, e) && verify_python(&v, e);
	if (!fs_remove_tree(folder, &left))
		log_debug("left behind reason=\"%s\"", left.msg); /* swept at the next start */
	return ok || err_wrap(e, "verifying Python");
}

/* With the remedy, as there is one text for it. */
static void give_reason(struct making *m, const struct err *why)
{
	m->row.python_reason = mem_printf("%s%s%s", why->msg, why->hint[0] ? "; " : "", why->hint);
	log_warn("environment=%s has no Python reason=\"%s\", continuing", m->row.name,
		 m->row.python_reason);
	if (m->task)
		task_logf(m->task, "no Python in this environment: %s", m->row.python_reason);
}

/* Not our failure: the row stays as it was, and the next switch tries again. */
static bool interrupted(const struct making *m, const struct err *why, struct err *e)
{
	if (is_cancelled(m->task))
		return err_set(e, ERR_CANCELLED, "cancelled while Python was added");
	if (why->kind != ERR_CANCELLED)
		return true;
	return err_set(e, ERR_UNAVAILABLE, "the daemon stopped while Python was added");
}

/* Without a piece there is nothing to lead to, and env.json says so. */
static void take_back(const struct making *m)
{
	struct err left = {0};

	if (!m->row.python_digest && !env_folder_make(m->es, &m->row, &left))
		log_warn("environment=%s keeps a Python that is no use reason=\"%s\", continuing",
			 m->row.name, left.msg);
}

static bool is_in(const struct db_env *row, enum env_state state)
{
	return strcmp(row->state, env_state_name(state)) == 0;
}

/* There was no room to try what it is made on, either. */
static bool try_it(struct making *m, struct err *e)
{
	if (is_in(&m->row, ENV_BUILT))
		return err_set(e, ERR_VERIFY, PYTHON_UNPROVED ", as the environment itself");
	return proved_before(m) || prove(m, e);
}

static bool make(struct making *m, struct err *e)
{
	struct db_env *row = &m->row;
	struct err why = {0};

	if (!engine_has_python(m->es->s.engine) ||
	    (env_python_settled(m->es, row) && !row->python_reason))
		return true;
	forget(row);
	if (!make_piece(m, &why) || !try_it(m, &why)) {
		if (!interrupted(m, &why, e))
			return false;
		give_reason(m, &why);
		take_back(m);
	}
	row->python_seen = seen(row);
	env_measure(m->es, row);
	return db_env_put(m->es->s.db, row, e);
}

static bool make_in(struct envs *es, const char *name, bool built_too, struct task *t,
		    struct err *e)
{
	struct making m = {.es = es, .task = t};
	bool ok, wanted;

	if (!env_claim(es, name, is_cancelled, t, e))
		return false;
	ok = db_env_get(es->s.db, name, &m.row, e);
	wanted = ok && (is_in(&m.row, ENV_READY) || (built_too && is_in(&m.row, ENV_BUILT)));
	ok = ok && (!wanted || make(&m, e));
	env_release(es, name);
	db_env_done(&m.row);
	return ok;
}

bool envs_make_python(struct envs *es, const char *name, struct task *t, struct err *e)
{
	return make_in(es, name, false, t, e);
}

bool env_python_make(struct envs *es, const char *name, struct task *t, struct err *e)
{
	return make_in(es, name, true, t, e);
}
