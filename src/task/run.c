/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: threads that take queued tasks in order and run their steps. */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "task/task_priv.h"

#define STACK ((size_t)1 << 20)

/* Lock held. The oldest task of the lane that nobody has taken. */
static struct task *next_task(struct lane *lane)
{
	for (struct task *t = lane->owner->live; t; t = t->next)
		if (t->lane == lane->id && !t->taken)
			return t;
	return NULL;
}

static void begin_step(struct task *t, int step)
{
	struct tasks *ts = t->owner;

	pthread_mutex_lock(&ts->lock);
	if (step > 0)
		t->weight_done += t->steps[step - 1].weight;
	t->step = step;
	t->row.step_n = step + 1;
	t->row.done = step >= t->step_count - t->extra_count;
	free(t->row.step);
	t->row.step = mem_dup(t->steps[step].title);
	if (t->weight > 0)
		t->row.percent = 100.0 * t->weight_done / t->weight;
	task_save(t);
	tasks_changed(ts);
	pthread_mutex_unlock(&ts->lock);
	task_logf(t, "== %s", t->steps[step].title);
}

static void begin(struct task *t)
{
	struct tasks *ts = t->owner;
	CLEANUP(free) char *path = tasks_log_path(ts, t->row.id);

	t->log = path ? fopen(path, "ae") : NULL;
	if (!t->log)
		log_warn("no log for the task id=%s, continuing", t->row.id);
	pthread_mutex_lock(&ts->lock);
	free(t->row.state);
	t->row.state = mem_dup("running");
	t->row.started = clock_wall_ms();
	pthread_mutex_unlock(&ts->lock);
}

/* From `step` on: what was asked for is done. */
static void run_extra(struct task *t, int step)
{
	for (; step < t->step_count && !task_cancelled(t); step++) {
		struct err e = {0};

		begin_step(t, step);
		if (!t->steps[step].run(t, t->arg, &e))
			task_logf(t, "left out: %s", e.msg);
	}
}

static void run(struct task *t)
{
	struct err e = {0};
	bool ok = true;
	int step = 0;

	begin(t);
	for (; ok && step < t->step_count - t->extra_count; step++) {
		if (task_cancelled(t)) {
			(void)err_set(&e, ERR_CANCELLED, "cancelled before: %s",
				      t->steps[step].title);
			ok = false;
			break;
		}
		begin_step(t, step);
		ok = t->steps[step].run(t, t->arg, &e);
		if (!ok)
			break;
	}
	if (!ok) {
		task_logf(t, "%s: %s", e.kind == ERR_CANCELLED ? "cancelled" : "failed", e.msg);
		while (--step >= 0)
			if (t->steps[step].undo)
				t->steps[step].undo(t, t->arg);
	} else {
		run_extra(t, step);
	}
	task_finish(t, &e);
}

static void *lane_main(void *arg)
{
	struct lane *lane = arg;
	struct tasks *ts = lane->owner;

	pthread_mutex_lock(&ts->lock);
	while (!lane->stopping) {
		struct task *t = next_task(lane);

		if (!t) {
			lane->idle++;
			pthread_cond_wait(&ts->work, &ts->lock);
			lane->idle--;
			continue;
		}
		t->taken = true;
		pthread_mutex_unlock(&ts->lock);
		run(t);
		pthread_mutex_lock(&ts->lock);
	}
	pthread_mutex_unlock(&ts->lock);
	return NULL;
}

/* Lock held. Tasks of the lane that nobody has taken. */
static int queued(const struct lane *lane)
{
	int n = 0;

	for (const struct task *t = lane->owner->live; t; t = t->next)
		n += t->lane == lane->id && !t->taken;
	return n;
}

bool lane_wake(struct lane *lane, struct err *e)
{
	pthread_attr_t attr;
	int error;

	/* All lanes wait on one condition: wake them all, whose task it is will take it. */
	pthread_cond_broadcast(&lane->owner->work);
	if (queued(lane) <= lane->idle || lane->started == lane->limit)
		return true;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	error = pthread_create(&lane->threads[lane->started], &attr, lane_main, lane);
	pthread_attr_destroy(&attr);
	if (error == 0)
		lane->started++;
	/* With one thread at least, the task is run by and by. */
	return lane->started > 0 || err_sys(e, error, "starting a thread for tasks");
}

void lane_join(struct lane *lane)
{
	for (int i = 0; i < lane->started; i++)
		pthread_join(lane->threads[i], NULL);
}
