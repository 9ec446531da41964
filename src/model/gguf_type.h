/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The numbers of ggml and llama.cpp that stand in GGUF files: tensor types and file types. */

#include <stdbool.h>
#include <stdint.h>

struct gguf_tensor_type {
	const char *name;     /* "Q4_K"; NULL: not a type any more, or not yet */
	uint16_t block_size;  /* elements of a block */
	uint16_t block_bytes; /* what they take */
};

#define GGUF_TENSOR_TYPES 43

/* NULL: unknown, or removed from ggml. */
const struct gguf_tensor_type *gguf_tensor_type(uint32_t type);
/* By name, any case ("q8_0"); NULL: unknown. */
const struct gguf_tensor_type *gguf_tensor_type_named(const char *name);
/* general.file_type in words ("Q4_K_M"), NULL: unknown. */
const char *gguf_file_type(int64_t type);
/* Bytes of a scalar of a GGUF value type; 0: a string, an array, or unknown. */
unsigned int gguf_value_bytes(uint32_t type);
const char *gguf_value_name(uint32_t type); /* "uint32"; NULL: unknown */

enum gguf_value_type {
	GGUF_U8,
	GGUF_I8,
	GGUF_U16,
	GGUF_I16,
	GGUF_U32,
	GGUF_I32,
	GGUF_F32,
	GGUF_BOOL,
	GGUF_STRING,
	GGUF_ARRAY,
	GGUF_U64,
	GGUF_I64,
	GGUF_F64
};
