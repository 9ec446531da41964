/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/switch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/option.h"
#include "switch/switch_priv.h"
#include "switch/upkeep.h"

#define STEADY_MS 60000 /* a worker that lived so long starts its back-off anew */

const char *model_state_name(enum model_state s)
{
	static const char *const names[] = {
		[MODEL_UNLOADED] = "unloaded",   [MODEL_LOADING] = "loading",
		[MODEL_LOADED] = "loaded",       [MODEL_SWITCHING] = "switching",
		[MODEL_UNLOADING] = "unloading", [MODEL_FAILED] = "failed",
	};

	return names[s];
}

struct entry *entry_find(struct switcher *sw, const char *id)
{
	for (struct entry *en = sw->entries; en; en = en->next)
		if (strcmp(en->id, id) == 0)
			return en;
	return NULL;
}

static void name_route(struct switcher *sw, const char *id)
{
	CLEANUP(strv_done) struct strv aliases = {0};
	struct err ignored = {0}; /* just removed */
	struct db_model m = {0};

	if (!db_model_get(sw->s.db, id, &m, &ignored))
		return;
	option_aliases(m.options, &aliases);
	routes_set_aliases(sw->s.routes, id, &aliases);
	db_model_done(&m);
}

void switcher_model_added(struct switcher *sw, const char *id)
{
	struct route *route = routes_add(sw->s.routes, id);
	struct entry *en;

	name_route(sw, id);

	pthread_mutex_lock(&sw->lock);
	if (!entry_find(sw, id)) {
		en = mem_alloc(sizeof(*en));
		en->id = mem_dup(id);
		en->route = route;
		en->next = sw->entries;
		sw->entries = en;
	}
	pthread_mutex_unlock(&sw->lock);
	tasks_touch(sw->s.tasks);
}

bool switcher_open(const struct switcher_settings *s, struct switcher **ret, struct err *e)
{
	struct switcher *sw;
	struct db_model *models = NULL;
	size_t count = 0;

	if (!db_model_list(s->db, &models, &count, e))
		return false;
	sw = mem_alloc(sizeof(*sw));
	sw->s = *s;
	pthread_mutex_init(&sw->lock, NULL);
	pthread_cond_init(&sw->freed, NULL);
	pthread_cond_init(&sw->news, NULL);
	for (size_t i = 0; i < count; i++)
		switcher_model_added(sw, models[i].id);
	db_models_free(models, count);
	*ret = sw;
	return true;
}

void switcher_free(struct switcher *sw)
{
	struct entry *next;

	if (!sw)
		return;
	switcher_leave(sw);
	for (struct entry *en = sw->entries; en; en = next) {
		next = en->next;
		worker_unref(en->worker);
		free(en->loaded_as);
		free(en->task_backend);
		free(en->task_options);
		free(en->first_backend);
		free(en->id);
		free(en);
	}
	pthread_mutex_destroy(&sw->lock);
	pthread_cond_destroy(&sw->freed);
	pthread_cond_destroy(&sw->news);
	free(sw);
}

void switcher_start(struct switcher *sw)
{
	sw->upkeep = upkeep_start(sw);
}

void switcher_leave(struct switcher *sw)
{
	pthread_mutex_lock(&sw->lock);
	sw->leaving = true;
	pthread_cond_broadcast(&sw->news);
	pthread_mutex_unlock(&sw->lock);
	upkeep_stop(STEAL(sw->upkeep));
}

/* What the next daemon knows of this one: loaded until unloaded or failed. */
static void remember(struct switcher *sw, const struct entry *en, enum model_state state)
{
	bool settled = state == MODEL_LOADED || state == MODEL_UNLOADED || state == MODEL_FAILED;
	struct err e = {0};
	bool leaving;

	pthread_mutex_lock(&sw->lock);
	leaving = sw->leaving;
	pthread_mutex_unlock(&sw->lock);
	if (settled && !leaving &&
	    !db_model_set_loaded(sw->s.db, en->id, state == MODEL_LOADED, &e))
		log_warn("not remembered that the model is %s model=%s reason=\"%s\", continuing",
			 model_state_name(state), en->id, e.msg);
}

