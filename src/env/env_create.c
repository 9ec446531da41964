/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "env/env_priv.h"
#include "env/env_python.h"
#include "env/verify.h"

/* Shares of the bar: a base takes about as long as a module; the check has VERIFY_SHARE. */
#define BASE_SHARE 0.55
#define MODULE_SHARE (1 - VERIFY_SHARE - BASE_SHARE)
#define PROVIDE_SHARE 0.2 /* of a module's, when its compiler has to be fetched */

/* An environment in the making. */
struct making {
	struct envs *es;
	const struct backend *backend;
	const struct env_wish *wish; /* may be NULL */
	struct task *task;           /* may be NULL: no progress, no cancel */
	bool again;                  /* a rebuild: also what is ready */
	const char *anew;            /* also pieces that the store has; NULL: those are taken */
	struct db_env row;
	double from, share; /* of the bar: what the running part has */
};

static bool is_cancelled(void *arg)
{
	const struct making *m = arg;

	return m->task && task_cancelled(m->task);
}

/* --- pieces ------------------------------------------------------------- */

static void on_step(void *arg, const char *title, double fraction)
{
	const struct making *m = arg;

	if (!m->task)
		return;
	task_title(m->task, "%s", title);
	task_progress(m->task, m->from + m->share * fraction);
}

static void on_line(void *arg, const char *line)
{
	const struct making *m = arg;

	if (m->task)
		task_log_line(m->task, line);
}

static void set(char **field, const char *text)
{
	free(*field);
	*field = mem_dup(text);
}

/* Fetches what the build needs of pip. The compiler is held while we work, and gc may have it
 * then: only a build needs it. */
static bool provide(struct making *m, const struct recipe *r, const struct build_watch *w,
		    struct err *e)
{
	struct store *store = m->es->s.store;
	double all = m->share;

	if (!r->libraries[0])
		return true;
	env_hold(m->es, m->row.name, r->libraries);
	env_hold(m->es, m->row.name, r->compiler);
	if (engine_missing_bytes(m->es->s.engine, store, r) > 0) {
		m->share = all * PROVIDE_SHARE;
		if (!engine_provide(m->es->s.engine, store, r, w, e))
			return false;
		m->from += m->share;
		m->share = all - m->share;
	}
	return store_root_add(store, r->libraries, e) &&
	       (!store_has(store, r->compiler) || store_root_add(store, r->compiler, e));
}

/* Recipe, build unless it is there, root. backend NULL: the base. */
static bool make_piece(struct making *m, const struct backend *b, const struct toolkit *tk,
		       char **ret_digest, struct err *e)
{
	CLEANUP(recipe_free) struct recipe *r = NULL;
	struct build_watch watch = {
		.on_step = on_step, .on_line = on_line, .cancelled = is_cancelled, .arg = m};

	if (!engine_recipe(m->es->s.engine, b, tk, &r, e))
		return false;
	if (m->anew)
		recipe_anew(r, m->anew);
	env_hold(m->es, m->row.name, r->digest);
	if (!provide(m, r, &watch, e) ||
	    !engine_build(m->es->s.engine, m->es->s.store, r, &watch, e) ||
	    !store_root_add(m->es->s.store, r->digest, e))
		return false;
	set(ret_digest, r->digest);
	if (b)
		set(&m->row.libraries_digest, r->libraries[0] ? r->libraries : NULL);
	m->from += m->share;
	return true;
}

static bool make_pieces(struct making *m, struct err *e)
{
	struct toolkit tk;

	if (!env_toolkit(m->es, &m->row, m->backend, m->wish, &tk, e))
		return false;
	if (m->wish && m->wish->arch[0])
		set(&m->row.arch, m->wish->arch);
	m->share = m->backend->module ? BASE_SHARE : BASE_SHARE + MODULE_SHARE;
	if (!make_piece(m, NULL, &tk, &m->row.base_digest, e))
		return err_wrap(e, "building llama.cpp");
	m->share = MODULE_SHARE;
	if (m->backend->module && !make_piece(m, m->backend, &tk, &m->row.module_digest, e))
		return err_wrap(e, "building for %s", m->backend->title);
	env_measure(m->es, &m->row);
	if (m->row.python_digest) {
		free(m->row.python_reason);
		m->row.python_reason = mem_dup(PYTHON_UNPROVED " with this build");
	}
	return true;
}

