/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the test model answers when computed exactly: log-probabilities from double-precision numpy
 * (tests/engine/reference.py), which shares no code with llama.cpp. */

#include <stddef.h>

#include "env/test_model.h"
#include "env/verify_answer.h"

#define VERIFY_STEPS 5
/* How many tokens of the prompt are known when the next one is asked for: a batch of 256, twice one
 * token more, 8 more, 54 more. */
extern const unsigned int verify_steps[VERIFY_STEPS];

/* Root mean square of the differences to the exact answer at a step. */
double verify_reference_distance(enum test_model model, size_t step,
				 const struct verify_answer *answer);
