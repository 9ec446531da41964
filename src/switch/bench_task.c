/* SPDX-License-Identifier: Apache-2.0 */
/* A benchmark as a task. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "switch/bench_priv.h"

#define BACKENDS_MAX 8

struct bench_job {
	struct switcher *sw;
	char *model;
	const struct backend *backends[BACKENDS_MAX];
	size_t count;
};

static void job_free(void *arg)
{
	struct bench_job *job = arg;

	free(job->model);
	free(job);
}

static bool measure_one(struct bench_job *job, const struct db_model *m, size_t i, struct task *t,
			struct err *e)
{
	CLEANUP(db_bench_done) struct db_bench now = {0};
	struct bench_part part = {t, (double)i / (double)job->count, 1 / (double)job->count};

	task_title(t, "Measuring %s (%zu/%zu)", job->backends[i]->name, i + 1, job->count);
	if (!bench_now(job->sw, m, job->backends[i], &now, e) ||
	    !bench_room(job->sw, m, &now, t, e) || !bench_measure(job->sw, m, &part, &now, e))
		return false;
	task_logf(t, "%s: prompt %.1f tokens/s, answer %.1f tokens/s", now.backend,
		  now.prompt_per_second, now.answer_per_second);
	return true;
}

/* One that fails does not keep the others from being measured. */
static bool measure(struct task *t, void *arg, struct err *e)
{
	struct bench_job *job = arg;
	struct db_model m = {0};
	bool ok = true;

	if (!db_model_get(job->sw->s.db, job->model, &m, e))
		return false;
	for (size_t i = 0; i < job->count && e->kind != ERR_CANCELLED; i++) {
		struct err why = {0};

		if (measure_one(job, &m, i, t, &why))
			continue;
		task_logf(t, "%s", why.msg);
		if (ok || why.kind == ERR_CANCELLED)
			*e = why;
		ok = false;
	}
	db_model_done(&m);
	return ok;
}

static const struct task_step steps[] = {
	{"Measuring", 1, measure, NULL},
};

/* Is it ready? Twice the same is once. */
static bool add(struct bench_job *job, const struct db_model *m, const struct backend *b,
		struct err *e)
{
	struct db_bench now = {0};

	for (size_t i = 0; i < job->count; i++)
		if (job->backends[i] == b)
			return true;
	if (!bench_now(job->sw, m, b, &now, e))
		return false;
	db_bench_done(&now);
	job->backends[job->count++] = b;
	return true;
}

static bool add_named(struct bench_job *job, const struct db_model *m, const char *const *names,
		      struct err *e)
{
	const struct backend *b;

	for (; *names; names++)
		if (!backend_require(*names, &b, e) || !add(job, m, b, e))
			return false;
	return true;
}

static bool add_ready(struct bench_job *job, const struct db_model *m, struct err *e)
{
	for (const struct backend *const *b = backend_all(); *b; b++)
		if (bench_is_ready(job->sw, m, *b) && !add(job, m, *b, e))
			return false;
	return job->count > 0 || bench_nothing_ready(m, e);
}

static bool submit(struct bench_job *job, const struct db_model *m,
		   char ret_task[static TASK_ID_SIZE], struct err *e)
{
	CLEANUP(buf_done) struct buf message = {0};
	struct task_spec spec = {.kind = "benchmark",
				 .model = m->id,
				 .lane = TASK_BUILD, /* nothing is compiled meanwhile */
				 .steps = steps,
				 .step_count = ARRAY_LEN(steps),
				 .arg = job,
				 .free_arg = job_free};

	buf_printf(&message, "Measuring %s on", m->id);
	for (size_t i = 0; i < job->count; i++)
		buf_printf(&message, "%s %s", i ? "," : "", job->backends[i]->name);
	spec.message = message.data;
	return tasks_submit(job->sw->s.tasks, &spec, ret_task, e);
}

bool switch_benchmark(struct switcher *sw, const char *id, const char *const *backends,
		      char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct bench_job *job = mem_alloc(sizeof(*job));
	struct db_model m = {0};
	bool ok;

	job->sw = sw;
	job->model = mem_dup(id);
	ok = db_model_get(sw->s.db, id, &m, e) && bench_possible(&m, e) &&
	     (*backends ? add_named(job, &m, backends, e) : add_ready(job, &m, e));
	if (ok)
		ok = submit(job, &m, ret_task, e);
	else
		job_free(job);
	db_model_done(&m);
	return ok;
}
