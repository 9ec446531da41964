/* SPDX-License-Identifier: Apache-2.0 */
/* A loaded model gets another worker: the steps, and how each is undone. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/option.h"
#include "switch/switch_priv.h"

#define MOVE_MS 2000 /* how long answers may take to stop; a token may be slow */

/* When memory holds both, nobody waits; else the new one comes when the old one has gone.
 *
 *   beside:   start new ─► flip row ─► hold ─► move ─► carry ─► open new ─► drain old ─► stop old
 *   in turn:  hold ─► move ─► drain old ─► save ─► stop old ─► start new ─► restore ─► flip row
 *             ─► open new
 *
 * carry, save and restore are of conversations (context.h): never a reason to fail.
 *
 * A step that fails, or a cancel before the row is flipped, undoes those before it in reverse: the
 * old worker goes on (beside), or is started again (in turn). The old one is there to go back to
 * until it has finished, in case the new one dies.
 */
struct replacement {
	struct switcher *sw;
	struct entry *en;
	const struct db_model *m; /* its row as it was */
	const char *backend, *environment;
	bool force;
	bool on_gpu; /* the new one, and the GPU has memory of its own */
	struct task *task;
	char *loaded_as, *fresh_as; /* the old worker's and the new one's, see change_key */
	struct worker *old, *fresh; /* references; NULL: not any more, not yet */
	bool flipped;
	struct route_moves moves;
	struct context context;
	int drained;                 /* ran on the old worker and could not move */
	int64_t held_since, held_ms; /* how long nobody was let in */
};

struct step {
	bool (*run)(struct replacement *r, struct err *e);
	void (*undo)(struct replacement *r, struct err *e); /* e is set; it may add to it */
};

/* --- steps and their undo ----------------------------------------------- */

static bool start_new(struct replacement *r, struct err *e)
{
	task_title(r->task, "Starting on %s", r->backend);
	free(r->fresh_as);
	r->fresh_as = change_key(r->sw, r->m, r->environment);
	return change_start(r->sw, r->m, r->environment, r->task, &r->fresh, e);
}

/* Takes the reference; NULL: it has gone already. */
static void stop(struct worker *w)
{
	if (w)
		worker_stop(w);
	worker_unref(w);
}

/* --- conversations ------------------------------------------------------ */

static bool may_carry(const struct replacement *r)
{
	return option_migrate(r->m->options);
}

static bool prepare_new(struct replacement *r, struct err *e)
{
	(void)e;
	if (may_carry(r))
		context_prepare(r->sw->s.contexts, r->old, r->fresh, r->on_gpu, task_cancelled,
				r->task);
	return true;
}

/* key: what the new worker fits. cancelled: NULL once the switch lasts. */
static void save_from_old(struct replacement *r, const char *key, bool (*cancelled)(void *))
{
	/* What is asked again elsewhere had no answer: the server notices later that it has gone.
	 */
	struct context_target to = {.environment = r->environment,
				    .key = key,
				    .busy = r->drained + r->moves.asked_again,
				    .cancelled = cancelled,
				    .arg = r->task};

	task_title(r->task, "Saving conversations");
	context_done(&r->context);
	context_save(r->sw->s.contexts, r->old, &to, &r->context);
}

static bool save(struct replacement *r, struct err *e)
{
	CLEANUP(free) char *key = change_context_key(r->sw, r->m, r->environment);

	(void)e;
	if (may_carry(r))
		save_from_old(r, key, task_cancelled);
	return true;
}

static bool restore(struct replacement *r, struct err *e)
{
	if (r->context.count > 0)
		task_title(r->task, "Restoring conversations");
	return change_restore(r->sw, r->m, r->environment, r->task, &r->context, &r->fresh, e);
}

/* One that is lost by that is started again: the old one serves meanwhile. */
static bool carry(struct replacement *r, struct err *e)
{
	struct worker_context fits;

	if (!may_carry(r))
		return true;
	worker_get_context(r->fresh, &fits);
	save_from_old(r, fits.key, NULL);
	if (context_restore(&r->context, r->fresh, NULL, NULL) == CONTEXT_DONE)
		return true;
	task_logf(r->task, "failed: %s", r->context.report.why_not);
	stop(STEAL(r->fresh));
	if (worker_state(r->old) == WORKER_RUNNING)
		route_open(r->en->route, r->old);
	if (!start_new(r, e))
		return false;
	route_hold(r->en->route);
	return true;
}

