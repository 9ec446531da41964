/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How much memory a worker will take, worked out from the GGUF and the worker's options before it
 * was ever loaded. Pure: no file is read here. The file is hostile: see memory.h.
 *
 *   weights   as llama.cpp places them: of n_gpu_layers the last layers and the output are on the
 *             device, token_embd never is (and a second time, when it is the output too); experts
 *             of the first n_cpu_moe layers stay. What the CPU uses is mapped from the file, unless
 *             it rearranges that type in memory of its own.
 *   cache     layers × cells × KV heads × (key + value length) in the cache's types, 256 cells a
 *             step; sliding windows and recurrent states as their architecture has them, where the
 *             file says so; else as if all layers attend to all, which is too much, never too
 *             little.
 *   compute   what one batch of 512 tokens needs. Masks, scores and logits follow from the options;
 *             how many vectors of a token are alive at once is a rule for all architectures (see
 *             estimate.c), which a load puts right: struct estimate_tuning.
 *
 * What the process and the driver take beside is not estimated: see switch/fit.h.
 */

#include "model/gguf.h"
#include "model/memory.h"
#include "model/option.h"

/* What a load showed of the rule: the vectors of a token take so many thousandths of what it says.
 * 0: no load did. */
struct estimate_tuning {
	int64_t device, host;
};

/* tuning may be NULL. */
void estimate_model(const struct gguf *g, const struct option_memory *m,
		    const struct estimate_tuning *tuning, struct memory *ret);
/* From what a load of this model with the options m said. */
void estimate_tune(const struct gguf *g, const struct option_memory *m, const struct memory *said,
		   struct estimate_tuning *ret);
/* What n_gpu_layers counts: the layers and the output. */
int64_t estimate_layers(const struct gguf *g);
