/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: measuring. */

#include "switch/bench.h"
#include "switch/switch_priv.h"

/* What a measurement of the model on that backend would depend on now: a row without speeds.
 * ERR_CONFLICT: no environment of it is ready. */
MUST_CHECK bool bench_now(struct switcher *sw, const struct db_model *m, const struct backend *b,
			  struct db_bench *ret, struct err *e);
bool bench_is_ready(struct switcher *sw, const struct db_model *m, const struct backend *b);
/* The fresh measurement of that; false: there is none. */
bool bench_known(struct switcher *sw, const struct db_bench *now, struct db_bench *ret);
/* Can llama-bench measure this model at all? ERR_NOT_SUPPORTED says why not. */
MUST_CHECK bool bench_possible(const struct db_model *m, struct err *e);
/* No backend of the model is ready: sets the error. */
bool bench_nothing_ready(const struct db_model *m, struct err *e);

/* Is there memory for it beside the workers that run? Alone it is tried in any case.
 * ERR_NO_SPACE. */
MUST_CHECK bool bench_room(struct switcher *sw, const struct db_model *m,
			   const struct db_bench *now, struct task *t, struct err *e);
/* A measurement's share of the task's step. */
struct bench_part {
	struct task *task;
	double from, size; /* of 1 */
};
/* Measures, and keeps it: speeds and time go into *now. Blocks, for task steps. */
MUST_CHECK bool bench_measure(struct switcher *sw, const struct db_model *m,
			      const struct bench_part *part, struct db_bench *now, struct err *e);

/* What llama-bench prints with -o jsonl: the fastest run of one test. */
struct bench_speeds {
	double prompt, answer; /* tokens/s, 0: not said yet */
};
/* Other lines change nothing. */
void bench_read_line(const char *line, struct bench_speeds *ret);
