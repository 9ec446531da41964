/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_shape.h"

#include <string.h>

#include "base/mem.h"

/* Types that ggml-cpu copies into another order (ggml-cpu/repack.cpp: on x86 with AVX2, and more on
 * ARM): such weights are memory of the process; others stay in the mapped file. */
static bool is_repacked(uint32_t type)
{
	static const uint32_t types[] = {
		2,
		10,
		12,
		20,
		39 /* Q4_0 Q2_K Q4_K IQ4_NL MXFP4 */,
#if defined(__aarch64__)
		8,
		13,
		14 /* Q8_0 Q5_K Q6_K */
#endif
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i] == type)
			return true;
	return false;
}

static void add(int64_t *sum, int64_t n)
{
	if (__builtin_add_overflow(*sum, n, sum))
		*sum = INT64_MAX;
}

void gguf_shape_add(struct gguf_shape *s, const char *name, uint32_t type, int64_t rows,
		    int64_t bytes)
{
	bool layer = strncmp(name, "blk.", 4) == 0;
	int64_t repacked = is_repacked(type) ? bytes : 0;

	add(&s->tensor_bytes, bytes);
	if (layer)
		add(&s->layer_bytes, bytes);
	if (layer && strstr(name, "_exps"))
		add(&s->expert_bytes, bytes);
	if (layer)
		add(&s->repacked_bytes, repacked);
	if (strcmp(name, "output.weight") == 0) {
		s->output_bytes = bytes;
		s->output_repacked = repacked;
	}
	if (strcmp(name, "token_embd.weight") == 0) {
		s->token_bytes = bytes;
		s->token_repacked = repacked;
		s->vocabulary = rows;
	}
}

void gguf_shape_join(struct gguf_shape *s, const struct gguf_shape *part)
{
	add(&s->tensor_bytes, part->tensor_bytes);
	add(&s->layer_bytes, part->layer_bytes);
	add(&s->expert_bytes, part->expert_bytes);
	add(&s->token_bytes, part->token_bytes);
	add(&s->output_bytes, part->output_bytes);
	add(&s->repacked_bytes, part->repacked_bytes);
	add(&s->token_repacked, part->token_repacked);
	add(&s->output_repacked, part->output_repacked);
	add(&s->vocabulary, part->vocabulary);
}

void gguf_layers_add(struct gguf_layers *l, int64_t n)
{
	n = n < 0 ? 0 : n;
	l->count++;
	l->nonzero += n != 0;
	l->largest = n > l->largest ? n : l->largest;
	add(&l->sum, n);
}