/* --- proof -------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* What has been proved of these very pieces on this machine holds for every environment made of
 * them: a second model on a known backend costs a row, not a check. A driver that changed meanwhile
 * shows when the model itself gives its first token, which each switch waits for. */
static bool proved_before(struct making *m)
{
	struct db_env *list = NULL;
	size_t count = 0;
	bool found = false;

	if (!db_env_list(m->es->s.db, &list, &count, NULL))
		return false;
	for (size_t i = 0; i < count && !found; i++) {
		const struct db_env *r = &list[i];

		if (strcmp(r->name, m->row.name) == 0 ||
		    strcmp(r->state, env_state_name(ENV_READY)) != 0 ||
		    !same(r->base_digest, m->row.base_digest) ||
		    !same(r->module_digest, m->row.module_digest))
			continue;
		free(m->row.device);
		free(m->row.device_name);
		m->row.device = mem_dup(r->device);
		m->row.device_name = mem_dup(r->device_name);
		m->row.verified = r->verified;
		found = true;
	}
	db_envs_free(list, count);
	return found;
}

static bool check(struct making *m, struct verify_result *ret, struct err *e)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	struct err left = {0};
	CLEANUP(free)
	char *folder = mem_printf("%s/%s%s", m->es->envs_dir, ENV_CHECK_PREFIX, m->row.name);
	bool ok;

	/* Whatever device it ran on: any of the backend will do. */
	free(STEAL(m->row.device));
	env_run_fill(m->es, &m->row, m->backend, &run);
	if (m->task)
		task_title(m->task, "Verifying");
	ok = fs_remove_tree(folder, e) && verify_run(&run, folder, m->es->self, m->task, ret, e);
	if (!fs_remove_tree(folder, &left))
		log_debug("left behind reason=\"%s\"", left.msg); /* swept at the next start */
	return ok;
}

/* Does it compute right? What it ran on goes into the row. */
static bool ask(struct making *m, struct verify_result *ret, struct err *e)
{
	if (!check(m, ret, e))
		return err_wrap(e, "verifying environment '%s'", m->row.name);
	free(m->row.device);
	free(m->row.device_name);
	m->row.device = mem_dup(ret->device);
	m->row.device_name = mem_dup(ret->device_title);
	m->row.verified = ret->deferred ? 0 : clock_wall_ms();
	return true;
}

static bool prove(struct making *m, struct err *e)
{
	struct verify_result result = {0};

	if (!ask(m, &result, e))
		return false;
	if (result.deferred) {
		log_info("verification deferred environment=%s reason=\"%s\"", m->row.name,
			 result.reason);
		free(m->row.reason);
		m->row.reason = mem_dup(result.reason);
		return db_env_put(m->es->s.db, &m->row, e);
	}
	return env_set_state(m->es->s.db, &m->row, ENV_READY, NULL, e);
}

/* --- all of it ---------------------------------------------------------- */

/* The pieces stay, and their roots: a driver may be mended, and the next try only verifies. */
static bool fail(struct making *m, struct err *e)
{
	struct err second = {0};

	if (!env_set_state(m->es->s.db, &m->row, ENV_FAILED, e->msg, &second))
		log_error("environment=%s is not marked as failed reason=\"%s\"", m->row.name,
			  second.msg);
	return false;
}

static bool build(struct making *m, struct err *e)
{
	if (!env_set_state(m->es->s.db, &m->row, ENV_BUILDING, NULL, e))
		return false;
	if (!make_pieces(m, e) || !env_folder_make(m->es, &m->row, e))
		return fail(m, e);
	return env_set_state(m->es->s.db, &m->row, ENV_BUILT, "not verified yet", e);
}

