/* SPDX-License-Identifier: Apache-2.0 */
/* What a load took is kept. */

#include <stdlib.h>
#include <string.h>

#include "backend/nvml.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "switch/fit_priv.h"

static size_t device_count(const struct worker *w)
{
	size_t count = 1;

	for (const char *at = worker_device(w); (at = strchr(at, ',')); at++)
		count++;
	return count;
}

/* NVML counts all that a process has on its GPUs. Less than its buffers is another process's: in a
 * container pids may be the host's. */
static int64_t driver_bytes(const char *self, const struct worker *w, int64_t buffers)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	struct err ignored = {0};
	int64_t all;

	if (buffers == 0 || !nvml_read(self, &g, &ignored))
		return -1;
	all = gpus_process_most(&g, worker_pid(w), device_count(w));
	return all >= buffers ? all - buffers : -1;
}

void fit_remember(struct db *db, const char *self, const struct db_model *m,
		  const char *environment, const struct worker *w)
{
	CLEANUP(free) char *file = fit_file(m);
	CLEANUP(free) char *options = option_worker_part(m->options);
	struct worker_took t;
	struct err e = {0};

	worker_took(w, &t);
	if (t.private_bytes == 0)
		return; /* it has gone */
	struct db_load l = {
		.environment = (char *)environment,
		.file = file,
		.device = (char *)worker_device(w),
		.options = options,
		.device_weights = t.memory.device.weights,
		.device_cache = t.memory.device.cache,
		.device_compute = t.memory.device.compute,
		.host_weights = t.memory.host.weights,
		.host_cache = t.memory.host.cache,
		.host_compute = t.memory.host.compute,
		.mapped_bytes = t.memory.mapped,
		.private_bytes = t.private_bytes,
		.driver_bytes = driver_bytes(self, w, memory_sum(&t.memory.device)),
		.at = clock_wall_ms(),
	};
	if (!db_load_put(db, &l, &e))
		log_warn("memory of a load not kept model=%s reason=\"%s\", continuing", m->id,
			 e.msg);
}
