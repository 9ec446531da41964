/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a worker's process is watched for, about twice a second, by the main thread:
 *
 *   loading  stopped by a signal; neither computes nor prints nor gets on
 *   serving  stopped by a signal; a request waits, and neither a token nor a sign of computing
 *            comes; on a GPU, also when it computes, but for ten times as long no token comes; it
 *            breaks answers off; its memory grows
 *
 * /health says nothing of all that: HTTP lives on in a server whose GPU hangs. What passes for
 * wedged and isn't: a long prompt (computes, or its slot's counters grow), a client that is slow to
 * read (nobody waits for the worker), a machine that slept or a container that was frozen (looks
 * that come late don't count).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "worker/activity.h"
#include "worker/pulse.h"

struct worker;

struct watchdog {
	struct activity activity;
	struct pulse pulse;
	int64_t quiet_ms;       /* at the last look: for how long it had done nothing */
	int64_t heard, moved;   /* signs of getting on: how many; when the last came, or nobody
				   waited, monotonic ms */
	unsigned breaks_seen;   /* at the last look */
	unsigned breaks_before; /* when the minute began */
	int64_t breaks_since;
	int64_t own_bytes, ready_bytes; /* memory: now, and when it was ready */
	int64_t complained_ms;          /* when it was last called to be replaced, 0: never */
};

/* Until the next look. */
int64_t watchdog_pause_ms(const struct worker *w);
/* It has loaded: what it takes now is what it needs. */
void watchdog_ready(struct worker *w);
enum watchdog_verdict { WATCHDOG_FINE, WATCHDOG_KILL, WATCHDOG_REPLACE };
/* *why is set when it isn't fine. */
enum watchdog_verdict watchdog_look(struct worker *w, struct err *why);
