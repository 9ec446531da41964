/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How much memory a worker will take, worked out from the GGUF and the worker's options before it
 * was ever loaded. Pure: no file is read here. The file is hostile: sums stop at INT64_MAX, which
 * fits nowhere.
 *
 *   weights   as llama.cpp places them: of n_gpu_layers the last layers and the output are on the
 *             device, token_embd never is (and a second time, when it is the output too); experts
 *             of the first n_cpu_moe layers stay. What the CPU uses is mapped from the file, unless
 *             it rearranges that type in memory of its own.
 *   cache     layers × cells × KV heads × (key + value length) in the cache's types, 256 cells a
 *             step; sliding windows and recurrent states as their architecture has them, where the
 *             file says so; else as if all layers attend to all, which is too much, never too
 *             little.
 *   compute   what one batch of 512 tokens needs: see estimate.c
 *
 * What the process and the driver take beside is the backend's (backend.h).
 */

#include <stdint.h>

#include "model/gguf.h"
#include "model/option.h"

struct estimate {
	int64_t device; /* on the GPU */
	int64_t host;   /* of the process */
	int64_t mapped; /* of the file, kept in the page cache: shared by all who map it */
};
void estimate_model(const struct gguf *g, const struct option_memory *m, struct estimate *ret);
/* Adds b to a. */
void estimate_add(struct estimate *a, const struct estimate *b);
/* a + b, a × b of numbers that are not negative, at most INT64_MAX. */
int64_t estimate_sum(int64_t a, int64_t b);
int64_t estimate_product(int64_t a, int64_t b);
