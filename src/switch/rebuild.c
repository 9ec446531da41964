/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An environment gets another content: a backend, also another than its name says, or the same
 * built anew. Its models are told, or reloaded one after another; when one does not come up on the
 * new content, the old is put back.
 */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "switch/switch_priv.h"

struct rebuild {
	struct rebuild *next; /* switcher->rebuilds */
	struct switcher *sw;
	char *name;
	const struct backend *backend;
	enum reload reload;
	bool force;
	struct env_wish wish;
	char task[TASK_ID_SIZE]; /* guarded by switcher->lock */
	struct db_env before;
	struct strv loaded; /* models that ran there before */
	json_t *reloaded, *left;
};

static void rebuild_free(void *arg)
{
	struct rebuild *r = arg;

	free(r->name);
	db_env_done(&r->before);
	strv_done(&r->loaded);
	json_decref(r->reloaded);
	json_decref(r->left);
	free(r);
}

/* --- who uses it -------------------------------------------------------- */

/* The model, by its association; or its worker. */
static bool uses(struct switcher *sw, const struct db_model *m, const char *name, bool *ret_runs)
{
	const struct entry *en;

	*ret_runs = false;
	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, m->id);
	if (en && en->worker)
		*ret_runs = strcmp(worker_environment(en->worker), name) == 0;
	pthread_mutex_unlock(&sw->lock);
	return *ret_runs || (m->environment && strcmp(m->environment, name) == 0);
}

/* Ids; of those that run only, or all. */
static bool find_users(struct switcher *sw, const char *name, bool running, struct strv *ret,
		       struct err *e)
{
	struct db_model *list = NULL;
	size_t count = 0;
	bool runs;

	if (!db_model_list(sw->s.db, &list, &count, e))
		return false;
	for (size_t i = 0; i < count; i++)
		if (uses(sw, &list[i], name, &runs) && (runs || !running))
			strv_add(ret, list[i].id);
	db_models_free(list, count);
	return true;
}

/* "'a', 'b' and 3 more" */
static char *name_them(const struct strv *ids, const char *except)
{
	CLEANUP(buf_done) struct buf text = {0};
	size_t named = 0, more = 0;

	for (size_t i = 0; i < ids->count; i++) {
		if (except && strcmp(ids->items[i], except) == 0)
			continue;
		if (named == 3)
			more++;
		else
			buf_printf(&text, "%s'%.60s'", named++ ? ", " : "", ids->items[i]);
	}
	if (more)
		buf_printf(&text, " and %zu more", more);
	return buf_steal(&text);
}

/* The model for which it is done may use it: except, or the only one there is. */
static bool is_for_one(struct switcher *sw, const char *name, const char *except, struct err *e)
{
	CLEANUP(strv_done) struct strv users = {0};
	CLEANUP(free) char *text = NULL;

	if (!find_users(sw, name, false, &users, e))
		return false;
	if (!except && users.count <= 1)
		return true;
	text = name_them(&users, except);
	if (!text || !text[0])
		return true;
	(void)err_set(e, ERR_CONFLICT, "environment '%s' is used by %s%s", name,
		      except ? "another model too: " : "several models: ", text);
	return err_hint(e, "force changes it for all of them");
}

bool rebuild_disturbs_nobody(struct switcher *sw, const char *environment, const struct backend *b,
			     const char *except, struct err *e)
{
	struct db_env row = {0};
	bool other;

	if (!db_env_get(sw->s.db, environment, &row, NULL))
		return true;
	other = strcmp(row.backend, b->name) != 0;
	db_env_done(&row);
	return !other || is_for_one(sw, environment, except, e);
}

bool switcher_uses_piece(void *switcher, const char *digest)
{
	struct switcher *sw = switcher;
	bool found = false;

	pthread_mutex_lock(&sw->lock);
	for (const struct entry *en = sw->entries; en && !found; en = en->next)
		found = en->worker && en->loaded_as && strstr(en->loaded_as, digest);
	pthread_mutex_unlock(&sw->lock);
	return found;
}

/* --- steps -------------------------------------------------------------- */

