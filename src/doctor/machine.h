/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The judgements of machine.c, apart from where the figures come from. */

#include <stdbool.h>
#include <stdint.h>

#include "doctor/finding.h"

/* job: what one compiler takes. */
void machine_judge_memory(int64_t total, int64_t free_now, int64_t swap, int64_t job,
			  struct findings *f);
/* what: "builds, and one"; key: the setting that names the folder; must: less is in the way. */
void machine_judge_disk(const char *what, const char *key, const char *path, int64_t free_now,
			int64_t need, bool must, struct findings *f);
