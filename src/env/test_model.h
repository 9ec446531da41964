/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The model that verification asks: a small llama with random weights in many quantisations, the
 * same bytes on every machine. Made from integers only, so that no compiler and no CPU can change
 * it: its log-probabilities are constants.
 */

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TEST_MODEL_VOCABULARY 259 /* unknown, begin, end, 256 bytes */
#define TEST_MODEL_CONTEXT 1024

/* Narrow: Q4_K, Q6_K and Q8_0, because a software device compiles for half a minute per format that
 * it multiplies by. Wide: ten formats, for devices that take no time for it. */
enum test_model { TEST_MODEL_NARROW, TEST_MODEL_WIDE, TEST_MODEL_COUNT };

/* The whole GGUF file, 0.8 or 2 MB, added to an empty buffer. */
void test_model_write(enum test_model kind, struct buf *ret_file);
/* Token number i of the built-in prompt, which has no end. */
int test_model_token(unsigned int i);