/* A name that holds another backend (after a rebuild) gets this one. */
static void rename_backend(struct db_env *row, const char *backend)
{
	if (strcmp(row->backend, backend) != 0)
		free(STEAL(row->arch));
	free(row->backend);
	row->backend = mem_dup(backend);
	free(STEAL(row->module_digest));
	free(STEAL(row->libraries_digest));
}

static bool prove_now(struct making *m, struct err *e)
{
	struct verify_result result = {0};

	if (proved_before(m))
		return true;
	if (!ask(m, &result, e))
		return false;
	if (!result.deferred)
		return true;
	(void)err_set(e, ERR_NO_SPACE, "environment '%s' cannot be verified now: %s", m->row.name,
		      result.reason);
	return err_hint(e, "unload a model, and try again");
}

/* What the row points to serves until the new is proved, and stays when that fails: the row is
 * changed in one step at the end. */
static bool make_beside(struct making *m, struct err *e)
{
	struct err left = {0};

	rename_backend(&m->row, m->backend->name);
	if (!make_pieces(m, e) || !prove_now(m, e) ||
	    !env_set_state(m->es->s.db, &m->row, ENV_READY, NULL, e))
		return err_wrap(e, "environment '%s' stays as it was", m->row.name);
	if (!env_folder_make(m->es, &m->row, &left))
		log_warn("environment=%s has an old folder reason=\"%s\", continuing", m->row.name,
			 left.msg);
	return true;
}

static bool make(struct making *m, struct err *e)
{
	bool same_backend = strcmp(m->row.backend, m->backend->name) == 0;
	enum env_state state = ENV_FAILED;
	bool serves;

	(void)env_state_find(m->row.state, &state);
	serves = env_pieces_there(m->es, &m->row) && (state == ENV_READY || state == ENV_BUILT);
	if (serves && (!same_backend || m->again))
		return make_beside(m, e);
	if (serves && !env_has_arch(&m->row, m->wish, e))
		return false;
	if (serves && state == ENV_READY)
		return true; /* whoever worked on it before us has finished it */
	/* Left by a caller that could not even write down how it ended. */
	if (state == ENV_BUILDING &&
	    !env_set_state(m->es->s.db, &m->row, ENV_FAILED, "interrupted", e))
		return false;
	if (!same_backend)
		rename_backend(&m->row, m->backend->name);
	/* What is built needs no compiler any more: only the check is missing. */
	if (!serves && !build(m, e))
		return false;
	if (proved_before(m)) {
		if (m->task)
			task_logf(m->task,
				  "verified before, with another environment of these pieces");
		return env_set_state(m->es->s.db, &m->row, ENV_READY, NULL, e);
	}
	if (prove(m, e))
		return env_folder_make(m->es, &m->row, e);
	/* Cancelled is not failed: built, as it is. */
	return e->kind == ERR_CANCELLED ? false : fail(m, e);
}

bool envs_create(struct envs *es, const char *name, const struct backend *b,
		 const struct env_wish *w, struct task *t, struct err *e)
{
	struct making m = {.es = es, .backend = b, .wish = w, .task = t};
	bool ok;

	if (!env_claim(es, name, is_cancelled, &m, e))
		return false;
	ok = env_row(es, name, b->name, &m.row, e) && make(&m, e);
	env_release(es, name);
	db_env_done(&m.row);
	return ok;
}

bool envs_rebuild(struct envs *es, const char *name, const struct backend *b,
		  const struct env_wish *w, const char *anew, struct task *t, struct err *e)
{
	struct making m = {
		.es = es, .backend = b, .wish = w, .task = t, .again = true, .anew = anew};
	bool ok;

	if (!env_claim(es, name, is_cancelled, &m, e))
		return false;
	ok = db_env_get(es->s.db, name, &m.row, e) && make(&m, e);
	env_release(es, name);
	db_env_done(&m.row);
	return ok;
}

bool envs_put_back(struct envs *es, const struct db_env *before, struct err *e)
{
	bool ok;

	if (!env_claim(es, before->name, NULL, NULL, e))
		return false;
	ok = db_env_put(es->s.db, before, e) && env_folder_make(es, before, e);
	env_release(es, before->name);
	return ok;
}
