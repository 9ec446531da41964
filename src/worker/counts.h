/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What llama-server counts of its own work, asked over its socket. Any thread. */

#include <stdbool.h>

#include "worker/worker.h"

struct worker_counts { /* since it started */
	double prompt_tokens, prompt_seconds;
	double answer_tokens, answer_seconds;
};
/* False: it does not tell, or not within that time. */
bool worker_counts(const struct worker *w, int timeout_ms, struct worker_counts *ret);
