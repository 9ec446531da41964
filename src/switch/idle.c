/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/idle.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/option.h"

int64_t idle_since(const struct entry *en)
{
	struct route_stats stats;

	route_get_stats(en->route, &stats);
	if (stats.running > 0 || stats.waiting > 0)
		return clock_ms();
	return stats.last_request > en->ready_since ? stats.last_request : en->ready_since;
}

static bool claim(struct switcher *sw, struct entry *en)
{
	bool ok;

	pthread_mutex_lock(&sw->lock);
	ok = en->worker && !en->busy && !en->task[0];
	if (ok)
		en->busy = true;
	pthread_mutex_unlock(&sw->lock);
	return ok;
}

/* The slot is held. Only a held route tells for certain that nobody is there. */
static bool hold_if_empty(struct entry *en)
{
	struct route_stats stats;

	route_hold(en->route);
	route_get_stats(en->route, &stats);
	if (stats.running == 0 && stats.waiting == 0)
		return true;
	if (worker_state(en->worker) != WORKER_DOWN) /* else entry_release closes it */
		route_open(en->route, en->worker);
	return false;
}

bool idle_unload(struct switcher *sw, struct entry *en, const char *why)
{
	struct err e = {0};
	bool ok;

	if (!claim(sw, en))
		return false;
	ok = hold_if_empty(en) && change_unload(sw, en, false, NULL, NULL, &e);
	entry_release(sw, en);
	if (e.kind != ERR_NONE)
		log_warn("model not unloaded model=%s reason=\"%s\", continuing", en->id, e.msg);
	err_clear(&e);
	if (ok && !db_event_add(sw->s.db, "unloaded", en->id, why, &e))
		log_warn("event lost reason=\"%s\", continuing", e.msg);
	if (ok)
		log_info("model unloaded model=%s why=\"%s\"", en->id, why);
	return ok;
}

void switcher_keep_alive(struct switcher *sw, const char *id, int64_t ms)
{
	struct entry *en;

	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, id);
	if (en && en->worker) {
		en->kept_alive = true;
		en->keep_alive_ms = ms < 0 ? 0 : ms > 0 ? ms : 1;
	}
	pthread_mutex_unlock(&sw->lock);
}

/* What the last request with a keep_alive said, else the option. 0: for ever. */
static int64_t wanted_ms(struct switcher *sw, const struct entry *en, int64_t option_ms)
{
	int64_t ms;

	pthread_mutex_lock(&sw->lock);
	ms = en->kept_alive ? en->keep_alive_ms : option_ms;
	pthread_mutex_unlock(&sw->lock);
	return ms;
}

/* How long it has been idle if that is too long; 0: it stays. */
static int64_t too_long_ms(struct switcher *sw, const struct entry *en, int64_t idle_ms)
{
	struct db_model m = {0};
	struct err ignored = {0}; /* just removed */
	int64_t most = 0;

	if (!db_model_get(sw->s.db, en->id, &m, &ignored))
		return 0;
	if (!option_flag(m.options, "pinned", false))
		most = wanted_ms(sw, en, option_idle_unload_ms(m.options, sw->s.idle_unload_ms));
	db_model_done(&m);
	return most > 0 && idle_ms >= most ? idle_ms : 0;
}

/* How long it has been of no use; 0: it is. */
static int64_t idle_ms(struct switcher *sw, const struct entry *en)
{
	int64_t ms = 0;

	pthread_mutex_lock(&sw->lock);
	if (en->worker && !en->busy && !en->task[0])
		ms = clock_ms() - idle_since(en);
	pthread_mutex_unlock(&sw->lock);
	return ms;
}

void idle_step(struct switcher *sw)
{
	struct entry *en;

	pthread_mutex_lock(&sw->lock);
	en = sw->entries; /* those added later are new, and before it */
	pthread_mutex_unlock(&sw->lock);
	for (; en; en = en->next) {
		int64_t ms = idle_ms(sw, en);

		if (ms > 0)
			ms = too_long_ms(sw, en, ms);
		if (ms == 0)
			continue;
		CLEANUP(free) char *why = mem_printf("no request for %lld s", (long long)ms / 1000);

		(void)idle_unload(sw, en, why);
	}
}
