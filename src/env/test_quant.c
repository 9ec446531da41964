/* SPDX-License-Identifier: Apache-2.0 */
#include "env/test_quant.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* clang-format off */
/* The formats that people's files are in. Layouts as in ggml-common.h. */
const struct test_quant test_quants[TEST_QUANT_COUNT] = {
	/* name     type count bytes scale exp  min  sign scales */
	{"Q4_0",     2,   32,   18,    0,   -6,   0,  0,  0},
	{"Q8_0",     8,   32,   34,    0,  -10,   0,  0,  0},
	{"Q4_K",    12,  256,  144,    0,  -11,  15,  1,  4},
	{"Q6_K",    14,  256,  210,  208,  -14,   0,  0,  0},
	{"F16",      1,    1,    2,   -1,   -5,   0,  0,  0},
	{"Q5_K",    13,  256,  176,    0,  -12,  31,  1,  4},
	{"Q4_1",     3,   32,   20,    0,   -6,  15, -1,  0},
	{"Q3_K",    11,  256,  110,  108,   -9,   0,  0,  0},
	{"Q5_0",     6,   32,   22,    0,   -7,   0,  0,  0},
	{"IQ4_XS",  23,  256,  136,    0,  -14,   0,  0,  0},
};
/* clang-format on */

const struct test_quant test_quant_norm = {"F32", 0, 1, 4, -1, 0, 0, 0, 0};

const struct test_quant *test_quant_find(const char *name)
{
	const struct test_quant *found = NULL;

	for (size_t i = 0; i < TEST_QUANT_COUNT; i++) {
		if (strcmp(test_quants[i].name, name) == 0)
			found = &test_quants[i];
	}
	assert(found);
	return found;
}

/* splitmix64 */
uint64_t test_quant_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15U);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

static void put16(unsigned char *at, unsigned int bits)
{
	at[0] = (unsigned char)bits;
	at[1] = (unsigned char)(bits >> 8);
}

/* fp16 bits of twice/2 × 2^exponent, for small whole `twice`: exact. */
static unsigned int half(int twice, int exponent)
{
	unsigned int fraction = (unsigned int)twice;
	int e = exponent - 1 + 10;

	while (fraction < 1024) {
		fraction *= 2;
		e--;
	}
	assert(fraction < 2048 && e + 15 > 0 && e + 15 < 31);
	return (unsigned int)(e + 15) << 10 | (fraction & 1023);
}

/* Each group's minimum the same number as its scale, so that the weights' mean is zero. Of eight
 * groups four keep their 6 bits together and lend two bits to the other four. */
static void pair_scales(unsigned char *s, uint64_t random)
{
	for (int i = 0; i < 4; i++) {
		unsigned int a = random >> (12 * i) & 63, b = random >> (12 * i + 6) & 63;

		s[i] = s[i + 4] = (unsigned char)(a | (b >> 4) << 6);
		s[i + 8] = (unsigned char)((b & 15) | (b & 15) << 4);
	}
}

static void fill_block(const struct test_quant *q, int boost, uint64_t *random,
		       unsigned char *block)
{
	int exponent = q->exponent + boost;
	unsigned int sign;

	for (uint32_t i = 0; i < q->bytes; i += 8) {
		uint64_t bits = test_quant_random(random);

		for (uint32_t k = 0; k < 8 && i + k < q->bytes; k++)
			block[i + k] = (unsigned char)(bits >> (8 * k));
	}
	if (q->k_scales_at)
		pair_scales(block + q->k_scales_at, test_quant_random(random));
	/* Half the blocks negative, against the lopsided ranges of some formats. */
	sign = (unsigned int)(test_quant_random(random) & 0x8000);
	put16(block + q->scale_at, half(2, exponent) | sign);
	if (q->twice_minimum)
		put16(block + q->scale_at + 2, (half(q->twice_minimum, exponent) | sign) ^
						       (q->minimum_sign < 0 ? 0x8000 : 0));
}

/* Random sign and fraction. */
static void fill_f16(int exponent, uint64_t *random, unsigned char *block)
{
	unsigned int bits = (unsigned int)test_quant_random(random);

	put16(block, (bits & 0x83ff) | (unsigned int)(exponent + 15) << 10);
}

static void fill_f32(uint64_t *random, unsigned char *block)
{
	uint32_t bits = 127U << 23 | (uint32_t)(test_quant_random(random) & 0x7fffff);

	put16(block, bits & 0xffff);
	put16(block + 2, bits >> 16);
}

void test_quant_fill(const struct test_quant *q, uint64_t count, int boost, uint64_t *random,
		     struct buf *ret)
{
	unsigned char block[256];

	assert(count % q->count == 0 && q->bytes <= sizeof(block));
	for (uint64_t i = 0; i < count; i += q->count) {
		if (q->scale_at >= 0)
			fill_block(q, boost, random, block);
		else if (q->bytes == 2)
			fill_f16(q->exponent + boost, random, block);
		else
			fill_f32(random, block);
		buf_add(ret, block, q->bytes);
	}
}