static bool build(struct task *t, void *arg, struct err *e)
{
	struct rebuild *r = arg;
	struct switcher *sw = r->sw;

	return db_env_get(sw->s.db, r->name, &r->before, e) &&
	       find_users(sw, r->name, true, &r->loaded, e) &&
	       envs_rebuild(sw->s.envs, r->name, r->backend, &r->wish, r->force ? task_id(t) : NULL,
			    t, e);
}

/* The slot is held. */
static bool renew(struct rebuild *r, struct entry *en, const struct db_model *m, struct task *t,
		  struct err *e)
{
	if (!en->worker && r->reload != RELOAD_YES)
		return true;
	if (en->worker && change_runs_in(r->sw, en, r->name))
		return true;
	if (en->worker && r->reload == RELOAD_NO) {
		json_array_append_new(r->left, json_string(m->id));
		return true;
	}
	json_array_append_new(r->reloaded, json_string(m->id));
	if (!change_prepare(r->sw, m, r->name, r->backend, NULL, t, e))
		return false;
	if (en->worker)
		return change_replace(r->sw, en, m, m->backend, r->name, r->force, t, e);
	return change_load(r->sw, en, m, t, e);
}

/* With the model's slot, if it still is in this environment. */
static bool with_model(struct rebuild *r, const char *id, struct task *t,
		       bool (*run)(struct rebuild *, struct entry *, const struct db_model *,
				   struct task *, struct err *),
		       struct err *e)
{
	struct db_model m = {0};
	struct entry *en;
	bool ok = true;

	pthread_mutex_lock(&r->sw->lock);
	en = entry_find(r->sw, id);
	pthread_mutex_unlock(&r->sw->lock);
	if (!en)
		return true;
	if (!entry_claim(r->sw, en, t ? task_cancelled : NULL, t, e))
		return false;
	if (db_model_get(r->sw->s.db, id, &m, NULL) && m.environment &&
	    strcmp(m.environment, r->name) == 0)
		ok = run(r, en, &m, t, e);
	entry_release(r->sw, en);
	db_model_done(&m);
	return ok;
}

static void report(struct rebuild *r, struct task *t)
{
	json_t *result = json_pack("{s:s, s:s, s:O, s:O}", "environment", r->name, "gpu_backend",
				   r->backend->name, "reloaded", r->reloaded, "left", r->left);
	CLEANUP(free) char *text = json_dumps(result, JSON_COMPACT);
	size_t left = json_array_size(r->left);

	json_decref(result);
	task_result(t, text);
	if (left)
		task_message(t, "%s has %s now; still on the old content until the next load: %s%s",
			     r->name, r->backend->name,
			     json_string_value(json_array_get(r->left, 0)), left > 1 ? ", …" : "");
}

