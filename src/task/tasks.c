/* SPDX-License-Identifier: Apache-2.0 */
/* The list of tasks: open and recover, submit, cancel, finish. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "task/task_priv.h"

#define KEEP 1000      /* finished tasks in the database */
#define SWEEP_EVERY 50 /* finished tasks between two looks for logs that nobody can ask for */

static const int lane_limits[] = {[TASK_BUILD] = 1, [TASK_PULL] = 2, [TASK_CONTROL] = LANE_THREADS};

/* The log of a task whose row was pruned goes too. */
static bool sweep_log(void *arg, const char *name, struct err *e)
{
	struct tasks *ts = arg;
	struct db_task row = {0};
	struct err absent = {0};
	char id[TASK_ID_SIZE];

	if (strlen(name) != TASK_ID_SIZE - 1 + 4 || strcmp(name + TASK_ID_SIZE - 1, ".log") != 0)
		return true;
	memcpy(id, name, TASK_ID_SIZE - 1);
	id[TASK_ID_SIZE - 1] = '\0';
	if (db_task_get(ts->db, id, &row, &absent)) {
		db_task_done(&row);
		return true;
	}
	CLEANUP(free) char *path = tasks_log_path(ts, id);

	return absent.kind != ERR_NOT_FOUND || !path || fs_remove_tree(path, e);
}

static bool recover(struct tasks *ts, struct err *e)
{
	struct db_task *newest = NULL;
	size_t count = 0;
	int failed = 0;

	if (!db_task_end_unfinished(ts->db, "interrupted",
				    "the daemon stopped while the task was not finished",
				    "start it again: a build goes on where it was", &failed, e) ||
	    !db_task_prune(ts->db, KEEP, e) ||
	    !db_task_list(ts->db, NULL, NULL, 1, &newest, &count, e))
		return false;
	if (count > 0)
		ts->last_id = strtoull(newest[0].id, NULL, 16);
	db_tasks_free(newest, count);
	if (failed > 0)
		log_warn("tasks of an earlier run failed count=%d, continuing", failed);
	return fs_each(ts->log_dir, sweep_log, ts, e);
}

/* Now and then: without it a daemon that runs for months collects logs. */
static void sweep(struct tasks *ts)
{
	struct err e = {0};

	if (!db_task_prune(ts->db, KEEP, &e) || !fs_each(ts->log_dir, sweep_log, ts, &e))
		log_warn("old tasks not removed reason=\"%s\", continuing", e.msg);
}

bool tasks_open(struct db *db, const char *log_dir, struct tasks **ret, struct err *e)
{
	struct tasks *ts = mem_alloc(sizeof(*ts));

	ts->db = db;
	ts->log_dir = mem_dup(log_dir);
	pthread_mutex_init(&ts->lock, NULL);
	pthread_cond_init(&ts->changed, NULL);
	pthread_cond_init(&ts->work, NULL);
	for (int i = 0; i < TASK_LANE_COUNT; i++)
		ts->lanes[i] = (struct lane){
			.owner = ts, .id = (enum task_lane)i, .limit = lane_limits[i]};
	if (!fs_mkdirs(log_dir, 0700, e) || !recover(ts, e)) {
		tasks_free(ts);
		return err_wrap(e, "opening the tasks");
	}
	*ret = ts;
	return true;
}

struct task *tasks_live(struct tasks *ts, const char *id)
{
	for (struct task *t = ts->live; t; t = t->next)
		if (strcmp(t->row.id, id) == 0)
			return t;
	return NULL;
}

void tasks_changed(struct tasks *ts)
{
	ts->changes++;
	pthread_cond_broadcast(&ts->changed);
}

void task_save(struct task *t)
{
	struct err e = {0};

	t->saved_at = clock_ms();
	if (!db_task_put(t->owner->db, &t->row, &e))
		log_error("task not saved id=%s reason=\"%s\"", t->row.id, e.msg);
}

/* Milliseconds since 1970 and 20 bits that tell tasks of one millisecond apart; grows even when the
 * clock goes back. Lock held. */
static char *next_id(struct tasks *ts)
{
	uint64_t id = (uint64_t)clock_wall_ms() << 20;

	if (id <= ts->last_id)
		id = ts->last_id + 1;
	ts->last_id = id;
	return mem_printf("%016llx", (unsigned long long)id);
}

