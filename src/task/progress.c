/* SPDX-License-Identifier: Apache-2.0 */
/* What a task's steps say of themselves. */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "task/task_priv.h"

#define SAVE_MS 1000    /* the row is written at most so often for mere progress */
#define LEAST_STEP 0.05 /* percent that are worth telling viewers */

const char *task_id(const struct task *t)
{
	return t->row.id; /* set once */
}

bool task_cancelled(void *task)
{
	struct task *t = task;

	return atomic_load(&t->cancel);
}

/* Lock held. */
static void tell(struct task *t)
{
	if (clock_ms() - t->saved_at >= SAVE_MS)
		task_save(t);
	tasks_changed(t->owner);
}

void task_progress(struct task *t, double fraction)
{
	double f = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
	double percent;

	if (t->weight == 0)
		return;
	pthread_mutex_lock(&t->owner->lock);
	percent = 100.0 * (t->weight_done + f * t->steps[t->step].weight) / t->weight;
	if (percent >= t->row.percent + LEAST_STEP) { /* a bar never goes back */
		t->row.percent = percent;
		tell(t);
	}
	pthread_mutex_unlock(&t->owner->lock);
}

/* Replaces a text of the row by a new one (taken over) when it differs. */
static void replace(struct task *t, char **field, char *text)
{
	pthread_mutex_lock(&t->owner->lock);
	if (*field && strcmp(*field, text) == 0) {
		free(text);
	} else {
		free(*field);
		*field = text;
		tell(t);
	}
	pthread_mutex_unlock(&t->owner->lock);
}

void task_title(struct task *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	replace(t, &t->row.step, mem_vprintf(fmt, args));
	va_end(args);
}

void task_message(struct task *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	replace(t, &t->row.message, mem_vprintf(fmt, args));
	va_end(args);
}

void task_result(struct task *t, const char *json)
{
	replace(t, &t->row.result, mem_dup(json));
}

void task_log_line(void *task, const char *line)
{
	struct task *t = task;

	if (!t->log)
		return;
	flockfile(t->log);
	(void)fputs(line, t->log);
	(void)fputc('\n', t->log);
	(void)fflush(t->log); /* viewers read the file */
	funlockfile(t->log);
}

void task_logf(struct task *t, const char *fmt, ...)
{
	CLEANUP(free) char *line = NULL;
	va_list args;

	va_start(args, fmt);
	line = mem_vprintf(fmt, args);
	va_end(args);
	task_log_line(t, line);
}