static void stop_new(struct replacement *r, struct err *e)
{
	(void)e;
	stop(STEAL(r->fresh));
}

/* What makes the switch last: a daemon that dies from here on starts with the new environment. */
static bool flip_row(struct replacement *r, struct err *e)
{
	bool same = strcmp(r->environment, r->m->environment) == 0;

	r->flipped =
		same || db_model_associate(r->sw->s.db, r->m->id, r->backend, r->environment, e);
	return r->flipped;
}

static void flip_back(struct replacement *r, struct err *e)
{
	struct err second = {0};

	r->flipped = false;
	if (!db_model_associate(r->sw->s.db, r->m->id, r->m->backend, r->m->environment, &second))
		(void)err_wrap(e, "and the association could not be put back (%.120s)", second.msg);
}

static bool hold(struct replacement *r, struct err *e)
{
	(void)e;
	r->held_since = clock_ms();
	route_hold(r->en->route);
	return true;
}

static void open_old(struct replacement *r, struct err *e)
{
	(void)e;
	change_go_on(r->sw, r->en);
}

static bool move_answers(struct replacement *r, struct err *e)
{
	struct worker *w = r->en->worker;

	(void)e;
	if (may_carry(r))
		r->moves = route_ask_move(r->en->route, w, MOVE_MS);
	r->drained = atomic_load(&worker_traffic(w)->running);
	return true;
}

static bool drain_old(struct replacement *r, struct err *e)
{
	task_title(r->task, "Finishing running requests");
	return change_drain(r->sw, r->en, r->force, task_cancelled, r->task, e);
}

static bool stop_old(struct replacement *r, struct err *e)
{
	(void)e;
	if (r->en->worker == r->old)
		worker_unref(change_take_worker(r->sw, r->en));
	stop(STEAL(r->old));
	return true;
}

/* With the options that the old worker had: the row may have new ones. */
static void start_old(struct replacement *r, struct err *e)
{
	struct db_model before = *r->m;
	struct err second = {0};
	CLEANUP(free) char *key = NULL;
	struct worker *w = NULL;

	before.options = (char *)change_key_options(r->loaded_as);
	key = change_key(r->sw, &before, r->m->environment);
	task_logf(r->task, "failed: %s", e->msg);
	task_title(r->task, "Going back to %s", r->m->backend);
	if (change_start(r->sw, &before, r->m->environment, NULL, &w, &second) &&
	    change_restore(r->sw, &before, r->m->environment, NULL, &r->context, &w, &second)) {
		change_set_worker(r->sw, r->en, w, STEAL(key));
		(void)err_wrap(e, "model '%s' answers from %s again", r->m->id, r->m->backend);
		return;
	}
	change_give_up(r->sw, r->en, &second);
	(void)err_wrap(e, "and going back to %s failed too (%.120s); the next request tries again",
		       r->m->backend, second.msg);
}

static bool new_is_down(void *replacement)
{
	const struct replacement *r = replacement;

	return worker_state(r->fresh) != WORKER_RUNNING;
}

static bool say_new_died(struct replacement *r, struct err *e)
{
	CLEANUP(free) char *death = worker_death(r->fresh);

	return err_set(e, ERR_WORKER, "'%s' on %s ended: %s", r->m->id, r->backend, death);
}

static bool open_new(struct replacement *r, struct err *e)
{
	if (new_is_down(r))
		return say_new_died(r, e);
	if (r->en->worker) /* beside */
		worker_unref(change_take_worker(r->sw, r->en));
	change_set_worker(r->sw, r->en, worker_ref(r->fresh), STEAL(r->fresh_as));
	change_go_on(r->sw, r->en);
	r->held_ms = clock_ms() - r->held_since;
	return true;
}

static void take_new_out(struct replacement *r, struct err *e)
{
	(void)e;
	worker_unref(change_take_worker(r->sw, r->en));
	change_set_worker(r->sw, r->en, worker_ref(r->old), mem_dup(r->loaded_as));
}

/* The new one serves: no hurry, unless someone wants the model changed again. */
static bool finish_old(struct replacement *r, struct err *e)
{
	int64_t patience = r->sw->s.drain_timeout_ms;

	task_title(r->task, "Finishing answers on %s", r->m->backend);
	while (!route_drain(r->en->route, r->old, patience, new_is_down, r)) {
		if (new_is_down(r))
			return say_new_died(r, e);
		if (r->force || task_cancelled(r->task)) {
			(void)change_cut(r->sw, r->en, r->old);
			return true;
		}
	}
	return true;
}