static void ended(void *arg, const struct err *outcome)
{
	struct rebuild *r = arg, **p;

	(void)outcome;
	pthread_mutex_lock(&r->sw->lock);
	for (p = &r->sw->rebuilds; *p; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	pthread_mutex_unlock(&r->sw->lock);
}

static bool reload(struct task *t, void *arg, struct err *e)
{
	struct rebuild *r = arg;
	CLEANUP(strv_done) struct strv users = {0};

	r->reloaded = json_array();
	r->left = json_array();
	if (!find_users(r->sw, r->name, false, &users, e))
		return false;
	for (size_t i = 0; i < users.count; i++)
		if (!with_model(r, users.items[i], t, renew, e))
			return false;
	report(r, t);
	ended(r, NULL); /* only Python is missing: another rebuild need not wait for pip */
	return true;
}

/* A model that lost its worker by the rebuild. The slot is held. */
static bool bring_back(struct rebuild *r, struct entry *en, const struct db_model *m,
		       struct task *t, struct err *e)
{
	return en->worker || change_load(r->sw, en, m, t, e);
}

/* A model did not come up on the new content, or the task was cancelled. */
static void put_back(struct task *t, void *arg)
{
	struct rebuild *r = arg;
	struct err e = {0};

	if (strcmp(r->before.state, "ready") != 0)
		return; /* there is nothing to go back to */
	if (!envs_put_back(r->sw->s.envs, &r->before, &e)) {
		log_error("the old content is not put back environment=%s reason=\"%s\"", r->name,
			  e.msg);
		return;
	}
	task_logf(t, "%s has %s again", r->name, r->before.backend);
	for (size_t i = 0; i < r->loaded.count; i++) {
		err_clear(&e);
		if (!with_model(r, r->loaded.items[i], NULL, bring_back, &e))
			task_logf(t, "%s: %s", r->loaded.items[i], e.msg);
	}
}

static bool add_python(struct task *t, void *arg, struct err *e)
{
	const struct rebuild *r = arg;

	return envs_make_python(r->sw->s.envs, r->name, t, e);
}

static const struct task_step steps[] = {
	{"Building", 75, build, put_back},
	{"Reloading models", 20, reload, NULL},
	{"Adding Python", 5, add_python, NULL},
};

/* --- the request -------------------------------------------------------- */

/* Lock held, so that of ten callers one makes the task. */
static bool submit(struct switcher *sw, struct rebuild *r, const struct task_spec *spec,
		   char ret_task[static TASK_ID_SIZE], struct err *e)
{
	if (!tasks_submit(sw->s.tasks, spec, ret_task, e))
		return false;
	memcpy(r->task, ret_task, TASK_ID_SIZE); /* `ended` waits for the lock: it is alive */
	r->next = sw->rebuilds;
	sw->rebuilds = r;
	return true;
}

/* Lock held. */
static bool meet(struct switcher *sw, const char *name, const struct backend *b,
		 const struct env_wish *w, char ret_task[static TASK_ID_SIZE], struct err *e)
{
	const struct rebuild *r = sw->rebuilds;

	while (r && strcmp(r->name, name) != 0)
		r = r->next;
	if (!r)
		return true;
	if (r->backend == b && (r->force || !w->anew) &&
	    (!w->arch[0] || strcmp(r->wish.arch, w->arch) == 0)) {
		memcpy(ret_task, r->task, TASK_ID_SIZE);
		return true;
	}
	(void)err_set(e, ERR_CONFLICT, "environment '%s' is being rebuilt for %s%s%s by task %s",
		      name, r->backend->name, r->wish.arch[0] ? " " : "", r->wish.arch, r->task);
	return err_hint(e, "wait for it, or cancel it");
}

static bool join_or_submit(struct switcher *sw, const char *name, const struct backend *b,
			   enum reload reload, bool force, const struct env_wish *w,
			   struct switch_answer *ret, struct err *e)
{
	struct task_spec spec = {
		.kind = "rebuild",
		.environment = name,
		.backend = b->name,
		.message = ret->message,
		.lane = TASK_BUILD,
		.steps = steps,
		.step_count = ARRAY_LEN(steps),
		.extra_count = 1,
		.free_arg = rebuild_free,
		.on_end = ended,
	};
	struct rebuild *r;
	bool ok;

	pthread_mutex_lock(&sw->lock);
	ok = meet(sw, name, b, w, ret->task, e);
	if (ok && !ret->task[0]) {
		r = mem_alloc(sizeof(*r));
		r->sw = sw;
		r->name = mem_dup(name);
		r->backend = b;
		r->reload = reload;
		r->force = force;
		r->wish = *w;
		spec.arg = r;
		ok = submit(sw, r, &spec, ret->task, e);
	}
	pthread_mutex_unlock(&sw->lock);
	return ok;
}

bool switch_rebuild(struct switcher *sw, const char *name, const char *backend, enum reload reload,
		    bool force, const struct env_wish *w, struct switch_answer *ret, struct err *e)
{
	const struct backend *b = NULL;
	struct env_wish all = w ? *w : (struct env_wish){0};
	struct db_env row = {0};
	struct toolkit tk = {0};

	all.anew = force;
	if (!db_env_get(sw->s.db, name, &row, e))
		return err_hint(e, "shunt env ls lists them");
	db_env_done(&row);
	if (!backend_require(backend, &b, e) || !envs_toolkit(sw->s.envs, name, b, &all, &tk, e) ||
	    (!force && !is_for_one(sw, name, NULL, e)))
		return false;
	(void)snprintf(ret->message, sizeof(ret->message), "Rebuilding %.120s for %s...", name,
		       b->name);
	if (!join_or_submit(sw, name, b, reload, force, &all, ret, e))
		return false;
	ret->environment = mem_dup(name);
	return true;
}
