/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows a pull: the task ends with a row in the catalogue; then the model gets its route,
 * the options and the backend that came with the request. One thread, started with the first pull.
 */

#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/log.h"

struct pull {
	struct pull *next;
	char task[TASK_ID_SIZE];
	char *backend;
	json_t *options;
};

struct pulls {
	struct api *api;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pull *list; /* guarded by lock */
};

static void pull_free(struct pull *p)
{
	free(p->backend);
	json_decref(p->options);
	free(p);
}

static bool finish(struct api *a, const struct pull *p, const char *id, struct err *e)
{
	struct switch_answer answer = {0};

	model_ensure(a, id);
	if (json_object_size(p->options) && !model_merge_options(a, id, p->options, NULL, e))
		return false;
	if (p->backend &&
	    !switch_backend(a->s.switcher, id, p->backend, RELOAD_NO, false, NULL, &answer, e))
		return false;
	free(answer.environment);
	return true;
}

/* True: over, one way or the other. */
static bool look(struct api *a, const struct pull *p)
{
	CLEANUP(json_decref) json_t *result = NULL;
	struct db_task t = {0};
	struct err e = {0};
	bool over = true;
	const char *id;

	if (!tasks_get(a->s.tasks, p->task, &t, &e))
		return true;
	if (strcmp(t.state, "succeeded") == 0) {
		result = answer_stored(t.result);
		id = json_string_value(json_object_get(result, "model"));
		if (id && !finish(a, p, id, &e))
			log_warn("pulled, but model=%s reason=\"%s\", continuing", id, e.msg);
	} else {
		over = strcmp(t.state, "queued") != 0 && strcmp(t.state, "running") != 0;
	}
	db_task_done(&t);
	return over;
}

/* Takes the first of the list; waits while there is none. NULL: the daemon stops. */
static struct pull *take(struct pulls *ps)
{
	struct pull *p;

	pthread_mutex_lock(&ps->lock);
	while (!ps->list && !atomic_load(&ps->api->stopping))
		pthread_cond_wait(&ps->changed, &ps->lock);
	p = ps->list;
	if (p)
		ps->list = p->next;
	pthread_mutex_unlock(&ps->lock);
	return p;
}

static void put(struct pulls *ps, struct pull *p)
{
	struct pull **end = &ps->list;

	pthread_mutex_lock(&ps->lock);
	while (*end)
		end = &(*end)->next;
	p->next = NULL;
	*end = p;
	pthread_cond_signal(&ps->changed);
	pthread_mutex_unlock(&ps->lock);
}

static void *follow(void *arg)
{
	struct pulls *ps = arg;
	struct tasks *ts = ps->api->s.tasks;

	while (!atomic_load(&ps->api->stopping)) {
		uint64_t seen = tasks_wait_change(ts, 0, 0);
		struct pull *p = take(ps);

		if (p && look(ps->api, p)) {
			pull_free(p);
		} else if (p) {
			put(ps, p);
			(void)tasks_wait_change(ts, seen, 1000);
		}
	}
	return NULL;
}

static struct pulls *pulls_start(struct api *a)
{
	struct pulls *ps = mem_alloc(sizeof(*ps));

	ps->api = a;
	pthread_mutex_init(&ps->lock, NULL);
	pthread_cond_init(&ps->changed, NULL);
	if (pthread_create(&ps->thread, NULL, follow, ps) == 0)
		return ps;
	free(ps);
	return NULL;
}

bool pulls_follow(struct api *a, const char *task, const char *backend, const json_t *options,
		  struct err *e)
{
	struct pull *p;

	pthread_mutex_lock(&a->options_lock);
	if (!a->pulls)
		a->pulls = pulls_start(a);
	pthread_mutex_unlock(&a->options_lock);
	if (!a->pulls)
		return err_set(e, ERR_SYSTEM, "no thread for task %s", task);
	p = mem_alloc(sizeof(*p));
	memcpy(p->task, task, TASK_ID_SIZE);
	p->backend = mem_dup(backend);
	p->options = json_deep_copy(options);
	put(a->pulls, p);
	return true;
}

void pulls_free(struct pulls *ps)
{
	struct pull *next;

	if (!ps)
		return;
	pthread_mutex_lock(&ps->lock);
	pthread_cond_signal(&ps->changed);
	pthread_mutex_unlock(&ps->lock);
	pthread_join(ps->thread, NULL);
	for (struct pull *p = ps->list; p; p = next) {
		next = p->next;
		pull_free(p);
	}
	pthread_mutex_destroy(&ps->lock);
	pthread_cond_destroy(&ps->changed);
	free(ps);
}
