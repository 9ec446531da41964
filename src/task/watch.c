/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at tasks from outside: snapshots, waiting, live viewers. */

#include <string.h>

#include "base/clock.h"
#include "task/task_priv.h"

#define POLL_MS 200 /* how often a waiter looks whether anyone still waits for it */

/* The newest snapshot of a live task; false: it is not live. */
static bool get_live(struct tasks *ts, const char *id, struct db_task *ret)
{
	struct task *t;

	pthread_mutex_lock(&ts->lock);
	t = tasks_live(ts, id);
	if (t)
		db_task_copy(&t->row, ret);
	pthread_mutex_unlock(&ts->lock);
	return t != NULL;
}

bool tasks_get(struct tasks *ts, const char *id, struct db_task *ret, struct err *e)
{
	return get_live(ts, id, ret) || db_task_get(ts->db, id, ret, e);
}

bool tasks_list(struct tasks *ts, const char *state, const char *model, int limit,
		struct db_task **ret_list, size_t *ret_count, struct err *e)
{
	if (!db_task_list(ts->db, state, model, limit, ret_list, ret_count, e))
		return false;
	for (size_t i = 0; i < *ret_count; i++) {
		struct db_task live = {0};

		if (!get_live(ts, (*ret_list)[i].id, &live))
			continue;
		db_task_done(&(*ret_list)[i]);
		(*ret_list)[i] = live;
	}
	return true;
}

static bool is_such(const struct db_task *row, const char *kind, const char *environment)
{
	return strcmp(row->kind, kind) == 0 && row->environment &&
	       strcmp(row->environment, environment) == 0;
}

bool tasks_has_live(struct tasks *ts, const char *kind, const char *environment)
{
	bool found = false;

	pthread_mutex_lock(&ts->lock);
	for (const struct task *t = ts->live; t && !found; t = t->next)
		found = !t->over && is_such(&t->row, kind, environment);
	pthread_mutex_unlock(&ts->lock);
	return found;
}

uint64_t tasks_wait_change(struct tasks *ts, uint64_t seen, int timeout_ms)
{
	struct timespec until = clock_after(timeout_ms);
	uint64_t now;
	int error = 0;

	pthread_mutex_lock(&ts->lock);
	while (ts->changes == seen && !ts->stopping && error == 0)
		error = pthread_cond_clockwait(&ts->changed, &ts->lock, CLOCK_MONOTONIC, &until);
	now = ts->changes;
	pthread_mutex_unlock(&ts->lock);
	return now;
}

void tasks_touch(struct tasks *ts)
{
	pthread_mutex_lock(&ts->lock);
	tasks_changed(ts);
	pthread_mutex_unlock(&ts->lock);
}

bool tasks_is_done(const struct db_task *t)
{
	return t->done || strcmp(t->state, "succeeded") == 0;
}

/* Lock held. */
static bool is_awaited(struct tasks *ts, const char *id)
{
	const struct task *t = tasks_live(ts, id);

	return t && !t->over && !t->row.done;
}

/* Waits until the task is not awaited any more, at most ms. */
static bool wait_a_little(struct tasks *ts, const char *id, int ms)
{
	struct timespec until = clock_after(ms);
	bool awaited;

	pthread_mutex_lock(&ts->lock);
	while ((awaited = is_awaited(ts, id))) {
		if (pthread_cond_clockwait(&ts->changed, &ts->lock, CLOCK_MONOTONIC, &until) != 0)
			break;
	}
	pthread_mutex_unlock(&ts->lock);
	return !awaited;
}

bool tasks_wait(struct tasks *ts, const char *id, int timeout_ms, bool (*gone)(void *), void *arg,
		struct db_task *ret, struct err *e)
{
	int64_t end = clock_ms() + timeout_ms;

	for (;;) {
		int64_t left = end - clock_ms();

		if (wait_a_little(ts, id, (int)(left < POLL_MS ? (left > 0 ? left : 0) : POLL_MS)))
			break;
		if (left <= 0 || (gone && gone(arg)))
			break;
	}
	return tasks_get(ts, id, ret, e);
}

char *tasks_log_path(const struct tasks *ts, const char *id)
{
	if (strlen(id) != TASK_ID_SIZE - 1 || id[strspn(id, "0123456789abcdef")] != '\0')
		return NULL;
	return mem_printf("%s/%s.log", ts->log_dir, id);
}
