/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One GGUF file, parsed: the facts of its header and the extents of its tensors. Fuzzed. */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/gguf_reader.h"
#include "model/gguf_shape.h"
#include "model/gguf_type.h"

#define GGUF_TEXT_SIZE 128 /* names are cut to it */

struct gguf_part {
	char architecture[GGUF_TEXT_SIZE]; /* "" in later parts of a split file */
	char kind[GGUF_TEXT_SIZE];
	char name[GGUF_TEXT_SIZE];
	int64_t file_type; /* −1: not said */
	int64_t alignment;
	int64_t split_no, split_count, split_tensors; /* count 0: not split; tensors −1: not said */
	int64_t context_length, block_count, embedding_length, head_count;
	struct gguf_shape shape;
	int64_t pooling_type; /* −1: not said */
	bool has_chat_template, has_classifier;
	bool knows_tools;           /* a chat template does */
	bool has_vision, has_audio; /* of a projector */
	bool again; /* <architecture>.* stood before general.architecture: read the pairs again */
	int64_t tensors;
	int64_t elements;
	int64_t elements_of[GGUF_TENSOR_TYPES];
};

MUST_CHECK bool gguf_part_parse(struct gguf_reader *r, struct gguf_part *p, struct err *e);
