/* SPDX-License-Identifier: Apache-2.0 */
/* What who asks a worker tells its watchdog. */

#include "base/clock.h"
#include "worker/worker.h"

void worker_touch(struct worker *w, const char *bytes, size_t len)
{
	if (len > 0 && bytes[0] != ':')
		atomic_store_explicit(&worker_traffic(w)->touched_ms, clock_ms(),
				      memory_order_relaxed);
}

void worker_await(struct worker *w)
{
	atomic_store_explicit(&worker_traffic(w)->awaited_ms, clock_ms(), memory_order_relaxed);
}

void worker_broke_off(struct worker *w)
{
	atomic_fetch_add(&worker_traffic(w)->breaks, 1);
}
