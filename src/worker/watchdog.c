/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/watchdog.h"

#include <string.h>

#include "backend/hardware.h"
#include "base/clock.h"
#include "worker/worker_priv.h"

#define LOOK_MS 500            /* between two looks; sooner for a short limit … */
#define LOOK_LEAST_MS 50       /* … but not sooner than so */
#define STOPPED_MS 3000        /* a SIGSTOP may be followed by a SIGCONT */
#define AWAITED_MS 2000        /* who waits says so more often */
#define FUTILE 10              /* times the limit: computes all the time, and no token */
#define MINUTE_MS 60000        /* in which so many … */
#define BREAKS 3               /* … answers may not be broken off */
#define COMPLAIN_MS 60000      /* between two calls for a replacement */
#define GROWTH_FLOOR (1 << 30) /* buffers that fill with use are no leak */
#define SHORT_PERCENT 3        /* of the memory left: it is running out */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool past(const struct worker *w, int64_t ms, int64_t factor)
{
	int64_t limit = w->sv->limits.stall_ms;

	return limit > 0 && ms >= limit * factor;
}

/* --- what may be wrong -------------------------------------------------- */

static bool is_stopped(struct worker *w, struct err *why)
{
	int64_t ms = activity_stopped_ms(&w->dog.activity);
	int64_t limit = w->sv->limits.stall_ms;

	if (ms < (limit > 0 ? least(limit, STOPPED_MS) : STOPPED_MS))
		return false;
	(void)err_set(why, ERR_WORKER, "it was stopped by a signal (SIGSTOP) and did not go on");
	return true;
}

static bool is_silent(struct worker *w, struct err *why)
{
	if (!past(w, w->dog.quiet_ms, 1))
		return false;
	(void)err_set(why, ERR_WORKER,
		      "it hung while loading: for %lld s no progress, no computing, no output",
		      (long long)w->dog.quiet_ms / 1000);
	return true;
}

static bool is_wedged(struct worker *w, struct err *why)
{
	if (!past(w, w->dog.quiet_ms, 1))
		return false;
	(void)err_set(why, ERR_WORKER,
		      "it hung: for %lld s no token, no computing, no output while %d requests ran",
		      (long long)w->dog.quiet_ms / 1000, atomic_load(&w->traffic.running));
	return true;
}

/* A thread that waits for a GPU may spin for ever. On the CPU computing is getting on. */
static bool is_futile(struct worker *w, struct err *why)
{
	int64_t ms = clock_ms() - w->dog.moved;

	if (strcmp(w->device, "none") == 0 || !past(w, ms, FUTILE))
		return false;
	(void)err_set(why, ERR_WORKER,
		      "it hung: it computed for %lld s without a token while %d requests ran",
		      (long long)ms / 1000, atomic_load(&w->traffic.running));
	return true;
}

/* One that is dying breaks off, too: counted when no more have come since the last look, by which
 * its end is known. */
static bool breaks_off(struct worker *w, struct err *why)
{
	struct watchdog *d = &w->dog;
	unsigned breaks = atomic_load(&w->traffic.breaks);
	bool settled = breaks == d->breaks_seen;
	int64_t now = clock_ms();

	if (now - d->breaks_since > MINUTE_MS) {
		d->breaks_since = now;
		d->breaks_before = d->breaks_seen;
	}
	d->breaks_seen = breaks;
	if (!settled || breaks - d->breaks_before < BREAKS)
		return false;
	(void)err_set(why, ERR_WORKER, "it broke off %u answers within a minute",
		      breaks - d->breaks_before);
	return true;
}

/* Read only when it has grown a lot. */
static bool memory_is_short(void)
{
	struct hardware hw;

	hardware_read(&hw);
	return hw.memory_free_bytes * 100 < hw.memory_bytes * SHORT_PERCENT;
}

static bool grows(struct worker *w, struct err *why)
{
	struct watchdog *d = &w->dog;
	int64_t bound = w->sv->limits.growth_bytes, grown;

	if (d->ready_bytes == 0 || atomic_load(&w->traffic.running) > 0)
		return false;
	grown = d->own_bytes - d->ready_bytes;
	if (bound > 0 ? grown <= bound
		      : grown <= GROWTH_FLOOR || grown <= d->ready_bytes || !memory_is_short())
		return false;
	(void)err_set(why, ERR_WORKER, "its memory grew from %lld to %lld MB",
		      (long long)d->ready_bytes >> 20, (long long)d->own_bytes >> 20);
	return true;
}

static const struct {
	enum worker_state when;
	enum watchdog_verdict verdict;
	bool (*wrong)(struct worker *w, struct err *why);
} rules[] = {
	{WORKER_STARTING, WATCHDOG_KILL, is_stopped},
	{WORKER_STARTING, WATCHDOG_KILL, is_silent},
	{WORKER_RUNNING, WATCHDOG_KILL, is_stopped},
	{WORKER_RUNNING, WATCHDOG_KILL, is_wedged},
	{WORKER_RUNNING, WATCHDOG_KILL, is_futile},
	{WORKER_RUNNING, WATCHDOG_REPLACE, breaks_off},
	{WORKER_RUNNING, WATCHDOG_REPLACE, grows},
};

/* --- looking ------------------------------------------------------------ */

/* Signs that requests get on: output, bytes of answers, and when those don't come, the counters. */
static void listen_to(struct worker *w, int64_t now)
{
	struct watchdog *d = &w->dog;
	bool awaited = now - atomic_load(&w->traffic.awaited_ms) < AWAITED_MS;
	int64_t heard = w->out.bytes + atomic_load(&w->traffic.touched_ms);
	bool moved = pulse_hear(&d->pulse) || heard != d->heard || !awaited;

	d->heard = heard;
	if (moved || activity_is_late(&d->activity, now))
		d->moved = now;
	if (w->runtime->slots && past(w, (now - d->moved) * FUTILE, 1))
		pulse_ask(&d->pulse, w->socket);
}

static void look(struct worker *w, int64_t now)
{
	struct watchdog *d = &w->dog;
	bool serving = worker_state(w) == WORKER_RUNNING;

	if (serving)
		listen_to(w, now);
	d->quiet_ms =
		activity_quiet_ms(&d->activity, w->proc.program, serving ? d->moved : w->out.bytes);
	if (serving)
		d->own_bytes = proc_own_bytes(w->proc.program);
}

int64_t watchdog_pause_ms(const struct worker *w)
{
	int64_t stall = w->sv->limits.stall_ms;
	int64_t pause = stall > 0 ? least(stall / 4, LOOK_MS) : LOOK_MS;

	return pause > LOOK_LEAST_MS ? pause : LOOK_LEAST_MS;
}

void watchdog_ready(struct worker *w)
{
	w->dog.ready_bytes = proc_own_bytes(w->proc.program);
}

enum watchdog_verdict watchdog_look(struct worker *w, struct err *why)
{
	int64_t now = clock_ms();
	enum worker_state state = worker_state(w);

	look(w, now);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (rules[i].when != state || !rules[i].wrong(w, why))
			continue;
		(void)err_hint(why, "shunt logs %s", w->model_id);
		if (rules[i].verdict == WATCHDOG_KILL)
			return WATCHDOG_KILL;
		if (w->dog.complained_ms != 0 && now - w->dog.complained_ms < COMPLAIN_MS)
			return WATCHDOG_FINE;
		w->dog.complained_ms = now;
		return rules[i].verdict;
	}
	return WATCHDOG_FINE;
}
