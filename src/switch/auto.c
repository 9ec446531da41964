/* SPDX-License-Identifier: Apache-2.0 */
/* gpu_backend "auto": the ready backend that answers a typical request fastest, by measurement. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "switch/bench_priv.h"
#include "switch/change_task.h"

#define BACKENDS_MAX 8

struct candidate {
	const struct backend *backend;
	double seconds; /* 0: not measured */
};

struct candidates {
	struct candidate list[BACKENDS_MAX];
	size_t count;
};

/* What it takes, as far as it was measured. */
static bool find_seconds(struct switcher *sw, const struct db_model *m, struct candidate *c,
			 struct err *e)
{
	CLEANUP(db_bench_done) struct db_bench now = {0};
	CLEANUP(db_bench_done) struct db_bench known = {0};

	if (!bench_now(sw, m, c->backend, &now, e))
		return false;
	c->seconds = bench_known(sw, &now, &known) ? bench_seconds(&known) : 0;
	return true;
}

static bool find_ready(struct switcher *sw, const struct db_model *m, struct candidates *ret,
		       struct err *e)
{
	for (const struct backend *const *b = backend_all(); *b; b++)
		if (bench_is_ready(sw, m, *b))
			ret->list[ret->count++].backend = *b;
	return ret->count > 0 || bench_nothing_ready(m, e);
}

static int by_seconds(const void *a, const void *b)
{
	double x = ((const struct candidate *)a)->seconds;
	double y = ((const struct candidate *)b)->seconds;

	if (x == 0 || y == 0) /* not measured: last */
		return (x == 0) - (y == 0);
	return (x > y) - (x < y);
}

/* "vulkan: 1.9 s for 1024 + 256 tokens, cpu 12 s, rocm not measured" */
static void say(const struct candidates *c, char *buf, size_t size)
{
	CLEANUP(buf_done) struct buf text = {0};

	for (size_t i = 0; i < c->count; i++) {
		const struct candidate *one = &c->list[i];

		buf_printf(&text, "%s%s%s", i ? ", " : "", one->backend->name, i ? " " : ": ");
		if (one->seconds == 0)
			buf_str(&text, "not measured");
		else
			buf_printf(&text, one->seconds < 10 ? "%.2g s" : "%.0f s", one->seconds);
		if (i == 0)
			buf_printf(&text, " for %d + %d tokens", BENCH_PROMPT_TOKENS,
				   BENCH_ANSWER_TOKENS);
	}
	(void)snprintf(buf, size, "%s", text.data);
}

/* --- at once ------------------------------------------------------------- */

/* One is the fastest whatever it takes. */
static bool choose_only(struct change *c, const struct candidates *found)
{
	if (found->count != 1)
		return false;
	c->backend = found->list[0].backend;
	(void)snprintf(c->why, sizeof(c->why), "%s is the only backend that is ready",
		       c->backend->name);
	return true;
}

static bool choose_known(struct change *c, const struct db_model *m, struct candidates *found,
			 bool *ret, struct err *e)
{
	*ret = true;
	for (size_t i = 0; i < found->count; i++) {
		if (!find_seconds(c->sw, m, &found->list[i], e))
			return false;
		*ret = *ret && found->list[i].seconds > 0;
	}
	if (!*ret)
		return true;
	qsort(found->list, found->count, sizeof(*found->list), by_seconds);
	c->backend = found->list[0].backend;
	say(found, c->why, sizeof(c->why));
	return true;
}

static bool request_measuring(struct change *c, const struct db_model *m, struct switch_answer *ret,
			      struct err *e)
{
	struct task_spec spec = {
		.kind = "switch", .model = m->id, .message = ret->message, .free_arg = change_free};

	ret->instant = false;
	(void)snprintf(ret->message, sizeof(ret->message),
		       "Measuring which backend is the fastest...");
	change_plan(&spec, CHANGE_SWITCH_AUTO);
	return request_first(c, &spec, ret->task, e);
}

bool auto_switch(struct change *c, const struct db_model *m, struct switch_answer *ret,
		 struct err *e)
{
	struct candidates found = {0};
	bool known;

	if (!find_ready(c->sw, m, &found, e))
		return false;
	if (choose_only(c, &found))
		return request_switch(c, m, ret, e);
	if (!bench_possible(m, e) || !choose_known(c, m, &found, &known, e))
		return false;
	return known ? request_switch(c, m, ret, e) : request_measuring(c, m, ret, e);
}

/* --- by measuring first -------------------------------------------------- */

/* False: it ends here. A backend that cannot be measured is left out, and first is why; but not one
 * for which there is only no room now: it may be the fastest. */
static bool measure_one(struct change *c, const struct db_model *m, struct candidate *one,
			const struct bench_part *part, struct err *first, struct err *e)
{
	CLEANUP(db_bench_done) struct db_bench now = {0};
	struct err why = {0};

	if (!bench_now(c->sw, m, one->backend, &now, e) ||
	    !bench_room(c->sw, m, &now, part->task, e))
		return false;
	if (bench_measure(c->sw, m, part, &now, &why)) {
		one->seconds = bench_seconds(&now);
		return true;
	}
	if (why.kind == ERR_CANCELLED) {
		*e = why;
		return false;
	}
	task_logf(part->task, "%s is left out: %s", one->backend->name, why.msg);
	if (first->kind == ERR_NONE)
		*first = why;
	return true;
}

static bool measure_all(struct change *c, const struct db_model *m, struct candidates *found,
			struct task *t, struct err *first, struct err *e)
{
	for (size_t i = 0; i < found->count; i++) {
		struct candidate *one = &found->list[i];
		struct bench_part part = {t, (double)i / (double)found->count,
					  1 / (double)found->count};

		if (!find_seconds(c->sw, m, one, e))
			return false;
		if (one->seconds > 0)
			continue;
		task_title(t, "Measuring %s (%zu/%zu)", one->backend->name, i + 1, found->count);
		if (!measure_one(c, m, one, &part, first, e))
			return false;
	}
	return true;
}

/* Others see it from now on as a switch to that backend. */
static void choose(struct change *c, const struct candidates *found, struct task *t)
{
	struct entry *en = c->entry;

	say(found, c->why, sizeof(c->why));
	task_message(t, "%s", c->why);
	task_logf(t, "%s", c->why);
	pthread_mutex_lock(&c->sw->lock);
	c->backend = found->list[0].backend;
	if (strcmp(en->first_task, c->task) == 0) {
		free(en->first_backend);
		en->first_backend = mem_dup(c->backend->name);
	}
	pthread_mutex_unlock(&c->sw->lock);
}

bool auto_measure(struct task *t, void *change, struct err *e)
{
	struct change *c = change;
	struct candidates found = {0};
	struct db_model m = {0};
	struct err first = {0};
	bool ok = db_model_get(c->sw->s.db, c->entry->id, &m, e) &&
		  find_ready(c->sw, &m, &found, e) && measure_all(c, &m, &found, t, &first, e);

	db_model_done(&m);
	if (!ok)
		return false;
	qsort(found.list, found.count, sizeof(*found.list), by_seconds);
	if (found.list[0].seconds == 0) {
		*e = first;
		return err_wrap(e, "no backend could be measured");
	}
	choose(c, &found, t);
	return true;
}
