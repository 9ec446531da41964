/* SPDX-License-Identifier: Apache-2.0 */
/* keep_context: conversations outlive the worker, and the daemon. */

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/option.h"
#include "switch/switch_priv.h"

bool kept_restore(struct switcher *sw, const struct db_model *m, struct task *t, struct worker **w,
		  struct err *e)
{
	CLEANUP(context_done) struct context kept = {0};
	json_t *result;
	char *text;
	bool ok;

	context_find_kept(sw->s.contexts, m->id, &kept);
	if (!kept.owner || !option_flag(m->options, "keep_context", false))
		return true;
	ok = change_restore(sw, m, m->environment, t, &kept, w, e);
	result = json_pack("{s:o}", "context", context_report_json(&kept.report));
	text = json_dumps(result, JSON_COMPACT);
	if (t)
		task_result(t, text);
	free(text);
	json_decref(result);
	return ok;
}

void kept_save(struct switcher *sw, struct entry *en, bool (*cancelled)(void *), void *arg,
	       struct context *ret)
{
	struct context_target same = {
		.environment = worker_environment(en->worker), .cancelled = cancelled, .arg = arg};
	struct db_model m = {0};
	struct err e = {0};

	if (db_model_get(sw->s.db, en->id, &m, &e) && option_flag(m.options, "keep_context", false))
		context_save(sw->s.contexts, en->worker, &same, ret);
	db_model_done(&m);
}

void kept_write(struct context *kept)
{
	struct err e = {0};

	if (!context_keep(kept, &e))
		log_warn("conversations lost reason=\"%s\", continuing", e.msg);
}

/* Shutting down: patience is short. */
struct keeping {
	int64_t until; /* monotonic ms */
	bool (*hurry)(void *);
	void *arg;
};

static bool is_late(void *keeping)
{
	struct keeping *k = keeping;

	return clock_ms() >= k->until || (k->hurry && k->hurry(k->arg));
}

static void keep_one(struct switcher *sw, struct entry *en, struct keeping *k)
{
	CLEANUP(context_done) struct context kept = {0};
	struct err e = {0};

	if (!entry_claim(sw, en, is_late, k, &e)) {
		log_warn("conversations lost model=%s reason=\"%s\", continuing", en->id, e.msg);
		return;
	}
	if (en->worker && worker_state(en->worker) == WORKER_RUNNING) {
		kept_save(sw, en, is_late, k, &kept);
		kept_write(&kept);
	}
	entry_release(sw, en);
}

void switcher_keep(struct switcher *sw, int64_t timeout_ms, bool (*hurry)(void *), void *arg)
{
	struct keeping k = {.until = clock_ms() + timeout_ms, .hurry = hurry, .arg = arg};
	struct entry *en;

	pthread_mutex_lock(&sw->lock);
	en = sw->entries; /* those are never freed, and new ones come before */
	pthread_mutex_unlock(&sw->lock);
	for (; en && !is_late(&k); en = en->next)
		keep_one(sw, en, &k);
}