void entry_set_state(struct switcher *sw, struct entry *en, enum model_state state,
		     const struct err *why)
{
	remember(sw, en, state);
	pthread_mutex_lock(&sw->lock);
	en->state = state;
	snprintf(en->reason, sizeof(en->reason), "%s", why ? why->msg : "");
	if (state == MODEL_UNLOADED || state == MODEL_FAILED)
		en->kept_alive = false;
	pthread_cond_broadcast(&sw->news);
	pthread_mutex_unlock(&sw->lock);
	if (why)
		log_warn("model failed model=%s reason=\"%s\", continuing", en->id, why->msg);
	else
		log_info("model %s model=%s", model_state_name(state), en->id);
	tasks_touch(sw->s.tasks);
}

int64_t entry_back_off_ms(struct entry *en)
{
	if (clock_ms() - en->ready_since > STEADY_MS)
		en->failures = 0;
	en->failures++;
	return en->failures == 1 ? 0 : 1000LL << (en->failures < 7 ? en->failures - 1 : 6);
}

/* Its worker has died unasked: the next request starts it again, not before the back-off is over.
 */
static void lost_worker(struct switcher *sw, struct entry *en)
{
	CLEANUP(free) char *death = NULL;
	struct worker *w;
	struct err why = {0}, ignored = {0};

	pthread_mutex_lock(&sw->lock);
	w = STEAL(en->worker);
	en->not_before = clock_ms() + entry_back_off_ms(en);
	pthread_mutex_unlock(&sw->lock);

	death = worker_death(w);
	(void)err_set(&why, ERR_WORKER, "model '%s': its worker on %s ended: %s", en->id,
		      worker_backend(w), death);
	(void)err_hint(&why, "shunt logs %s", en->id);
	entry_set_state(sw, en, MODEL_FAILED, &why);
	/* Those who wait in line asked nothing of it yet: they have it started again, or hear of
	 * the back-off. */
	route_close(en->route, NULL);
	if (!db_event_add(sw->s.db, "worker-crashed", en->id, why.msg, &ignored))
		log_warn("event lost reason=\"%s\", continuing", ignored.msg);
	worker_unref(w);
}

void switcher_worker_crashed(void *switcher, struct worker *w)
{
	struct switcher *sw = switcher;
	struct entry *en;
	bool ours;

	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, worker_model(w));
	ours = en && en->worker == w;
	if (ours && en->busy) { /* entry_release looks after it; until then requests wait */
		route_hold(en->route);
		ours = false;
	}
	if (ours)
		en->busy = true;
	pthread_mutex_unlock(&sw->lock);
	if (ours)
		entry_release(sw, en);
}

bool entry_claim(struct switcher *sw, struct entry *en, bool (*cancelled)(void *), void *arg,
		 struct err *e)
{
	bool ok = true;

	pthread_mutex_lock(&sw->lock);
	while (en->busy && ok) {
		struct timespec until = clock_after(200);

		pthread_cond_clockwait(&sw->freed, &sw->lock, CLOCK_MONOTONIC, &until);
		ok = !(cancelled && cancelled(arg));
	}
	if (ok)
		en->busy = true;
	pthread_mutex_unlock(&sw->lock);
	return ok ||
	       err_set(e, ERR_CANCELLED, "cancelled while another change of '%s' ran", en->id);
}

const char *entry_task(const struct entry *en)
{
	return en->task[0] ? en->task : en->first_task;
}

bool entry_line_is_left(const struct entry *en)
{
	return !en->busy && !en->worker && !en->task[0] && route_state(en->route) == ROUTE_HELD;
}

void entry_release(struct switcher *sw, struct entry *en)
{
	bool dead = true;

	while (dead) {
		pthread_mutex_lock(&sw->lock);
		dead = en->worker && worker_state(en->worker) == WORKER_DOWN;
		if (!dead) {
			en->busy = false;
			if (entry_line_is_left(en))
				route_close(en->route, NULL);
			pthread_cond_broadcast(&sw->freed);
		}
		pthread_mutex_unlock(&sw->lock);
		if (dead)
			lost_worker(sw, en);
	}
}

