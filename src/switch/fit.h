/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Does a worker fit beside those that run? What it needs is what its last load with the same file,
 * device and options took, else the estimate (model/estimate.h); what is free is measured now. Any
 * thread; may run a child process for FIT_PROBE_MS, holds no lock.
 *
 *   calibrated  the same file was loaded on that device with other options: its compute buffers put
 *           the estimate's right
 *   beside  the buffers: what the driver takes, as NVML counted it at the last load on that device,
 *           of any model, and what the process had then; else, and for the process at least, what
 *           the backend's file says
 *   pools   the device's memory and RAM; one pool, compared once, where the device's memory is RAM
 *           (the CPU, integrated GPUs, software renderers)
 *   share   of several devices each needs what tensor_split says, else in proportion to its free
 *           memory, and what the driver takes on each; the tightest decides
 *   RAM     what the kernel could give without swapping (MemAvailable) or the control group allows,
 *           less the file pages that running workers use, which count as available: taking those
 *           would slow them down. Pages of the model's own file that its old worker has in memory
 *           are not needed a second time. memory_limit: at most so much for all workers.
 *   margin  5 % of what was measured, 15 % of what was estimated, at least 256 MiB: fragments, and
 *           what grows later (prompts that llama-server keeps in RAM)
 *   layers  n_gpu_layers auto: the most that fit; all, where that is not known
 *
 * What cannot be found out in time doesn't fit: one after the other always works. But a device
 * that its driver does not list is missing, and nothing need be stopped to find that out.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "db/db.h"
#include "env/env.h"
#include "model/memory.h"
#include "worker/worker.h"

#define FIT_PROBE_MS 10000

struct fit_request {
	struct db *db;
	const char *self;             /* our own program, which asks NVML as a child */
	const struct db_model *model; /* with the options that it shall have */
	const struct env_run *run;    /* where it shall run; no base_dir: it is not made yet, what
				       * is free says the GPU's driver */
	const char *device;           /* as for worker_spec: "Vulkan0", "CUDA0,CUDA1", "none" */
	const struct worker *old;     /* of this model, NULL: not loaded */
	const pid_t *pids;            /* of all workers, the old one too */
	size_t pid_count;
	int64_t memory_limit;         /* 0: what the machine has */
	int64_t probe_ms;             /* 0: FIT_PROBE_MS */
	bool (*cancelled)(void *arg); /* may be NULL */
	void *arg;
};

enum fit_by { FIT_ESTIMATED, FIT_CALIBRATED, FIT_MEASURED };
const char *fit_by_name(enum fit_by by); /* "estimated" */

/* What is needed of a memory. */
struct fit_share {
	struct memory_parts parts;
	int64_t other; /* the driver's own; in RAM the process's */
};

struct fit {
	bool fits;
	bool missing; /* its driver does not list the device */
	enum fit_by by;
	bool one_pool;                    /* all in RAM; need_device is part of need_ram then */
	char device[64];                  /* whose figures these are: the tightest of several */
	int64_t need_device, free_device; /* bytes; free: −1 unknown */
	int64_t need_ram, free_ram;
	struct fit_share of_device, of_ram; /* need_…; ram: without what is the device's */
	int64_t layers_on, layers; /* on the device, of so many; 0 of 0: not known, or no GPU */
	bool fewer;                /* n_gpu_layers auto: not all of them fit, but layers_on */
	char text[256]; /* "Vulkan0 needs 1.9 GiB (measured), 70.1 GiB free: starting beside CUDA"
			 */
};
void fit_check(const struct fit_request *r, struct fit *ret);
/* After a load that gave an answer: what it took, for the next check. May ask NVML, as a child. */
void fit_remember(struct db *db, const char *self, const struct db_model *m,
		  const char *environment, const struct worker *w);
