/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a worker has in memory, by what it is for: as estimated (estimate.h), or as llama-server
 * said (worker/load_facts.h). Sums of what a hostile file says stop at INT64_MAX, which fits
 * nowhere. */

#include <stdint.h>

struct memory_parts { /* bytes */
	int64_t weights, cache, compute;
};

struct memory {
	struct memory_parts device; /* on GPUs */
	struct memory_parts host;   /* of the process */
	int64_t mapped; /* weights in the file, kept in the page cache: shared by all who map it */
};

/* a + b, a × b of numbers that are not negative, at most INT64_MAX. */
int64_t memory_plus(int64_t a, int64_t b);
int64_t memory_times(int64_t a, int64_t b);
int64_t memory_sum(const struct memory_parts *p);
/* Adds b to a. */
void memory_add(struct memory *a, const struct memory *b);