/* Lock held. */
static void fill_row(struct tasks *ts, const struct task_spec *spec, struct db_task *row)
{
	row->id = next_id(ts);
	row->kind = mem_dup(spec->kind);
	row->model = mem_dup(spec->model);
	row->environment = mem_dup(spec->environment);
	row->backend = mem_dup(spec->backend);
	row->state = mem_dup("queued");
	row->step = mem_dup("Waiting");
	row->step_count = spec->step_count;
	row->message = mem_dup(spec->message ? spec->message : "");
	row->created = clock_wall_ms();
}

/* What is the submitter's: after it, the task's code is not run any more. */
static void let_go(struct task *t)
{
	if (t->free_arg)
		t->free_arg(t->arg);
	t->free_arg = NULL;
	t->arg = NULL;
}

static void task_free(struct task *t)
{
	if (t->log)
		(void)fclose(t->log);
	let_go(t);
	db_task_done(&t->row);
	free(t);
}

static struct task *new_task(struct tasks *ts, const struct task_spec *spec)
{
	struct task *t = mem_alloc(sizeof(*t));

	t->owner = ts;
	t->lane = spec->lane;
	t->steps = spec->steps;
	t->step_count = spec->step_count;
	t->extra_count = spec->extra_count;
	t->arg = spec->arg;
	t->free_arg = spec->free_arg;
	t->on_end = spec->on_end;
	for (int i = 0; i < spec->step_count; i++)
		t->weight += spec->steps[i].weight;
	return t;
}

static void append(struct tasks *ts, struct task *t)
{
	struct task **p = &ts->live;

	while (*p)
		p = &(*p)->next;
	*p = t;
}

static void unlink_task(struct tasks *ts, struct task *t)
{
	struct task **p = &ts->live;

	while (*p != t) {
		assert(*p);
		p = &(*p)->next;
	}
	*p = t->next;
}

/* Lock held. Out of the list, and freed. */
static void forget(struct tasks *ts, struct task *t)
{
	unlink_task(ts, t);
	task_free(t);
}

/* Lock held. What could not be saved when it ended (a full disk) is tried again. */
static bool save_over(struct tasks *ts, struct task *t)
{
	struct err e = {0};

	if (!db_task_put(ts->db, &t->row, &e))
		return false;
	log_info("task saved at last id=%s", t->row.id);
	forget(ts, t);
	return true;
}

/* Lock held. One that fails now makes the others wait for the next time. */
static void save_others(struct tasks *ts)
{
	struct task *next;

	for (struct task *t = ts->live; t; t = next) {
		next = t->next;
		if (t->over && !save_over(ts, t))
			return;
	}
}

/* Lock held. Into the list, and a thread for it. */
static bool enqueue(struct tasks *ts, struct task *t, struct err *e)
{
	append(ts, t);
	if (lane_wake(&ts->lanes[t->lane], e))
		return true;
	unlink_task(ts, t);
	return false;
}

bool tasks_submit(struct tasks *ts, const struct task_spec *spec, char ret_id[static TASK_ID_SIZE],
		  struct err *e)
{
	struct task *t = new_task(ts, spec);
	bool ok;

	pthread_mutex_lock(&ts->lock);
	ok = !ts->stopping || err_set(e, ERR_UNAVAILABLE, "the daemon is stopping");
	save_others(ts);
	if (ok) {
		fill_row(ts, spec, &t->row);
		ok = db_task_put(ts->db, &t->row, e) && enqueue(ts, t, e);
	}
	if (ok) {
		memcpy(ret_id, t->row.id, TASK_ID_SIZE);
		tasks_changed(ts);
	}
	pthread_mutex_unlock(&ts->lock);
	if (!ok)
		task_free(t);
	return ok;
}

bool tasks_record_done(struct tasks *ts, const struct task_spec *spec,
		       char ret_id[static TASK_ID_SIZE], struct err *e)
{
	struct db_task row = {0};
	bool ok;

	pthread_mutex_lock(&ts->lock);
	fill_row(ts, spec, &row);
	free(row.state);
	free(row.step);
	row.state = mem_dup("succeeded");
	row.step = mem_dup("Done");
	row.step_n = row.step_count = 1;
	row.percent = 100;
	row.started = row.finished = row.created;
	ok = db_task_put(ts->db, &row, e);
	if (ok)
		memcpy(ret_id, row.id, TASK_ID_SIZE);
	tasks_changed(ts);
	pthread_mutex_unlock(&ts->lock);
	db_task_done(&row);
	return ok;
}

static const char *final_state(const struct err *outcome)
{
	if (outcome->kind == ERR_NONE)
		return "succeeded";
	return outcome->kind == ERR_CANCELLED ? "cancelled" : "failed";
}

