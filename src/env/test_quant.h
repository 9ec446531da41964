/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Random weights written straight in ggml's block formats: random bits for the quants, a power of
 * two for the scale. */

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct test_quant {
	const char *name;
	uint32_t type;         /* ggml_type */
	uint32_t count, bytes; /* of a block */
	int scale_at;          /* offset of the block's scale, an fp16; −1: none */
	int exponent;          /* scale 2^exponent makes weights of about 1/16, the root of 1/256 */
	int twice_minimum;     /* fp16 after the scale: this/2 times the scale; 0: none */
	int minimum_sign;      /* of that: Q4_1 adds it, the K-quants subtract it */
	int k_scales_at;       /* offset of 12 bytes of 6-bit scales and minima; 0: none */
};

#define TEST_QUANT_COUNT 10
extern const struct test_quant test_quants[TEST_QUANT_COUNT];
extern const struct test_quant test_quant_norm; /* F32 between 1 and 2 */

const struct test_quant *test_quant_find(const char *name); /* one of the table: else assert */
/* Adds `count` weights, a whole number of blocks, doubled `boost` times. */
void test_quant_fill(const struct test_quant *q, uint64_t count, int boost, uint64_t *random,
		     struct buf *ret);
/* 64 random bits; steps the state. */
uint64_t test_quant_random(uint64_t *state);
