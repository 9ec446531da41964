/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/worker_priv.h"

#define STALL_MS 120000
/* At the end: a process that the kernel does not let go is left behind. */
#define LAST_MS 8000

bool supervisor_open(const char *run_dir, const char *log_dir, struct supervisor **ret,
		     struct err *e)
{
	CLEANUP(free) char *run = NULL;
	struct supervisor *sv;
	int wake;

	if (!fs_mkdirs(run_dir, 0700, e) || !fs_mkdirs(log_dir, 0700, e))
		return false;
	if (chmod(run_dir, 0700) < 0)
		return err_sys(e, errno, "make '%s' private", run_dir);
	/* Workers run elsewhere: their folder needs a whole path. */
	run = fs_real(run_dir);
	if (!run)
		return err_sys(e, errno, "find '%s'", run_dir);
	if (!orphans_kill(run, e))
		return err_wrap(e, "clearing '%s'", run_dir);
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake < 0)
		return err_sys(e, errno, "eventfd");
	sv = mem_alloc(sizeof(*sv));
	sv->run_dir = STEAL(run);
	sv->log_dir = mem_dup(log_dir);
	sv->limits.stall_ms = STALL_MS;
	sv->wake = wake;
	pthread_mutex_init(&sv->lock, NULL);
	*ret = sv;
	return true;
}

void supervisor_on_crash(struct supervisor *sv, void (*fn)(void *, struct worker *), void *arg)
{
	sv->on_crash = fn;
	sv->on_crash_arg = arg;
}

void supervisor_on_ailing(struct supervisor *sv, void (*fn)(void *, struct worker *, const char *),
			  void *arg)
{
	sv->on_ailing = fn;
	sv->ailing_arg = arg;
}

void supervisor_set_limits(struct supervisor *sv, const struct watch_limits *limits)
{
	sv->limits = *limits;
}

char *supervisor_log_path(const struct supervisor *sv, const char *model_id)
{
	CLEANUP(free) char *name = mem_printf("%s.log", model_id);

	return fs_join(sv->log_dir, name);
}

static void wake_up(struct supervisor *sv)
{
	uint64_t one = 1;

	(void)!write(sv->wake, &one, sizeof(one)); /* full: it will wake anyway */
}

bool supervisor_ask(struct supervisor *sv, struct worker *w, enum worker_ask event)
{
	bool ok;

	pthread_mutex_lock(&sv->lock);
	ok = !sv->ended && !(sv->quitting && event == EV_START);
	if (ok) {
		sv->asked = mem_grow(sv->asked, sv->asked_count + 1, sizeof(*sv->asked));
		sv->asked[sv->asked_count++] = (struct asked){worker_ref(w), event};
	}
	pthread_mutex_unlock(&sv->lock);
	if (ok)
		wake_up(sv);
	return ok;
}

void supervisor_quit(struct supervisor *sv)
{
	pthread_mutex_lock(&sv->lock);
	sv->quitting = true;
	pthread_mutex_unlock(&sv->lock);
	wake_up(sv);
}

static bool is_quitting(struct supervisor *sv)
{
	bool quitting;

	pthread_mutex_lock(&sv->lock);
	quitting = sv->quitting;
	pthread_mutex_unlock(&sv->lock);
	return quitting;
}

static bool is_live(const struct supervisor *sv, const struct worker *w)
{
	for (size_t i = 0; i < sv->live_count; i++)
		if (sv->live[i] == w)
			return true;
	return false;
}

static void answer_one(struct supervisor *sv, struct worker *w, enum worker_ask event)
{
	struct err stopping = {0};

	if (event == EV_READY)
		output_read(&w->out); /* what it logged before is in the pipe */
	if (event == EV_START && is_quitting(sv)) {
		(void)err_set(&stopping, ERR_UNAVAILABLE, "Shunt is stopping");
		worker_refuse(w, &stopping);
		return;
	}
	worker_event(w, event);
	if (w->proc.pid != 0 && !is_live(sv, w)) {
		sv->live = mem_grow(sv->live, sv->live_count + 1, sizeof(struct worker *));
		sv->live[sv->live_count++] = worker_ref(w);
	}
}

