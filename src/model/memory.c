/* SPDX-License-Identifier: Apache-2.0 */
#include "model/memory.h"

int64_t memory_plus(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t memory_times(int64_t a, int64_t b)
{
	int64_t product;

	return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

int64_t memory_sum(const struct memory_parts *p)
{
	return memory_plus(memory_plus(p->weights, p->cache), p->compute);
}

static void add(struct memory_parts *a, const struct memory_parts *b)
{
	a->weights = memory_plus(a->weights, b->weights);
	a->cache = memory_plus(a->cache, b->cache);
	a->compute = memory_plus(a->compute, b->compute);
}

void memory_add(struct memory *a, const struct memory *b)
{
	add(&a->device, &b->device);
	add(&a->host, &b->host);
	a->mapped = memory_plus(a->mapped, b->mapped);
}
