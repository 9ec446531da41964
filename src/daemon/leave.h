/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The way out. The first signal starts it, in a thread of its own, as it waits for requests:
 *
 *   refuse new requests, end builds and pulls ─► drain ─► cut the rest ─► keep conversations ─►
 *   stop workers, main's loop
 *
 * drain_timeout or a second signal end the drain, ten seconds or a second signal the keeping.
 */

#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/err.h"
#include "daemon/notify.h"
#include "engine/engine.h"
#include "gateway/gateway.h"
#include "switch/switch.h"
#include "task/task.h"
#include "worker/worker.h"

struct leave_plan { /* borrowed until leave_free */
	struct api *api;
	struct gateway *gateway;
	struct engine *engine;
	struct tasks *tasks;
	struct switcher *switcher;
	struct supervisor *supervisor;
	const struct notify *notify;
	int64_t drain_timeout_ms;
};
struct leave;
/* Ends with supervisor_quit. */
MUST_CHECK bool leave_start(const struct leave_plan *p, struct leave **ret, struct err *e);
void leave_hurry(struct leave *l); /* what runs is cut now */
void leave_free(struct leave *l);  /* waits for its thread; NULL is fine */