static const struct step beside[] = {
	{start_new, stop_new},    {prepare_new, NULL},  {flip_row, flip_back},
	{hold, open_old},         {move_answers, NULL}, {carry, NULL},
	{open_new, take_new_out}, {finish_old, NULL},   {stop_old, NULL},
};

static const struct step in_turn[] = {
	{hold, open_old}, {move_answers, NULL},  {drain_old, NULL},
	{save, NULL},     {stop_old, start_old}, {start_new, stop_new},
	{restore, NULL},  {flip_row, flip_back}, {open_new, NULL},
};

/* e tells why, and what became of the old worker. */
static bool run_steps(struct replacement *r, const struct step *steps, int count, struct err *e)
{
	bool ok = true;
	int i;

	for (i = 0; i < count && ok; i++) {
		if (!r->flipped && task_cancelled(r->task))
			ok = err_set(e, ERR_CANCELLED, "the switch was cancelled");
		else
			ok = steps[i].run(r, e);
	}
	if (ok)
		return true;
	while (--i > 0)
		if (steps[i - 1].undo)
			steps[i - 1].undo(r, e);
	return false;
}

static void tell_context(const struct replacement *r)
{
	const struct context_report *c = &r->context.report;
	long long ms = c->save_ms + c->restore_ms;

	if (c->slots > 0)
		task_logf(r->task, "conversations: %d came along, %lld tokens in %lld ms", c->slots,
			  (long long)c->tokens, ms);
	if (c->why_not[0])
		task_logf(r->task, "conversations stay behind: %s", c->why_not);
}

static void report(const struct replacement *r, const char *way, const char *why)
{
	json_t *context = may_carry(r) ? context_report_json(&r->context.report) : json_null();
	json_t *o =
		json_pack("{s:s, s:s, s:I, s:i, s:i, s:i, s:o}", "way", way, "why", why, "held_ms",
			  (json_int_t)r->held_ms, "moved", r->moves.went_on, "asked_again",
			  r->moves.asked_again, "drained", r->drained, "context", context);
	CLEANUP(free) char *text = json_dumps(o, JSON_COMPACT);

	tell_context(r);
	task_result(r->task, text);
	json_decref(o);
}

static void replacement_done_p(struct replacement *r)
{
	worker_unref(r->old);
	worker_unref(r->fresh);
	free(r->loaded_as);
	free(r->fresh_as);
	context_done(&r->context);
}

/* With n_gpu_layers auto not all layers fit beside the old worker: would its end give the device
 * any? (docs/decisions/0020-layers.md) */
static bool keeps_nothing(const struct fit *f, const struct worker *old)
{
	return !f->one_pool && strcmp(worker_device(old), "none") == 0;
}

bool change_replace(struct switcher *sw, struct entry *en, const struct db_model *m,
		    const char *backend, const char *environment, bool force, struct task *t,
		    struct err *e)
{
	CLEANUP(replacement_done)
	struct replacement r = {.sw = sw,
				.en = en,
				.m = m,
				.backend = backend,
				.environment = environment,
				.force = force,
				.task = t,
				/* only the slot's holder writes them */
				.loaded_as = mem_dup(en->loaded_as),
				.old = worker_ref(en->worker)};
	struct fit fit = {0};
	struct err tried = {0};
	bool side;

	change_fit(sw, m, environment, en->worker, t, &fit);
	task_logf(t, "%s", fit.text);
	if (fit.missing) {
		err_set(e, ERR_WORKER, "model '%s' still answers from %s: %s", m->id, m->backend,
			fit.text);
		return err_hint(e, "shunt doctor %s", backend);
	}
	r.on_gpu = !fit.one_pool;
	side = fit.fits || (fit.fewer && keeps_nothing(&fit, en->worker));
	entry_set_state(sw, en, MODEL_SWITCHING, NULL);
	if (side && run_steps(&r, beside, ARRAY_LEN(beside), &tried)) {
		report(&r, "beside", fit.text);
		return true;
	}
	if (side && tried.kind != ERR_NO_SPACE) {
		change_go_on(sw, en);
		*e = tried;
		return err_wrap(e, "model '%s' still answers from %s", m->id, m->backend);
	}
	if (side) /* the estimate was wrong */
		task_logf(t, "failed: %s", tried.msg);
	if (!run_steps(&r, in_turn, ARRAY_LEN(in_turn), e))
		return false;
	report(&r, "in turn", side ? tried.msg : fit.text);
	return true;
}
