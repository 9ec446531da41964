/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Log-probabilities of the test model's next token: read from an answer of llama-server, judged,
 * compared. Pure functions, any thread. */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "env/test_model.h"

struct verify_answer {
	double logprob[TEST_MODEL_VOCABULARY];
};

/* clang-format off */
/*
 * Root mean square difference of log-probabilities that is still the same computation. Measured
 * with these models, whose log-probabilities spread by 2.0 (standard deviation):
 *
 *   CPU (8-bit activations) against exact arithmetic       0.06 … 0.08
 *   CPU, one batch against pieces of 1, 8, 54 tokens       0.05 … 0.07
 *   Vulkan (llvmpipe) against exact arithmetic             0.02
 *   Vulkan (llvmpipe) against the CPU                      0.07 … 0.09
 *   Vulkan (H100; cooperative matrices, fp16 or neither)   0.06 … 0.09
 *   a single matrix wrong (its values in another order)    0.91 … 3.0 narrow, 0.38 … 3.0 wide
 */
/* clang-format on */
#define VERIFY_TOLERANCE 0.2

/* Each token once, finite, the probabilities' sum 1: ERR_VERIFY says what is not so. */
MUST_CHECK bool verify_answer_read(const char *json, size_t len, struct verify_answer *ret,
				   struct err *e);
/* Root mean square of the differences; ret_max (may be NULL) the largest. */
double verify_answer_distance(const struct verify_answer *a, const struct verify_answer *b,
			      double *ret_max);
