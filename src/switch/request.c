/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "switch/change_task.h"

/* Refuses a model that is not in the catalogue. */
static bool find(struct switcher *sw, const char *id, struct db_model *m, struct entry **ret,
		 struct err *e)
{
	if (!db_model_get(sw->s.db, id, m, e))
		return err_hint(e, "shunt status lists the models");
	pthread_mutex_lock(&sw->lock);
	*ret = entry_find(sw, id);
	pthread_mutex_unlock(&sw->lock);
	return *ret || err_set(e, ERR_NOT_FOUND, "no model '%s'", id);
}

static void describe(struct task_spec *spec, const char *kind, const struct db_model *m,
		     const char *environment, const char *backend, const char *message)
{
	spec->kind = kind;
	spec->model = m->id;
	spec->environment = environment;
	spec->backend = backend;
	spec->message = message;
	spec->free_arg = free;
}

/* Submits under the switcher's lock, so that of ten callers one makes the task and nine find it. */
static bool submit(struct entry *en, struct change *c, struct task_spec *spec,
		   char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct change *arg = mem_alloc(sizeof(*arg));

	*arg = *c;
	spec->arg = arg;
	spec->on_end = change_ended;
	if (!tasks_submit(c->sw->s.tasks, spec, en->task, e)) {
		en->task[0] = '\0';
		return false;
	}
	free(en->task_backend);
	en->task_backend = c->is_load ? NULL : mem_dup(c->backend->name);
	memcpy(arg->task, en->task, TASK_ID_SIZE); /* `ended` waits for the lock: arg is alive */
	memcpy(ret_task, en->task, TASK_ID_SIZE);
	return true;
}

/* Ends the task that changes the model now. Lock held, but let go meanwhile: a queued task ends at
 * once, in this thread. */
static void supersede(struct switcher *sw, struct entry *en)
{
	char old[TASK_ID_SIZE];
	struct err ignored = {0};

	memcpy(old, en->task, sizeof(old));
	en->task[0] = '\0';
	free(STEAL(en->task_backend));
	pthread_mutex_unlock(&sw->lock);
	if (!tasks_cancel(sw->s.tasks, old, &ignored)) /* finished meanwhile: as good */
		log_debug("superseded task=%s reason=\"%s\"", old, ignored.msg);
	pthread_mutex_lock(&sw->lock);
}

/* A change under way: the same one is joined, another refused, or superseded. Lock held. True with
 * *joined: nothing more to do. */
static bool meet(struct entry *en, const struct change *c, bool *joined,
		 char ret_task[static TASK_ID_SIZE], struct err *e)
{
	bool same;

	*joined = false;
	if (!en->task[0])
		return true;
	same = c->is_load ? !en->task_backend
			  : en->task_backend && strcmp(en->task_backend, c->backend->name) == 0;
	if (same) {
		*joined = true;
		memcpy(ret_task, en->task, TASK_ID_SIZE);
		return true;
	}
	if (c->force) {
		supersede(c->sw, en);
		return meet(en, c, joined, ret_task, e);
	}
	err_set(e, ERR_CONFLICT, "model '%s' is being changed by task %s (%s)", en->id, en->task,
		en->task_backend ? en->task_backend : "load");
	return err_hint(e, "wait for it, cancel it, or use force");
}

/* The slot is held. Looks again: another switch may have ended since the request came. False in
 * *done: it is loaded elsewhere, which takes a task. */
static bool flip_now(struct change *c, const char *environment, bool *done, struct err *e)
{
	struct db_model now = {0};
	struct entry *en = c->entry;
	bool same, ok = true;

	if (!db_model_get(c->sw->s.db, en->id, &now, e))
		return false;
	same = now.environment && strcmp(now.environment, environment) == 0;
	db_model_done(&now);
	*done = same || !en->worker;
	if (*done && !same) {
		ok = db_model_associate(c->sw->s.db, en->id, c->backend->name, environment, e);
		entry_fresh(c->sw, en);
	}
	return ok;
}

/* Not loaded and everything ready: one transaction, done before the answer. True with *done when it
 * was that. */
static bool try_instant(struct change *c, const struct db_model *m, const char *environment,
			struct task_spec *spec, bool *done, char ret_task[static TASK_ID_SIZE],
			struct err *e)
{
	struct entry *en = c->entry;
	bool same = m->environment && strcmp(m->environment, environment) == 0;
	bool ok, free_slot;

