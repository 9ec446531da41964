/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How fast a model is on each backend: measured with the engine's own llama-bench, in environments
 * that are ready, never one to be built. Kept in the database with all that it depends on; when
 * something of that has changed the measurement is stale, and nobody goes by it. Any thread.
 */

#include "switch/switch.h"

/* A typical request, for which the speeds are weighed. */
#define BENCH_PROMPT_TOKENS 1024
#define BENCH_ANSWER_TOKENS 256

/* How long a backend so fast takes for it. */
double bench_seconds(const struct db_bench *b);
/* What of the two differs: "options"; NULL: nothing, `then` still holds. Static. */
const char *bench_differs(const struct db_bench *then, const struct db_bench *now);
/* Why a measurement of that model is not to be used any more: "the options changed"; NULL: it is
 * fresh. Caller frees. */
char *bench_stale(struct switcher *sw, const struct db_model *m, const struct db_bench *b);

/* A task that measures; one runs at a time, and none beside a compilation. backends: NULL-ended
 * names as the user wrote them; without any: all that are ready. ERR_CONFLICT: an environment is
 * not. */
MUST_CHECK bool switch_benchmark(struct switcher *sw, const char *id, const char *const *backends,
				 char ret_task[static TASK_ID_SIZE], struct err *e);
