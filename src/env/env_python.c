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

static void forget(struct db_env *row)
{
	free(STEAL(row->python_digest));
	free(STEAL(row->python_version));
	free(STEAL(row->python_program));
	free(STEAL(row->python_seen));
	free(STEAL(row->python_reason));
}

static bool make_piece(const struct env_python *p, struct err *e)
{
	CLEANUP(python_done) struct python python = {0};
	const struct build_watch watch = {.on_step = p->on_step,
					  .on_line = p->on_line,
					  .cancelled = p->cancelled,
					  .arg = p->arg};
	CLEANUP(free) char *digest = NULL;

	if (!engine_find_python(p->es->s.engine, &python, e) ||
	    !engine_python(p->es->s.engine, p->es->s.store, &python, &watch, &digest, e))
		return false;
	env_hold(p->es, p->row->name, digest);
	if (!store_root_add(p->es->s.store, digest, e))
		return false;
	p->row->python_digest = STEAL(digest);
	p->row->python_version = mem_dup(python.version);
	p->row->python_program = STEAL(python.program);
	return env_folder_make(p->es, p->row, e);
}

/* The same interpreter, piece, base and module have answered in another environment. */
static bool proved_before(const struct env_python *p)
{
	struct db_env *list = NULL;
	size_t count = 0;
	bool found = false;

	if (!db_env_list(p->es->s.db, &list, &count, NULL))
		return false;
	for (size_t i = 0; i < count && !found; i++) {
		const struct db_env *r = &list[i];

		found = strcmp(r->name, p->row->name) != 0 && !r->python_reason &&
			r->python_digest && same(r->python_digest, p->row->python_digest) &&
			same(r->python_version, p->row->python_version) &&
			same(r->python_program, p->row->python_program) &&
			same(r->base_digest, p->row->base_digest) &&
			same(r->module_digest, p->row->module_digest);
	}
	db_envs_free(list, count);
	return found;
}

static bool prove(const struct env_python *p, struct err *e)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	CLEANUP(free)
	char *folder = mem_printf("%s/%s%s", p->es->envs_dir, ENV_CHECK_PREFIX, p->row->name);
	CLEANUP(free)
	char *python = mem_printf("%s/%s/bin/python", p->es->envs_dir, p->row->name);
	CLEANUP(free) char *script = engine_python_check(p->es->s.engine);
	struct err left = {0};
	bool ok;

	p->on_step(p->arg, "Verifying Python", 1);
	env_run_fill(p->es, p->row, p->backend, &run);
	const struct verify_python v = {.run = &run,
					.python = python,
					.script = script,
					.work_dir = folder,
					.task = p->task,
					.cancelled = p->cancelled,
					.arg = p->arg};
	ok = fs_remove_tree(folder, e) && verify_python(&v, e);
	if (!fs_remove_tree(folder, &left))
		log_debug("left behind reason=\"%s\"", left.msg); /* swept at the next start */
	return ok || err_wrap(e, "verifying Python");
}

/* With the remedy, as there is one text for it. */
static void give_reason(const struct env_python *p, const struct err *why)
{
	p->row->python_reason = mem_printf("%s%s%s", why->msg, why->hint[0] ? "; " : "", why->hint);
	log_warn("environment=%s has no Python reason=\"%s\", continuing", p->row->name,
		 p->row->python_reason);
	if (p->task)
		task_logf(p->task, "no Python in this environment: %s", p->row->python_reason);
}

/* Not our failure: the row stays as it was, and the next switch tries again. */
static bool interrupted(const struct env_python *p, const struct err *why, struct err *e)
{
	if (p->cancelled(p->arg))
		return err_set(e, ERR_CANCELLED, "cancelled while Python was added");
	if (why->kind != ERR_CANCELLED)
		return true;
	return err_set(e, ERR_UNAVAILABLE, "the daemon stopped while Python was added");
}

/* Without a piece there is nothing to lead to, and env.json says so. */
static void take_back(const struct env_python *p)
{
	struct err left = {0};

	if (!p->row->python_digest && !env_folder_make(p->es, p->row, &left))
		log_warn("environment=%s keeps a Python that is no use reason=\"%s\", continuing",
			 p->row->name, left.msg);
}

bool env_python_make(const struct env_python *p, struct err *e)
{
	struct db_env *row = p->row;
	struct err why = {0};

	if (!engine_has_python(p->es->s.engine) ||
	    (env_python_settled(p->es, row) && !row->python_reason))
		return true;
	forget(row);
	if (!make_piece(p, &why) || (!proved_before(p) && !prove(p, &why))) {
		if (!interrupted(p, &why, e))
			return false;
		give_reason(p, &why);
		take_back(p);
	}
	row->python_seen = seen(row);
	env_measure(p->es, row);
	return db_env_put(p->es->s.db, row, e);
}