	pthread_mutex_lock(&c->sw->lock);
	free_slot = !en->busy && !en->task[0] && (same || !en->worker);
	if (c->reload == RELOAD_YES && !en->worker)
		free_slot = false;
	if (free_slot)
		en->busy = true;
	pthread_mutex_unlock(&c->sw->lock);
	*done = false;
	if (!free_slot)
		return true;
	ok = flip_now(c, environment, done, e);
	entry_release(c->sw, en);
	if (!ok || !*done)
		return ok;
	return tasks_record_done(c->sw->s.tasks, spec, ret_task, e);
}

static bool request_switch(struct change *c, const struct db_model *m, struct switch_answer *ret,
			   struct err *e)
{
	CLEANUP(free) char *environment = env_name(m->id, c->backend->name);
	struct task_spec spec = {0};
	bool ok, done = false;

	ret->instant = envs_ready(c->sw->s.envs, m->id, c->backend, NULL);
	snprintf(ret->message, sizeof(ret->message),
		 ret->instant ? "Switching to existing %s environment (instant switch)..."
			      : "Creating %s environment (first time setup)...",
		 c->backend->name);
	describe(&spec, "switch", m, environment, c->backend->name, ret->message);
	if (ret->instant && !try_instant(c, m, environment, &spec, &done, ret->task, e))
		return false;
	change_plan(&spec, ret->instant ? CHANGE_SWITCH : CHANGE_SWITCH_FIRST);
	if (!done) {
		bool joined = false;

		pthread_mutex_lock(&c->sw->lock);
		ok = meet(c->entry, c, &joined, ret->task, e) &&
		     (joined || submit(c->entry, c, &spec, ret->task, e));
		pthread_mutex_unlock(&c->sw->lock);
		if (!ok)
			return false;
	}
	ret->environment = STEAL(environment);
	return true;
}

/* The cheap check before a 202: is what the build needs installed? */
static bool check_toolkit(struct switcher *sw, const char *id, const struct backend *b,
			  struct err *e)
{
	struct toolkit tk = {0};

	if (envs_ready(sw->s.envs, id, b, NULL))
		return true;
	return envs_toolkit(sw->s.envs, b, &tk, e);
}

bool switch_backend(struct switcher *sw, const char *id, const char *backend, enum reload reload,
		    bool force, struct switch_answer *ret, struct err *e)
{
	struct change c = {.sw = sw, .reload = reload, .force = force};
	struct db_model m = {0};
	bool ok;

	ok = find(sw, id, &m, &c.entry, e) && backend_require(backend, &c.backend, e) &&
	     check_toolkit(sw, id, c.backend, e) && request_switch(&c, &m, ret, e);
	db_model_done(&m);
	return ok;
}

bool switch_create_environment(struct switcher *sw, const char *id, const char *backend,
			       struct switch_answer *ret, struct err *e)
{
	struct change c = {.sw = sw};
	struct task_spec spec = {0};
	struct db_model m = {0};
	bool ok;

	ok = find(sw, id, &m, &c.entry, e) && backend_require(backend, &c.backend, e) &&
	     check_toolkit(sw, id, c.backend, e);
	if (ok) {
		ret->environment = env_name(id, c.backend->name);
		ret->instant = envs_ready(sw->s.envs, id, c.backend, NULL);
		snprintf(ret->message, sizeof(ret->message),
			 ret->instant ? "The %s environment is ready"
				      : "Creating %s environment (first time setup)...",
			 c.backend->name);
		describe(&spec, "create", &m, ret->environment, c.backend->name, ret->message);
		if (ret->instant) {
			ok = tasks_record_done(sw->s.tasks, &spec, ret->task, e);
		} else {
			change_plan(&spec, CHANGE_CREATE);
			spec.arg = mem_alloc(sizeof(c));
			*(struct change *)spec.arg = c;
			ok = tasks_submit(sw->s.tasks, &spec, ret->task, e);
		}
	}
	db_model_done(&m);
	return ok;
}

/* From now on requests wait for the load, also while its environment is still being made; who has
 * the slot sees to them itself. Lock held. */
static void hold_for_load(struct entry *en)
{
	if (!en->worker && !en->busy)
		route_hold(en->route);
}