static void answer_all(struct supervisor *sv)
{
	struct asked *asked;
	size_t count;
	uint64_t ignored;

	(void)!read(sv->wake, &ignored, sizeof(ignored));
	pthread_mutex_lock(&sv->lock);
	asked = STEAL(sv->asked);
	count = sv->asked_count;
	sv->asked_count = 0;
	pthread_mutex_unlock(&sv->lock);
	for (size_t i = 0; i < count; i++) {
		answer_one(sv, asked[i].worker, asked[i].event);
		worker_unref(asked[i].worker);
	}
	free(asked);
}

/* Its end, its output, its time. The end is seen before the output is read to its end, so nothing
 * is lost. */
static void look_after(struct worker *w)
{
	bool ended = proc_wait(&w->proc, 0, &w->status);

	output_read(&w->out);
	worker_heard(w);
	if (ended)
		worker_event(w, EV_EXIT);
	else if (w->deadline_ms != 0 && clock_ms() >= w->deadline_ms)
		worker_event(w, EV_TIMEOUT);
}

static void look_after_all(struct supervisor *sv)
{
	size_t kept = 0;

	for (size_t i = 0; i < sv->live_count; i++) {
		struct worker *w = sv->live[i];

		look_after(w);
		if (atomic_load(&w->state) == WORKER_DOWN)
			worker_unref(w);
		else
			sv->live[kept++] = w;
	}
	sv->live_count = kept;
}

static int time_left(const struct supervisor *sv)
{
	int64_t now = clock_ms(), first = INT64_MAX;

	for (size_t i = 0; i < sv->live_count; i++)
		if (sv->live[i]->deadline_ms != 0 && sv->live[i]->deadline_ms < first)
			first = sv->live[i]->deadline_ms;
	if (first == INT64_MAX)
		return -1;
	return first <= now ? 0 : (int)(first - now);
}

/* Waits for anything; true when it was a signal. */
static bool wait_all(struct supervisor *sv, int signal_fd)
{
	size_t count = 2 + 2 * sv->live_count;
	CLEANUP(free) struct pollfd *fds = mem_array(count, sizeof(*fds));

	/* Negative descriptors are skipped. */
	fds[0] = (struct pollfd){.fd = sv->wake, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
	for (size_t i = 0; i < sv->live_count; i++) {
		fds[2 + 2 * i] = (struct pollfd){.fd = sv->live[i]->proc.pidfd, .events = POLLIN};
		fds[3 + 2 * i] = (struct pollfd){.fd = sv->live[i]->out.fd, .events = POLLIN};
	}
	if (poll(fds, count, time_left(sv)) < 0)
		return false;
	return fds[1].revents != 0;
}

/* Everyone who waits for a start or a stop gets an answer. */
static void end(struct supervisor *sv)
{
	answer_all(sv);
	pthread_mutex_lock(&sv->lock);
	sv->ended = true;
	pthread_mutex_unlock(&sv->lock);
	answer_all(sv); /* what came in between */
	for (size_t i = 0; i < sv->live_count; i++) {
		log_warn("worker does not end model=\"%s\" pid=%d, continuing",
			 sv->live[i]->model_id, sv->live[i]->proc.program);
		worker_unref(sv->live[i]);
	}
	sv->live_count = 0;
}

void supervisor_run(struct supervisor *sv, int signal_fd, void (*on_signal)(void *), void *arg)
{
	int64_t last = 0; /* when to stop waiting for the ends; 0: not quitting */

	while (last == 0 || (sv->live_count > 0 && clock_ms() < last)) {
		if (wait_all(sv, signal_fd) && on_signal)
			on_signal(arg);
		answer_all(sv);
		look_after_all(sv);
		if (!is_quitting(sv))
			continue;
		if (last == 0)
			last = clock_ms() + LAST_MS;
		/* Also those that were started meanwhile; stopping twice is nothing. */
		for (size_t i = 0; i < sv->live_count; i++)
			worker_event(sv->live[i], EV_STOP);
	}
	end(sv);
}

void supervisor_free(struct supervisor *sv)
{
	if (!sv)
		return;
	assert(sv->live_count == 0);
	for (size_t i = 0; i < sv->asked_count; i++)
		worker_unref(sv->asked[i].worker);
	free(sv->asked);
	free(sv->live);
	free(sv->run_dir);
	free(sv->log_dir);
	close_p(&sv->wake);
	pthread_mutex_destroy(&sv->lock);
	free(sv);
}
