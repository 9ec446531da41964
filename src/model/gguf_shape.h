/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the memory of a loaded model depends on: numbers of its layers, and where its bytes lie.
 * From a hostile file: any number may be absurd, none is negative, sums stop at INT64_MAX. */

#include <stdbool.h>
#include <stdint.h>

/* A key with one number for the model, or one for each layer. */
struct gguf_layers {
	int64_t count; /* 0: not said; 1: one for all */
	int64_t largest, sum, nonzero;
};

struct gguf_shape {
	struct gguf_layers heads_kv, feed_forward, expert_feed_forward, experts_used;
	struct gguf_layers key_length, value_length, key_length_mla;
	struct gguf_layers window, window_pattern; /* sliding attention, in tokens */
	struct gguf_layers attention_interval;     /* hybrids: every so many layers attend */
	struct gguf_layers ssm_conv, ssm_inner, ssm_state, ssm_groups, wkv_head;

	int64_t vocabulary;   /* rows of token_embd.weight */
	int64_t tensor_bytes; /* of all */
	int64_t layer_bytes;  /* "blk.…" */
	int64_t expert_bytes; /* of those "…_exps…" */
	int64_t token_bytes;  /* token_embd.weight */
	int64_t output_bytes; /* output.weight; 0: token_embd.weight is used */
	/* What a CPU rearranges in a copy of its own: of the layers, and of what is the output. */
	int64_t repacked_bytes, token_repacked, output_repacked;
};

/* One tensor, by its name and its ggml type. */
void gguf_shape_add(struct gguf_shape *s, const char *name, uint32_t type, int64_t rows,
		    int64_t bytes);
/* Another part of a split model. */
void gguf_shape_join(struct gguf_shape *s, const struct gguf_shape *part);
/* One more number of a key, the first when *l is zeroes; a negative one counts as 0. */
void gguf_layers_add(struct gguf_layers *l, int64_t n);