void entry_fresh(struct switcher *sw, struct entry *en)
{
	pthread_mutex_lock(&sw->lock);
	if (en->state == MODEL_FAILED)
		en->state = MODEL_UNLOADED;
	en->reason[0] = '\0';
	en->failures = 0;
	en->not_before = 0;
	pthread_mutex_unlock(&sw->lock);
	tasks_touch(sw->s.tasks);
}

bool switcher_model_removed(struct switcher *sw, const char *id, struct err *e)
{
	struct entry *en;
	const char *task;
	bool ok, taken;

	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, id);
	task = en ? entry_task(en) : "";
	taken = en && (en->busy || task[0]);
	if (taken)
		(void)err_set(e, ERR_CONFLICT, "model '%s' is being changed by task %s", id,
			      task[0] ? task : "(unload)");
	if (en && !taken)
		en->busy = true;
	pthread_mutex_unlock(&sw->lock);
	if (taken)
		return err_hint(e, "wait for it, or cancel it");
	if (!en)
		return true;
	ok = !en->worker || change_unload(sw, en, true, NULL, NULL, e);
	if (ok) {
		contexts_forget(sw->s.contexts, id);
		routes_remove(sw->s.routes, id);
		entry_fresh(sw, en); /* for the next model of this id */
	}
	entry_release(sw, en);
	return ok;
}

void switcher_loaded(struct switcher *sw, struct strv *ret)
{
	pthread_mutex_lock(&sw->lock);
	for (const struct entry *en = sw->entries; en; en = en->next)
		if (en->worker)
			strv_add(ret, en->id);
	pthread_mutex_unlock(&sw->lock);
}

bool switcher_ability(struct switcher *sw, const char *id, unsigned wanted, struct ability *ret,
		      struct err *e)
{
	struct db_model m = {0};

	if (!db_model_get(sw->s.db, id, &m, e))
		return false;
	ability_find(&m, wanted, ret);
	db_model_done(&m);
	return true;
}

const struct runtime *switcher_runtime(struct switcher *sw, const char *id)
{
	const struct runtime *r = NULL;
	const struct entry *en;
	struct db_model m = {0};

	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, id);
	if (en && en->worker)
		r = worker_runtime(en->worker);
	pthread_mutex_unlock(&sw->lock);
	if (!r && db_model_get(sw->s.db, id, &m, NULL))
		r = runtime_find(option_runtime(m.options));
	db_model_done(&m);
	return r ? r : &runtime_server;
}

void switcher_count(struct switcher *sw, int ret[static MODEL_STATE_COUNT])
{
	pthread_mutex_lock(&sw->lock);
	for (const struct entry *en = sw->entries; en; en = en->next)
		ret[en->state]++;
	pthread_mutex_unlock(&sw->lock);
}

/* Lock held. A failed model is not started again at once. */
static void say_why(const struct entry *en, char *buf, size_t size)
{
	int64_t wait_ms = en->not_before - clock_ms();

	if (en->state == MODEL_FAILED && wait_ms > 0)
		(void)snprintf(buf, size,
			       "%.400s; a request starts it again in %lld s, a load at once",
			       en->reason, (long long)wait_ms / 1000 + 1);
	else
		(void)snprintf(buf, size, "%s", en->reason);
}

void switcher_live(struct switcher *sw, const char *id, struct model_live *ret)
{
	struct entry *en;

	*ret = (struct model_live){0};
	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, id);
	if (en) {
		ret->state = en->state;
		say_why(en, ret->reason, sizeof(ret->reason));
		memcpy(ret->task, entry_task(en), sizeof(ret->task));
		ret->worker = en->worker ? worker_ref(en->worker) : NULL;
		route_get_stats(en->route, &ret->requests);
	}
	pthread_mutex_unlock(&sw->lock);
}

void model_live_done(struct model_live *l)
{
	worker_unref(l->worker);
	l->worker = NULL;
}

void switcher_context_totals(struct switcher *sw, struct context_totals *ret)
{
	contexts_get_totals(sw->s.contexts, ret);
}
