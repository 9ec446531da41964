/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/catalog.h"
#include "model/option.h"
#include "switch/switch_priv.h"

#define CUT_MS 5000 /* how long cut requests may take to end */

/* What is done after the drain, and how it is undone:
 *
 *   hold ─► drain ─► stop old ─► start new ─► one token ─► flip the row ─► open
 *     └ timeout, cancel: open old  └──────┴────────────┴───────┴ start old, open old (its row never
 * changed)
 */

char *change_key(const struct db_model *m, const char *environment)
{
	CLEANUP(free) char *options = option_worker_part(m->options);

	return mem_printf("%s\n%s\n%s", environment, m->path, options);
}

/* The options in a change_key. */
static const char *key_options(const char *key)
{
	return strrchr(key, '\n') + 1;
}

static void on_load(void *task, double fraction)
{
	if (task)
		task_progress(task, fraction);
}

/* A worker of the model in that environment, proved by a token. */
static bool start_worker(struct switcher *sw, const struct db_model *m, const char *environment,
			 struct task *t, struct worker **ret, struct err *e)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	CLEANUP(strv_done) struct strv args = {0};
	struct option_facts facts = {.context_length = m->context_length, .mode = m->mode};
	char device[64];
	struct worker *w = NULL;
	bool gpu;

	if (!catalog_check_file(m, e) || !envs_run_facts(sw->s.envs, environment, &run, e))
		return false;
	gpu = run.backend->device_prefix != NULL;
	option_device(m->options, device, sizeof(device));
	if (device[0] && gpu && !backend_owns_device(run.backend, device)) {
		err_set(e, ERR_INVALID, "model '%s': device '%s' is not one of backend '%s'", m->id,
			device, run.backend->name);
		return err_hint(e, "shunt set %s devices=", m->id);
	}
	option_args(m->options, &facts, gpu, &args);
	struct worker_spec spec = {
		.model_id = m->id,
		.model_path = m->path,
		.environment = environment,
		.backend = run.backend->name,
		.base_dir = run.base_dir,
		.device = device[0] && gpu ? device : run.device,
		.device_prefix = run.backend->device_prefix,
		.args = strv_items(&args),
		.environ = strv_items(&run.environ),
		.slots = option_parallel(m->options),
		.mode = option_mode(m->options, &facts),
	};
	if (!worker_start(sw->s.supervisor, &spec, on_load, t ? task_cancelled : NULL, t, &w, e))
		return err_wrap(e, "starting '%s' on %s", m->id, run.backend->name);
	if (!worker_prove(w, t ? task_cancelled : NULL, t, e)) {
		worker_stop(w);
		worker_unref(w);
		return err_wrap(e, "'%s' gave no answer on %s", m->id, run.backend->name);
	}
	if (!envs_mark_ready(sw->s.envs, environment, e)) {
		worker_stop(w);
		worker_unref(w);
		return false;
	}
	*ret = w;
	return true;
}

/* The new worker is the one: remembers it and lets requests in. Takes the reference. */
static void adopt(struct switcher *sw, struct entry *en, struct worker *w, char *loaded_as)
{
	pthread_mutex_lock(&sw->lock);
	en->worker = w;
	free(en->loaded_as);
	en->loaded_as = loaded_as;
	en->ready_since = clock_ms();
	en->not_before = 0;
	pthread_mutex_unlock(&sw->lock);
	entry_set_state(sw, en, MODEL_LOADED, NULL);
	route_open(en->route, w);
}

static void give_up(struct switcher *sw, struct entry *en, const struct err *why)
{
	pthread_mutex_lock(&sw->lock);
	en->failures++;
	en->not_before = clock_ms() + (1000LL << (en->failures < 6 ? en->failures : 6));
	pthread_mutex_unlock(&sw->lock);
	entry_set_state(sw, en, MODEL_FAILED, why);
	route_close(en->route, why);
}

bool change_load(struct switcher *sw, struct entry *en, const struct db_model *m, struct task *t,
		 struct err *e)
{
	struct worker *w = NULL;

	entry_set_state(sw, en, MODEL_LOADING, NULL);
	route_hold(en->route);
	if (!start_worker(sw, m, m->environment, t, &w, e)) {
		if (e->kind != ERR_CANCELLED) {
			give_up(sw, en, e);
			return false;
		}
		entry_set_state(sw, en, MODEL_UNLOADED, NULL);
		return false; /* the task's end knows what becomes of those who wait */
	}
	adopt(sw, en, w, change_key(m, m->environment));
	return true;
}

