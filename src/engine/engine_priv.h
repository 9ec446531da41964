/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the engine share. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/engine.h"
#include "engine/pin.h"
#include "engine/python.h"
#include "engine/source.h"
#include "engine/tools.h"

struct shared; /* a build that runs: share.c */

struct engine {
	struct pin *pin; /* set once, as all but builds */
	struct source *source;
	char *cpu;
	char *cache_dir;
	int jobs;
	bool hurry;
	bool no_provision;
	atomic_bool stopping;
	pthread_mutex_t lock;
	struct shared *builds; /* guarded by lock */
	struct python python;  /* guarded by lock: the last that was asked */
	char *python_seen;     /* guarded by lock: what it was then; NULL: not asked yet */
};

/* Hash of a recipe's source, from its inputs. */
void recipe_source(const struct recipe *r, char ret_hex[static 65]);
struct recipe *recipe_copy(const struct recipe *r);

/* provision.c: a toolkit's pieces from pip. */
enum provision { PROVISION_RUNTIME, PROVISION_COMPILER };
MUST_CHECK bool provision_digest(const struct engine *en, enum provision which, char ret[static 65],
				 struct err *e);
/* Source of the driver library's stub; caller frees. */
char *engine_cuda_stub(const struct engine *en);

/* The build itself, on one thread; only one at a time for a digest in this process. */
MUST_CHECK bool job_run(struct engine *en, struct store *store, const struct recipe *r,
			const struct build_watch *w, struct err *e);
/* Is everything that is to be published fit to be moved and run elsewhere? No RUNPATH entry but
 * $ORIGIN and `beside` (NULL: none), a piece that lies beside it; no trace of the stage. */
MUST_CHECK bool elf_check(const char *path, const char *stage, const char *beside, struct err *e);
