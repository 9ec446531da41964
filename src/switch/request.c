/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/option.h"
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
	spec->free_arg = change_free;
}

/* Where a change's task stands in its entry. */
struct place {
	char *task; /* TASK_ID_SIZE */
	char **backend;
	struct env_wish *wish;
};

static struct place place_now(struct entry *en)
{
	return (struct place){en->task, &en->task_backend, &en->task_wish};
}

static struct place place_first(struct entry *en)
{
	return (struct place){en->first_task, &en->first_backend, &en->first_wish};
}

/* What it switches to, as `place` has it; NULL: a load. */
static const char *target(const struct change *c)
{
	if (c->is_load)
		return NULL;
	return c->backend ? c->backend->name : AUTO_BACKEND;
}

/* Submits under the switcher's lock, so that of ten callers one makes the task and nine find it. */
static bool submit(struct place at, struct change *c, struct task_spec *spec,
		   char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct change *arg = mem_alloc(sizeof(*arg));

	*arg = *c;
	spec->arg = arg;
	spec->on_end = change_ended;
	if (!tasks_submit(c->sw->s.tasks, spec, at.task, e)) {
		at.task[0] = '\0';
		return false;
	}
	free(*at.backend);
	*at.backend = mem_dup(target(c));
	*at.wish = c->wish;
	if (at.task == c->entry->task)
		free(STEAL(c->entry->task_options));
	memcpy(arg->task, at.task, TASK_ID_SIZE); /* `ended` waits for the lock: arg is alive */
	memcpy(ret_task, at.task, TASK_ID_SIZE);
	return true;
}

/* Ends that task. Lock held, but let go meanwhile: a queued task ends at once, in this thread. */
static void supersede(struct switcher *sw, struct place at)
{
	char old[TASK_ID_SIZE];
	struct err ignored = {0};

	memcpy(old, at.task, sizeof(old));
	at.task[0] = '\0';
	free(STEAL(*at.backend));
	pthread_mutex_unlock(&sw->lock);
	if (!tasks_cancel(sw->s.tasks, old, &ignored)) /* finished meanwhile: as good */
		log_debug("superseded task=%s reason=\"%s\"", old, ignored.msg);
	pthread_mutex_lock(&sw->lock);
}

static bool is_same(struct place at, const struct change *c)
{
	if (!at.task[0])
		return false;
	if (c->is_load)
		return !*at.backend;
	return *at.backend && strcmp(*at.backend, target(c)) == 0 &&
	       (!c->wish.arch[0] || strcmp(at.wish->arch, c->wish.arch) == 0);
}

/* The task that a change cannot run beside. A load runs beside a first switch's build. */
static struct place in_the_way(struct entry *en, const struct change *c)
{
	return en->task[0] || c->is_load ? place_now(en) : place_first(en);
}

/* A change under way: the same one is joined, another refused, or superseded. Lock held. True with
 * *joined: nothing more to do. */