/* The slot's holder takes the worker out of the entry, and with it the reference. */
static struct worker *take_worker(struct switcher *sw, struct entry *en)
{
	struct worker *w;

	pthread_mutex_lock(&sw->lock);
	w = STEAL(en->worker);
	free(STEAL(en->loaded_as));
	pthread_mutex_unlock(&sw->lock);
	return w;
}

/* Nobody is served any more, or nothing was done: the old worker goes on. */
static bool drain(struct switcher *sw, struct entry *en, bool force, bool (*cancelled)(void *),
		  void *arg, struct err *e)
{
	struct route_stats stats;

	if (route_drain(en->route, en->worker, sw->s.drain_timeout_ms, cancelled, arg))
		return true;
	if (cancelled && cancelled(arg))
		return err_set(e, ERR_CANCELLED, "cancelled while running requests finished");
	if (force) {
		log_warn("cutting requests model=%s after_ms=%lld, continuing", en->id,
			 (long long)sw->s.drain_timeout_ms);
		route_cut(en->worker);
		if (route_drain(en->route, en->worker, CUT_MS, NULL, NULL))
			return true;
	}
	route_get_stats(en->route, &stats);
	err_set(e, ERR_BUSY, "model '%s': %d requests still run after %lld s", en->id,
		stats.running, (long long)sw->s.drain_timeout_ms / 1000);
	return err_hint(e, "wait for them, or use force to cut them");
}

static void go_on_with(struct switcher *sw, struct entry *en, struct worker *w)
{
	if (worker_state(w) == WORKER_DOWN)
		return; /* who gives the slot back finds it dead, and closes the route */
	entry_set_state(sw, en, MODEL_LOADED, NULL);
	route_open(en->route, w);
}

/* The new worker didn't come up: the old environment again, with the options that the old worker
 * had (the row may have new ones). Says in e how that went. */
static void way_back(struct switcher *sw, struct entry *en, const struct db_model *m,
		     const char *loaded_as, struct task *t, struct err *e)
{
	struct db_model before = *m;
	struct err second = {0};
	struct worker *w = NULL;

	if (loaded_as)
		before.options = (char *)key_options(loaded_as);
	task_logf(t, "failed: %s", e->msg);
	task_title(t, "Going back to %s", m->backend);
	if (start_worker(sw, &before, m->environment, NULL, &w, &second)) {
		adopt(sw, en, w, change_key(&before, m->environment));
		(void)err_wrap(e, "model '%s' answers from %s again", m->id, m->backend);
		return;
	}
	give_up(sw, en, &second);
	(void)err_wrap(e, "and going back to %s failed too (%.120s); the next request tries again",
		       m->backend, second.msg);
}

bool change_replace(struct switcher *sw, struct entry *en, const struct db_model *m,
		    const char *backend, const char *environment, bool force, struct task *t,
		    struct err *e)
{
	CLEANUP(free)
	char *loaded_as = mem_dup(en->loaded_as); /* only the slot's holder writes it */
	struct worker *old, *w = NULL;

	entry_set_state(sw, en, MODEL_SWITCHING, NULL);
	route_hold(en->route);
	task_title(t, "Finishing running requests");
	if (!drain(sw, en, force, task_cancelled, t, e)) {
		go_on_with(sw, en, en->worker);
		return false;
	}
	task_title(t, "Starting on %s", backend);
	old = take_worker(sw, en);
	worker_stop(old);
	worker_unref(old);
	if (!start_worker(sw, m, environment, t, &w, e)) {
		way_back(sw, en, m, loaded_as, t, e);
		return false;
	}
	if (strcmp(environment, m->environment) != 0 &&
	    !db_model_associate(sw->s.db, m->id, backend, environment, e)) {
		worker_stop(w);
		worker_unref(w);
		way_back(sw, en, m, loaded_as, t, e);
		return false;
	}
	adopt(sw, en, w, change_key(m, environment));
	return true;
}

bool change_unload(struct switcher *sw, struct entry *en, bool force, bool (*cancelled)(void *),
		   void *arg, struct err *e)
{
	struct worker *old;

	entry_set_state(sw, en, MODEL_UNLOADING, NULL);
	route_hold(en->route);
	if (!drain(sw, en, force, cancelled, arg, e)) {
		go_on_with(sw, en, en->worker);
		return false;
	}
	old = take_worker(sw, en);
	worker_stop(old);
	worker_unref(old);
	entry_set_state(sw, en, MODEL_UNLOADED, NULL);
	route_close(en->route, NULL);
	return true;
}
