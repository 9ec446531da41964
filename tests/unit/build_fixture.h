/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests of builds share: a build as its caller sees it, on this thread or another, and
 * what is left of it. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "engine_fixture.h"

struct seen {
	pthread_mutex_t lock;
	struct buf log;  /* guarded by lock */
	double fraction; /* guarded by lock */
	bool backwards;  /* guarded by lock */
	char title[64];  /* guarded by lock */
	atomic_bool stop;
	const char *stop_file; /* also stops once this is there */
	const char *stop_line; /* and this is in the log */
	int64_t stopped_ms;    /* when it first did */
};

TEST_MAYBE static void on_step(void *arg, const char *title, double fraction)
{
	struct seen *s = arg;

	(void)pthread_mutex_lock(&s->lock);
	s->backwards = s->backwards || fraction < s->fraction;
	s->fraction = fraction;
	(void)snprintf(s->title, sizeof(s->title), "%s", title);
	(void)pthread_mutex_unlock(&s->lock);
}

TEST_MAYBE static void on_line(void *arg, const char *line)
{
	struct seen *s = arg;

	(void)pthread_mutex_lock(&s->lock);
	buf_printf(&s->log, "%s\n", line);
	(void)pthread_mutex_unlock(&s->lock);
}

TEST_MAYBE static bool logged(struct seen *s, const char *line)
{
	bool ret;

	(void)pthread_mutex_lock(&s->lock);
	ret = s->log.data && strstr(s->log.data, line);
	(void)pthread_mutex_unlock(&s->lock);
	return ret;
}

TEST_MAYBE static bool stopped(void *arg)
{
	struct seen *s = arg;
	bool stop = s->stop || (s->stop_file && fs_exists(s->stop_file) && logged(s, s->stop_line));

	if (stop && s->stopped_ms == 0)
		s->stopped_ms = clock_ms();
	return stop;
}

TEST_MAYBE static void seen_done_p(struct seen *s)
{
	buf_done(&s->log);
}

TEST_MAYBE static bool build(struct fixture *f, const struct recipe *r, struct seen *s,
			     struct err *e)
{
	const struct build_watch w = {on_step, on_line, stopped, s};

	return engine_build(f->engine, f->store, r, &w, e);
}

/* Nothing but roots is in the store. */
TEST_MAYBE static bool only_roots(void *arg, const char *name, struct err *e)
{
	if (strcmp(name, "roots") != 0)
		fail_msg("'%s' was left in the store", name);
	return true;
}

TEST_MAYBE static void store_is_empty(const struct fixture *f)
{
	assert_true(fs_each(store_dir(f->store), only_roots, NULL, NULL));
}

/* Processes whose working directory is below a folder, also one that was removed. */
TEST_MAYBE static bool check_one(void *arg, const char *name, struct err *e)
{
	CLEANUP(free) char *link = mem_printf("/proc/%s/cwd", name);
	const char *const *folder = arg;
	char cwd[4096];
	ssize_t len = readlink(link, cwd, sizeof(cwd) - 1);

	if (len > 0 && strncmp(cwd, folder[0], strlen(folder[0])) == 0)
		fail_msg("process %s still works in '%s'", name, folder[0]);
	return true;
}

TEST_MAYBE static void nobody_works_in(const char *folder)
{
	assert_true(fs_each("/proc", check_one, &folder, NULL));
}

struct caller {
	pthread_t thread;
	struct fixture *f;
	const struct recipe *r;
	struct seen seen;
	struct err err;
	bool ok;
};

TEST_MAYBE static void *call(void *arg)
{
	struct caller *c = arg;

	c->ok = build(c->f, c->r, &c->seen, &c->err);
	return NULL;
}

TEST_MAYBE static void start(struct caller *c, struct fixture *f, const struct recipe *r)
{
	*c = (struct caller){.f = f, .r = r, .seen = {.lock = PTHREAD_MUTEX_INITIALIZER}};
	assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

/* Until this line came to the caller's log. */
TEST_MAYBE static void wait_for_line(struct caller *c, const char *line)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	bool found = false;

	for (int64_t end = clock_ms() + 20000; !found && clock_ms() < end;) {
		(void)pthread_mutex_lock(&c->seen.lock);
		found = c->seen.log.data && strstr(c->seen.log.data, line) != NULL;
		(void)pthread_mutex_unlock(&c->seen.lock);
		(void)nanosleep(&pause, NULL);
	}
	assert_true(found);
}

TEST_MAYBE static void join(struct caller *c)
{
	assert_int_equal(pthread_join(c->thread, NULL), 0);
}

TEST_MAYBE static void caller_done(struct caller *c)
{
	buf_done(&c->seen.log);
}

/* How often this stands in the text. */
TEST_MAYBE static int times(const char *text, const char *what)
{
	int n = 0;

	while (text != NULL && (text = strstr(text, what)) != NULL) {
		n++;
		text += strlen(what);
	}
	return n;
}
