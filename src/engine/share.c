/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers that want the same piece share one build. It runs on a thread of its own, keeps its log
 * and its progress; each caller waits on its own thread, passes on what is new, and may leave. When
 * the last has left, the build is cancelled.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_priv.h"

enum { ASK_MS = 200 };

struct shared {
	struct shared *next; /* guarded by engine->lock, as all that follows below the line */
	struct engine *en;   /* set once */
	struct store *store; /* set once */
	struct recipe *r;    /* set once */
	pthread_t thread;    /* set once */
	/* --- */
	pthread_cond_t changed;
	struct buf log; /* lines, each with its NUL */
	const char *title;
	double fraction;
	int waiters; /* who wants the result */
	int users;   /* who still looks at this struct */
	bool cancelled, done, ok;
	struct err err;
};

/* --- the build's side ------------------------------------------------------------------------- */

static void on_step(void *arg, const char *title, double fraction)
{
	struct shared *b = arg;

	(void)pthread_mutex_lock(&b->en->lock);
	b->title = title;
	b->fraction = fraction;
	(void)pthread_cond_broadcast(&b->changed);
	(void)pthread_mutex_unlock(&b->en->lock);
}

static void on_line(void *arg, const char *line)
{
	struct shared *b = arg;

	(void)pthread_mutex_lock(&b->en->lock);
	buf_add(&b->log, line, strlen(line) + 1);
	(void)pthread_cond_broadcast(&b->changed);
	(void)pthread_mutex_unlock(&b->en->lock);
}

static bool cancelled(void *arg)
{
	struct shared *b = arg;
	bool ret = false;

	(void)pthread_mutex_lock(&b->en->lock);
	ret = b->cancelled;
	(void)pthread_mutex_unlock(&b->en->lock);
	return ret;
}

static void unlist(struct shared *b)
{
	struct shared **at = &b->en->builds;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
}

static void *build(void *arg)
{
	struct shared *b = arg;
	const struct build_watch w = {
		.on_step = on_step, .on_line = on_line, .cancelled = cancelled, .arg = b};
	struct err e = {0};
	bool ok = job_run(b->en, b->store, b->r, &w, &e);

	(void)pthread_mutex_lock(&b->en->lock);
	b->ok = ok;
	b->err = e;
	b->done = true;
	unlist(b); /* who comes now starts anew */
	(void)pthread_cond_broadcast(&b->changed);
	(void)pthread_mutex_unlock(&b->en->lock);
	return NULL;
}

/* --- the table; lock held --------------------------------------------------------------------- */

static struct shared *find(struct engine *en, const struct store *store, const char *digest)
{
	struct shared *b = en->builds;

	while (b != NULL && (strcmp(b->r->digest, digest) != 0 ||
			     strcmp(store_dir(b->store), store_dir(store)) != 0))
		b = b->next;
	return b;
}

static void destroy(struct shared *b)
{
	recipe_free(b->r);
	buf_done(&b->log);
	(void)pthread_cond_destroy(&b->changed);
	free(b);
}

static struct shared *start(struct engine *en, struct store *store, const struct recipe *r,
			    struct err *e)
{
	struct shared *b = mem_alloc(sizeof(*b));
	int failed = 0;

	*b = (struct shared){.en = en, .store = store, .r = recipe_copy(r), .next = en->builds};
	(void)pthread_cond_init(&b->changed, NULL);
	failed = pthread_create(&b->thread, NULL, build, b);
	if (failed != 0) {
		destroy(b);
		(void)err_sys(e, failed, "start the build's thread");
		return NULL;
	}
	en->builds = b;
	return b;
}

/* The last to look clears it away: by then the build has ended. */
static void leave(struct shared *b)
{
	if (--b->users > 0)
		return;
	(void)pthread_join(b->thread, NULL); /* it has no need of the lock any more */
	destroy(b);
}

/* --- a caller's side -------------------------------------------------------------------------- */

struct view {
	const struct build_watch *w;
	struct shared *b;
	size_t read; /* bytes of the log passed on */
	const char *title;
	double fraction;
};

/* Passes on what is new. Lock held, let go meanwhile. */
static void show(struct view *v)
{
	struct shared *b = v->b;
	CLEANUP(free) char *lines = NULL;
	size_t len = b->log.len - v->read;
	bool moved = b->title != NULL && (b->title != v->title || b->fraction != v->fraction);

	if (len == 0 && !moved)
		return;
	if (len > 0)
		lines = memcpy(mem_alloc(len), b->log.data + v->read, len);
	v->read += len;
	v->title = b->title;
	v->fraction = b->fraction;
	(void)pthread_mutex_unlock(&b->en->lock);
	for (size_t at = 0; at < len && v->w->on_line != NULL; at += strlen(lines + at) + 1)
		v->w->on_line(v->w->arg, lines + at);
	if (moved && v->w->on_step != NULL)
		v->w->on_step(v->w->arg, v->title, v->fraction);
	(void)pthread_mutex_lock(&b->en->lock);
}

static bool asked_to_stop(struct view *v)
{
	bool stop = false;

	if (v->w->cancelled == NULL)
		return false;
	(void)pthread_mutex_unlock(&v->b->en->lock);
	stop = v->w->cancelled(v->w->arg);
	(void)pthread_mutex_lock(&v->b->en->lock);
	return stop;
}

static void wait_a_while(struct shared *b)
{
	struct timespec until = clock_after(ASK_MS);

	(void)pthread_cond_clockwait(&b->changed, &b->en->lock, CLOCK_MONOTONIC, &until);
}

/* True: the build has ended. False: this caller is to leave; the last stays until it is cleared
 * away. */
static bool follow(struct view *v)
{
	struct shared *b = v->b;

	for (;;) {
		show(v);
		if (b->done)
			return true;
		if (asked_to_stop(v))
			break;
		if (!b->done)
			wait_a_while(b);
	}
	if (b->waiters > 1)
		return false;
	b->cancelled = true;
	while (!b->done)
		wait_a_while(b);
	return false;
}

/* One that is being cancelled is waited for: its stage goes first. */
static struct shared *join(struct engine *en, struct store *store, const struct recipe *r,
			   struct err *e)
{
	struct shared *b = NULL;

	while ((b = find(en, store, r->digest)) != NULL && b->cancelled) {
		b->users++;
		while (!b->done)
			wait_a_while(b);
		leave(b);
	}
	if (b == NULL)
		b = start(en, store, r, e);
	if (b != NULL) {
		b->waiters++;
		b->users++;
	}
	return b;
}

static bool build_shared(struct engine *en, struct store *store, const struct recipe *r,
			 const struct build_watch *w, struct err *e)
{
	struct view v = {.w = w, .b = join(en, store, r, e)};
	bool ended = false;
	bool ok = false;
	bool stopped = false;

	if (v.b == NULL)
		return false;
	ended = follow(&v);
	ok = v.b->done && v.b->ok; /* also when it was ready just before it was to stop */
	stopped = v.b->done && atomic_load(&en->stopping); /* which is no wish of the caller's */
	if (!ended && !ok && !stopped)
		(void)err_set(e, ERR_CANCELLED, "the build was cancelled");
	else if (!ok && e != NULL)
		*e = v.b->err;
	v.b->waiters--;
	leave(v.b);
	return ok;
}

bool engine_build(struct engine *en, struct store *store, const struct recipe *r,
		  const struct build_watch *w, struct err *e)
{
	bool ok = false;

	if (store_has(store, r->digest))
		return true;
	(void)pthread_mutex_lock(&en->lock);
	ok = build_shared(en, store, r, w, e);
	(void)pthread_mutex_unlock(&en->lock);
	return ok;
}