static void fill_outcome(struct db_task *row, const struct err *outcome)
{
	free(row->state);
	row->state = mem_dup(final_state(outcome));
	row->finished = clock_wall_ms();
	if (outcome->kind == ERR_NONE) {
		row->percent = 100;
		return;
	}
	row->error_type = mem_dup(err_name(outcome->kind));
	row->error_message = mem_dup(outcome->msg);
	row->error_hint = outcome->hint[0] ? mem_dup(outcome->hint) : NULL;
}

void task_finish(struct task *t, const struct err *outcome)
{
	struct tasks *ts = t->owner;
	struct db_task row = {0};
	struct err e = {0};
	bool saved, sweep_now;

	pthread_mutex_lock(&ts->lock);
	db_task_copy(&t->row, &row);
	sweep_now = ++ts->ended % SWEEP_EVERY == 0;
	pthread_mutex_unlock(&ts->lock);
	fill_outcome(&row, outcome);
	saved = db_task_put(ts->db, &row, &e);
	if (!saved)
		log_error("task not saved id=%s reason=\"%s\", continuing", row.id, e.msg);
	if (outcome->kind == ERR_NONE || outcome->kind == ERR_CANCELLED)
		log_info("task %s id=%s kind=%s model=%s", row.state, row.id, row.kind,
			 row.model ? row.model : "-");
	else
		log_warn("task failed id=%s kind=%s model=%s reason=\"%s\", continuing", row.id,
			 row.kind, row.model ? row.model : "-", outcome->msg);
	if (t->on_end)
		t->on_end(t->arg, outcome);
	let_go(t); /* who waits may take away what it points to as soon as it sees the end */
	pthread_mutex_lock(&ts->lock);
	save_others(ts);
	db_task_done(&t->row);
	t->row = row;
	t->over = true;
	if (saved)
		forget(ts, t);
	tasks_changed(ts);
	pthread_mutex_unlock(&ts->lock);
	if (sweep_now)
		sweep(ts);
}

bool tasks_cancel(struct tasks *ts, const char *id, struct err *e)
{
	struct err why = {0};
	struct db_task row = {0};
	struct task *queued = NULL;
	struct task *t;
	bool over;

	pthread_mutex_lock(&ts->lock);
	save_others(ts);
	t = tasks_live(ts, id);
	over = t && t->over;
	if (over) {
		(void)err_set(e, ERR_CONFLICT, "task %s is finished already (%s)", id,
			      t->row.state);
	} else if (t && !t->taken) {
		queued = t;
		t->taken = true; /* by us: no lane starts it */
	} else if (t) {
		atomic_store(&t->cancel, true);
	}
	pthread_mutex_unlock(&ts->lock);
	if (queued) {
		(void)err_set(&why, ERR_CANCELLED, "cancelled before it began");
		task_finish(queued, &why);
	}
	if (t)
		return !over;
	if (!db_task_get(ts->db, id, &row, e))
		return false;
	(void)err_set(e, ERR_CONFLICT, "task %s is finished already (%s)", id, row.state);
	db_task_done(&row);
	return false;
}

/* What goes on until the end: who waits for a model's load or switch is still answered. */
static bool is_awaited(enum task_lane lane)
{
	return lane == TASK_CONTROL;
}

void tasks_stop(struct tasks *ts, bool all)
{
	pthread_mutex_lock(&ts->lock);
	ts->stopping = true;
	for (int i = 0; i < TASK_LANE_COUNT; i++)
		ts->lanes[i].stopping |= all || !is_awaited((enum task_lane)i);
	for (struct task *t = ts->live; t; t = t->next)
		if (ts->lanes[t->lane].stopping)
			atomic_store(&t->cancel, true);
	pthread_cond_broadcast(&ts->work);
	tasks_changed(ts);
	pthread_mutex_unlock(&ts->lock);
}

void tasks_free(struct tasks *ts)
{
	struct err stopped = {0};

	if (!ts)
		return;
	tasks_stop(ts, true);
	for (int i = 0; i < TASK_LANE_COUNT; i++)
		lane_join(&ts->lanes[i]);
	(void)err_set(&stopped, ERR_CANCELLED, "the daemon stopped before the task began");
	while (ts->live) {
		struct task *t = ts->live;

		if (!t->over)
			task_finish(t, &stopped);
		else if (!save_over(ts, t))
			forget(ts, t); /* the next start says that it was interrupted */
	}
	pthread_mutex_destroy(&ts->lock);
	pthread_cond_destroy(&ts->changed);
	pthread_cond_destroy(&ts->work);
	free(ts->log_dir);
	free(ts);
}
