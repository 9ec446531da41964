/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/leave.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOK_MS 10
#define TELL_MS 1000
/* A connection that is open may have a request on its way: it is to hear that we stop. */
#define QUIET_MS 100
#define CUT_MS 1000   /* how long cut requests may take to end */
#define KEEP_MS 10000 /* for conversations that are to be kept */
#define STOP_MS 30000 /* more than tasks and workers take to end: systemd must not kill before */

struct leave {
	struct leave_plan p;
	pthread_t thread;
	atomic_bool hurry;
	int64_t told; /* monotonic ms */
};

static void tell(struct leave *l, int running, int64_t left_ms)
{
	int64_t now = clock_ms();

	if (l->told != 0 && now - l->told < TELL_MS)
		return;
	l->told = now;
	(void)notify_send(
		l->p.notify,
		"EXTEND_TIMEOUT_USEC=%lld\nSTATUS=stopping: %d request%s running, at most %lld s",
		(long long)(TELL_MS + STOP_MS) * 1000, running, running == 1 ? "" : "s",
		(long long)(left_ms + 999) / 1000);
}

/* Waits for the requests under way. False: some still run. */
static bool drain(struct leave *l)
{
	int64_t now = clock_ms(), end = now + l->p.drain_timeout_ms, quiet_since = now;

	while (now < end && !atomic_load(&l->hurry)) {
		int running;

		(void)poll(NULL, 0, LOOK_MS);
		now = clock_ms();
		running = api_running(l->p.api);
		if (running > 0)
			quiet_since = now;
		else if (now - quiet_since >= QUIET_MS || api_connections(l->p.api) == 0)
			return true;
		tell(l, running, end - now);
	}
	return api_running(l->p.api) == 0;
}

/* Streams get an event that says so, the others an error. */
static void cut(struct leave *l)
{
	int64_t end = clock_ms() + CUT_MS;

	log_warn("cutting requests running=%d, continuing", api_running(l->p.api));
	gateway_cut_all(l->p.gateway);
	while (api_running(l->p.api) > 0 && clock_ms() < end)
		(void)poll(NULL, 0, LOOK_MS);
}

static bool is_hurried(void *arg)
{
	return atomic_load(&((struct leave *)arg)->hurry);
}

static void *run(void *arg)
{
	struct leave *l = arg;

	(void)notify_send(l->p.notify, "STOPPING=1");
	api_refuse_new(l->p.api);
	engine_stop(l->p.engine); /* builds are interrupted, not cancelled */
	tasks_stop(l->p.tasks, false);
	if (!drain(l))
		cut(l);
	l->told = 0;
	tell(l, 0, 0);
	switcher_leave(l->p.switcher);
	tasks_stop(l->p.tasks, true);
	switcher_keep(l->p.switcher, KEEP_MS, is_hurried, l);
	supervisor_quit(l->p.supervisor);
	return NULL;
}

bool leave_start(const struct leave_plan *p, struct leave **ret, struct err *e)
{
	struct leave *l = mem_alloc(sizeof(*l));
	int error;

	l->p = *p;
	error = pthread_create(&l->thread, NULL, run, l);
	if (error != 0) {
		free(l);
		return err_sys(e, error, "a thread for the end");
	}
	*ret = l;
	return true;
}

void leave_hurry(struct leave *l)
{
	atomic_store(&l->hurry, true);
}

void leave_free(struct leave *l)
{
	if (!l)
		return;
	(void)pthread_join(l->thread, NULL);
	free(l);
}
