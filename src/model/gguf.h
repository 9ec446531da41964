/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a GGUF file (version 2 and 3, little endian) says of itself. The bytes are hostile: every
 * count and length is bounded against the file, errors name the file and the byte offset. */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "model/gguf_shape.h"

struct gguf {
	char *architecture;     /* general.architecture */
	char *kind;             /* general.type: "model", "adapter", "mmproj" …; NULL: not said */
	char *name;             /* general.name as printable UTF-8, NULL: none */
	char *quantization;     /* from general.file_type, else the most common tensor type */
	int64_t parameters;     /* elements of all tensors */
	int64_t context_length; /* <arch>.context_length, 0: unknown */
	int64_t block_count;
	int64_t embedding_length, head_count; /* the largest, where layers differ */
	struct gguf_shape shape;
	bool has_chat_template;
	bool knows_tools;  /* a chat template does */
	bool is_embedding; /* a pooling type, or an encoder architecture */
	bool is_rerank;
	bool has_vision, has_audio; /* a projector's encoders */
	int split_no, split_count;  /* 0 and 1 when not split */
	int64_t file_bytes;         /* sum over all parts */
};

/* Reads the file, and its siblings (-00002-of-00003 …) when it is the first of a split one. Refuses
 * folders, FIFOs, devices, unreadable files, tensors past the end of the file, missing parts, and
 * parts given in place of the first. */
MUST_CHECK bool gguf_read(const char *path, struct gguf **ret, struct err *e);
/* Does it say which tools there are? */
bool gguf_template_knows_tools(const char *chat_template);
void gguf_free(struct gguf *g);
CLEANUP_DEFINE(gguf_free, struct gguf)