/* Lock held. */
static bool submit_load(struct switcher *sw, struct entry *en, const struct db_model *m,
			char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct change c = {.sw = sw, .entry = en, .is_load = true};
	struct task_spec spec = {0};
	char message[300];
	bool joined = false;

	if (!m->backend || !m->environment) {
		err_set(e, ERR_CONFLICT, "model '%s' has no backend yet", m->id);
		return err_hint(e, "shunt switch %s cpu", m->id);
	}
	if (!backend_require(m->backend, &c.backend, e) || !meet(en, &c, &joined, ret_task, e))
		return false;
	if (joined) {
		hold_for_load(en);
		return true;
	}
	change_plan(&spec, envs_ready(sw->s.envs, m->id, c.backend, NULL) ? CHANGE_LOAD
									  : CHANGE_LOAD_FIRST);
	snprintf(message, sizeof(message), "Loading %s on %s", m->id, m->backend);
	describe(&spec, "load", m, m->environment, m->backend, message);
	if (!submit(en, &c, &spec, ret_task, e))
		return false;
	hold_for_load(en); /* the task can't end before: that takes the lock */
	return true;
}

bool switch_load(struct switcher *sw, const char *id, char ret_task[static TASK_ID_SIZE],
		 struct err *e)
{
	struct entry *en;
	struct db_model m = {0};
	bool ok;

	ok = find(sw, id, &m, &en, e);
	if (ok && m.environment) {
		CLEANUP(free) char *key = change_key(&m, m.environment);
		bool same;

		pthread_mutex_lock(&sw->lock);
		same = en->state == MODEL_LOADED && en->loaded_as &&
		       strcmp(en->loaded_as, key) == 0;
		pthread_mutex_unlock(&sw->lock);
		if (same) {
			struct task_spec spec = {0};

			describe(&spec, "load", &m, m.environment, m.backend, "Already loaded");
			ok = tasks_record_done(sw->s.tasks, &spec, ret_task, e);
			db_model_done(&m);
			return ok;
		}
	}
	if (ok) {
		pthread_mutex_lock(&sw->lock);
		ok = submit_load(sw, en, &m, ret_task, e);
		pthread_mutex_unlock(&sw->lock);
	}
	db_model_done(&m);
	return ok;
}

bool switch_unload(struct switcher *sw, const char *id, bool force, struct err *e)
{
	struct entry *en = NULL;
	struct db_model m = {0};
	bool ok = find(sw, id, &m, &en, e);
	bool changing; /* by a task that has the slot, or that will load it */

	db_model_done(&m);
	if (!ok)
		return false;
	pthread_mutex_lock(&sw->lock);
	changing = en->task[0] && (en->busy || !en->task_backend);
	if (changing && !force) {
		(void)err_set(e, ERR_CONFLICT, "model '%s' is being changed by task %s", id,
			      en->task);
		(void)err_hint(e, "wait for it, cancel it, or use force");
		ok = false;
	} else if (changing) {
		supersede(sw, en);
	}
	pthread_mutex_unlock(&sw->lock);
	if (!ok || !entry_claim(sw, en, NULL, NULL, e))
		return false;
	if (en->worker)
		ok = change_unload(sw, en, force, NULL, NULL, e);
	else if (en->state == MODEL_FAILED)
		entry_set_state(sw, en, MODEL_UNLOADED, NULL);
	entry_release(sw, en);
	return ok;
}

bool switch_want(struct switcher *sw, const char *id, struct err *e)
{
	struct db_model m = {0};
	struct entry *en;
	char task[TASK_ID_SIZE];
	bool ok, wanted;

	if (!find(sw, id, &m, &en, e))
		return false;
	pthread_mutex_lock(&sw->lock);
	wanted = !en->worker && !en->busy;
	ok = !wanted || en->task[0] || clock_ms() >= en->not_before;
	if (!ok) {
		(void)err_set(e, ERR_UNAVAILABLE, "%s",
			      en->reason[0] ? en->reason : "the model failed to start");
		(void)err_hint(e, "the next try is possible in %lld s",
			       (long long)(en->not_before - clock_ms()) / 1000 + 1);
	}
	if (ok && wanted && (!en->task[0] || !en->task_backend)) {
		ok = submit_load(sw, en, &m, task, e);
	} else if (ok && wanted) {
		/* A first switch is being built: the model is loaded on what it has, beside that
		 * task. */
		(void)err_set(e, ERR_UNAVAILABLE, "model '%s' gets its %s environment (task %s)",
			      id, en->task_backend, en->task);
		(void)err_hint(e, "ask again when that task is done");
		ok = false;
	}
	pthread_mutex_unlock(&sw->lock);
	db_model_done(&m);
	return ok;
}
