/* SPDX-License-Identifier: Apache-2.0 */
/* fit_check() for a model of the switcher: what it needs to know of the others, and who asks. */

#include <stdio.h>
#include <stdlib.h>

#include "model/option.h"
#include "switch/switch_priv.h"

/* Processes of all workers, and of `old`, which an entry may not have any more. Caller frees. */
static pid_t *list_pids(struct switcher *sw, const struct worker *old, size_t *ret_count)
{
	size_t count = old != NULL;
	pid_t *pids = mem_array(1, sizeof(*pids));

	pids[0] = old ? worker_pid(old) : 0;
	pthread_mutex_lock(&sw->lock);
	for (const struct entry *en = sw->entries; en; en = en->next) {
		if (!en->worker || en->worker == old)
			continue;
		pids = mem_grow(pids, count + 1, sizeof(*pids));
		pids[count++] = worker_pid(en->worker);
	}
	pthread_mutex_unlock(&sw->lock);
	*ret_count = count;
	return pids;
}

/* In what is there, or in what is not made yet: see fit.h. */
static void check(struct switcher *sw, const struct db_model *m, const struct env_run *run,
		  const struct worker *old, struct task *t, struct fit *ret)
{
	CLEANUP(free) char *device = change_device(m, run);
	CLEANUP(free) pid_t *pids = NULL;
	struct fit_request r = {.db = sw->s.db,
				.self = sw->s.self,
				.model = m,
				.run = run,
				.device = device,
				.old = old,
				.memory_limit = sw->s.memory_limit,
				.cancelled = t ? task_cancelled : NULL,
				.arg = t};
	r.pids = pids = list_pids(sw, old, &r.pid_count);
	fit_check(&r, ret);
}

void change_fit(struct switcher *sw, const struct db_model *m, const char *environment,
		const struct worker *old, struct task *t, struct fit *ret)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	struct err e = {0};

	if (envs_run_facts(sw->s.envs, environment, &run, &e)) {
		check(sw, m, &run, old, t, ret);
		return;
	}
	*ret = (struct fit){.free_device = -1, .free_ram = -1};
	(void)snprintf(ret->text, sizeof(ret->text), "%.250s", e.msg);
}

/* --- how many layers ----------------------------------------------------- */

/* The slot is held: nobody else writes it. */
static const struct worker *worker_of(struct switcher *sw, const char *id)
{
	const struct entry *en;
	const struct worker *w;

	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, id);
	w = en ? en->worker : NULL;
	pthread_mutex_unlock(&sw->lock);
	return w;
}

char *change_options(struct switcher *sw, const struct db_model *m, const struct env_run *run,
		     struct task *t)
{
	struct fit fit = {0};

	if (!run->backend->device_prefix || !option_auto_layers(m->options))
		return mem_dup(m->options);
	check(sw, m, run, worker_of(sw, m->id), t, &fit);
	if (t && fit.layers_on < fit.layers)
		task_message(t, "%s", fit.text);
	return option_with_layers(m->options, fit.layers_on < fit.layers ? fit.layers_on : -1);
}

/* --- asked for ----------------------------------------------------------- */

static const struct backend *backend_of(const struct db_model *m, const char *name, struct err *e)
{
	const struct backend *b = NULL;

	if (name || m->backend)
		return backend_require(name ? name : m->backend, &b, e) ? b : NULL;
	(void)err_set(e, ERR_CONFLICT, "model '%s' has no backend yet", m->id);
	(void)err_hint(e, "name one");
	return NULL;
}

bool switch_forecast(struct switcher *sw, const struct db_model *m, const char *backend,
		     struct forecast *ret, struct err *e)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	CLEANUP(free) char *environment = NULL;
	const struct backend *b = backend_of(m, backend, e);
	struct model_live live = {0};

	if (!b || !change_owns_devices(m, b, e))
		return false;
	environment = switch_environment(m, b);
	ret->ready = envs_ready(sw->s.envs, environment, b, NULL);
	if (ret->ready && !envs_run_facts(sw->s.envs, environment, &run, e))
		return false;
	if (!ret->ready) { /* as a first environment will have it */
		run.name = mem_dup(environment);
		run.backend = b;
		run.device =
			b->device_prefix ? mem_printf("%s0", b->device_prefix) : mem_dup("none");
	}
	switcher_live(sw, m->id, &live);
	check(sw, m, &run, live.worker, NULL, &ret->fit);
	model_live_done(&live);
	ret->backend = b;
	return true;
}