static bool meet(struct entry *en, const struct change *c, bool *joined,
		 char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct place all[] = {place_now(en), place_first(en)};
	struct place other;

	*joined = false;
	for (size_t i = 0; i < ARRAY_LEN(all) && !*joined; i++) {
		*joined = is_same(all[i], c);
		if (*joined)
			memcpy(ret_task, all[i].task, TASK_ID_SIZE);
	}
	other = in_the_way(en, c);
	if (*joined || !other.task[0])
		return true;
	if (c->force) {
		supersede(c->sw, other);
		return meet(en, c, joined, ret_task, e);
	}
	err_set(e, ERR_CONFLICT, "model '%s' is being changed by task %s (%s%s%s)", en->id,
		other.task, *other.backend ? *other.backend : "load",
		other.wish->arch[0] ? " for " : "", other.wish->arch);
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
	free_slot = !en->busy && !entry_task(en)[0] &&
		    (!en->worker || (same && change_runs_in(c->sw, en, environment)));
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

bool request_switch(struct change *c, const struct db_model *m, struct switch_answer *ret,
		    struct err *e)
{
	CLEANUP(free) char *environment = switch_environment(m, c->backend);
	struct task_spec spec = {0};
	struct place at;
	bool ok, done = false;

	ret->instant = change_is_prepared(c->sw, m, environment, c->backend);
	snprintf(ret->message, sizeof(ret->message),
		 ret->instant ? "%s%sSwitching to existing %s environment (instant switch)..."
			      : "%s%sCreating %s environment (first time setup)...",
		 c->why, c->why[0] ? ". " : "", c->backend->name);
	describe(&spec, "switch", m, environment, c->backend->name, ret->message);
	if (ret->instant && !try_instant(c, m, environment, &spec, &done, ret->task, e))
		return false;
	change_plan(&spec, ret->instant ? CHANGE_SWITCH : CHANGE_SWITCH_FIRST);
	at = ret->instant ? place_now(c->entry) : place_first(c->entry);
	if (!done) {
		bool joined = false;

		pthread_mutex_lock(&c->sw->lock);
		ok = meet(c->entry, c, &joined, ret->task, e) &&
		     (joined || submit(at, c, &spec, ret->task, e));
		pthread_mutex_unlock(&c->sw->lock);
		if (!ok)
			return false;
	}
	ret->environment = STEAL(environment);
	return true;
}

bool request_first(struct change *c, struct task_spec *spec, char ret_task[static TASK_ID_SIZE],
		   struct err *e)
{
	bool ok, joined = false;

	pthread_mutex_lock(&c->sw->lock);
	ok = meet(c->entry, c, &joined, ret_task, e) &&
	     (joined || submit(place_first(c->entry), c, spec, ret_task, e));
	pthread_mutex_unlock(&c->sw->lock);
	return ok;
}

/* The cheap checks before a 202: has it devices of the backend, is what the build needs installed?
 * And does it take the place of another backend that other models use? */
static bool check_build(struct switcher *sw, const struct db_model *m, const struct backend *b,
			bool force, const struct env_wish *w, struct err *e)
{
	CLEANUP(free) char *environment = switch_environment(m, b);
	struct toolkit tk = {0};

	if (!change_owns_devices(m, b, e))
		return false;
	if (envs_ready(sw->s.envs, environment, b, NULL))
		return envs_has_arch(sw->s.envs, environment, w, e);
	return envs_toolkit(sw->s.envs, environment, b, w, &tk, e) &&
	       (force || rebuild_disturbs_nobody(sw, environment, b, m->id, e));
}

static struct env_wish wish(const struct env_wish *w)
{
	return w ? *w : (struct env_wish){0};
}

bool switch_create_environment(struct switcher *sw, const char *id, const char *backend,
			       const struct env_wish *w, struct switch_answer *ret, struct err *e)
{
	struct change c = {.sw = sw, .wish = wish(w)};
	struct task_spec spec = {0};
	struct db_model m = {0};
	bool ok;

	ok = find(sw, id, &m, &c.entry, e) && backend_require(backend, &c.backend, e) &&
	     check_build(sw, &m, c.backend, false, w, e);
	if (ok) {
		ret->environment = switch_environment(&m, c.backend);
		ret->instant = envs_complete(sw->s.envs, ret->environment, c.backend) &&
			       change_is_prepared(sw, &m, ret->environment, c.backend);
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

/* Of a ready environment. Its Python was upgraded or removed underneath: a task of its own sees to
 * it, nobody waits. */
static void mend_python(struct switcher *sw, const char *id, const char *environment,
			const struct backend *b)
{
	struct switch_answer answer = {0};
	struct err e = {0};

	if (!envs_python_is_due(sw->s.envs, environment, b) ||
	    tasks_has_live(sw->s.tasks, "create", environment))
		return;
	if (!switch_create_environment(sw, id, b->name, NULL, &answer, &e))
		log_warn("Python stays as it is model=%s backend=%s reason=\"%s\", continuing", id,
			 b->name, e.msg);
	free(answer.environment);
}

bool switch_backend(struct switcher *sw, const char *id, const char *backend, enum reload reload,
		    bool force, const struct env_wish *w, struct switch_answer *ret, struct err *e)
{
	struct change c = {.sw = sw, .reload = reload, .force = force, .wish = wish(w)};
	struct db_model m = {0};
	bool ok;

	ok = find(sw, id, &m, &c.entry, e);
	if (ok && strcasecmp(backend, AUTO_BACKEND) == 0)
		ok = auto_switch(&c, &m, ret, e);
	else
		ok = ok && backend_require(backend, &c.backend, e) &&
		     check_build(sw, &m, c.backend, force, w, e) && request_switch(&c, &m, ret, e);
	db_model_done(&m);
	if (ok && ret->instant)
		mend_python(sw, id, ret->environment, c.backend);
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
			const struct env_wish *w, char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct change c = {.sw = sw, .entry = en, .is_load = true, .wish = wish(w)};
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
	change_plan(&spec, change_is_prepared(sw, m, m->environment, c.backend)
				   ? CHANGE_LOAD
				   : CHANGE_LOAD_FIRST);
	snprintf(message, sizeof(message), "Loading %s on %s", m->id, m->backend);
	describe(&spec, "load", m, m->environment, m->backend, message);
	if (!submit(place_now(en), &c, &spec, ret_task, e))
		return false;
	hold_for_load(en); /* the task can't end before: that takes the lock */
	return true;
}

/* A load that has begun with other options than these would be in vain: it makes way. Lock held. */
static void overtake(struct switcher *sw, struct entry *en, const struct db_model *m)
{
	CLEANUP(free) char *options = option_worker_part(m->options);

	if (en->task[0] && !en->task_backend && en->task_options &&
	    strcmp(en->task_options, options) != 0)
		supersede(sw, place_now(en));
}

bool switch_load(struct switcher *sw, const char *id, const struct env_wish *w,
		 char ret_task[static TASK_ID_SIZE], struct err *e)
{
	const struct backend *b;
	struct entry *en = NULL;
	struct db_model m = {0};
	bool ok;

	ok = find(sw, id, &m, &en, e);
	if (ok && m.environment) {
		CLEANUP(free) char *key = change_key(sw, &m, m.environment);
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
		en->failures = 0; /* a user who asks for it does not wait */
		en->not_before = 0;
		overtake(sw, en, &m);
		ok = submit_load(sw, en, &m, w, ret_task, e);
		pthread_mutex_unlock(&sw->lock);
	}
	b = ok ? backend_find(m.backend) : NULL;
	if (b && envs_ready(sw->s.envs, m.environment, b, NULL))
		mend_python(sw, id, m.environment, b);
	db_model_done(&m);
	return ok;
}

/* Lock held. */
static bool submit_restart(struct switcher *sw, struct entry *en, const struct db_model *m,
			   const char *why, struct err *e)
{
	struct change c = {.sw = sw, .entry = en, .is_load = true, .anew = true};
	struct task_spec spec = {0};
	char message[300], task[TASK_ID_SIZE];

	(void)snprintf(message, sizeof(message), "Restarting %s on %s: %s", m->id, m->backend, why);
	change_plan(&spec, CHANGE_LOAD);
	describe(&spec, "load", m, m->environment, m->backend, message);
	return backend_require(m->backend, &c.backend, e) &&
	       submit(place_now(en), &c, &spec, task, e);
}

void switcher_worker_ailing(void *switcher, struct worker *w, const char *why)
{
	struct switcher *sw = switcher;
	struct db_model m = {0};
	struct entry *en = NULL;
	struct err e = {0};
	bool ok, wanted = false;

	ok = find(sw, worker_model(w), &m, &en, &e);
	if (ok) {
		pthread_mutex_lock(&sw->lock);
		wanted = en->worker == w && !en->busy && !en->task[0] && m.environment &&
			 clock_ms() >= en->rest_until;
		if (wanted)
			en->rest_until = clock_ms() + entry_back_off_ms(en);
		ok = !wanted || submit_restart(sw, en, &m, why, &e);
		pthread_mutex_unlock(&sw->lock);
	}
	if (wanted && ok)
		ok = db_event_add(sw->s.db, "worker-ailing", m.id, why, &e);
	log_warn("worker ailing model=\"%s\" reason=\"%s\"%s, continuing", worker_model(w), why,
		 wanted && ok ? "" : " replaced=no");
	db_model_done(&m);
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
		supersede(sw, place_now(en));
	}
	pthread_mutex_unlock(&sw->lock);
	if (!ok || !entry_claim(sw, en, NULL, NULL, e))
		return false;
	if (en->worker)
		ok = change_unload(sw, en, force, NULL, NULL, e);
	else /* failed, or loaded when an earlier daemon stopped: nobody wants it now */
		entry_set_state(sw, en, MODEL_UNLOADED, NULL);
	entry_release(sw, en);
	return ok;
}

/* A model without an association gets its first by a switch, which takes as long as a build. */
static bool no_backend_yet(const struct entry *en, const struct db_model *m, struct err *e)
{
	if (m->environment || !en->first_task[0])
		return false;
	(void)err_set(e, ERR_UNAVAILABLE, "model '%s' gets its %s environment (task %s)", en->id,
		      en->first_backend, en->first_task);
	(void)err_hint(e, "ask again when that task is done");
	return true;
}

/* Lock held. */
static bool want(struct switcher *sw, struct entry *en, const struct db_model *m, struct err *e)
{
	char task[TASK_ID_SIZE];

	if (en->worker || en->busy)
		return true;
	if (!en->task[0] && clock_ms() < en->not_before) {
		(void)err_set(e, ERR_UNAVAILABLE, "%s",
			      en->reason[0] ? en->reason : "the model failed to start");
		return err_hint(e, "the next try is possible in %lld s",
				(long long)(en->not_before - clock_ms()) / 1000 + 1);
	}
	if (en->task[0] && en->task_backend) { /* a switch, about to begin */
		hold_for_load(en);
		return true;
	}
	return !no_backend_yet(en, m, e) && submit_load(sw, en, m, NULL, task, e);
}

bool switch_want(struct switcher *sw, const char *id, struct err *e)
{
	struct db_model m = {0};
	struct entry *en = NULL;
	bool ok;

	if (!find(sw, id, &m, &en, e))
		return false;
	pthread_mutex_lock(&sw->lock);
	ok = want(sw, en, &m, e);
	pthread_mutex_unlock(&sw->lock);
	db_model_done(&m);
	return ok;
}
