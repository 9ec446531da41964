/* SPDX-License-Identifier: Apache-2.0 */
/* fit_check() for a model of the switcher: what it needs to know of the others. */

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

void change_fit(struct switcher *sw, const struct db_model *m, const char *environment,
		const struct worker *old, struct task *t, struct fit *ret)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	CLEANUP(free) pid_t *pids = NULL;
	struct fit_request r = {.db = sw->s.db,
				.model = m,
				.run = &run,
				.old = old,
				.memory_limit = sw->s.memory_limit,
				.cancelled = t ? task_cancelled : NULL,
				.arg = t};
	CLEANUP(free) char *device = NULL;
	struct err e = {0};

	if (!envs_run_facts(sw->s.envs, environment, &run, &e)) {
		*ret = (struct fit){.free_device = -1, .free_ram = -1};
		(void)snprintf(ret->text, sizeof(ret->text), "%.250s", e.msg);
		return;
	}
	r.device = device = change_device(m, &run);
	r.pids = pids = list_pids(sw, old, &r.pid_count);
	fit_check(&r, ret);
}
