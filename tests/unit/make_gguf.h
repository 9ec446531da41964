/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Small GGUF files for tests, written as llama.cpp's writer does. */

#include "test.h"

#include <endian.h>

#include "base/buf.h"
#include "model/gguf_type.h"

TEST_MAYBE static void put_u32(struct buf *b, uint32_t n)
{
	n = htole32(n);
	buf_add(b, &n, sizeof(n));
}

TEST_MAYBE static void put_u64(struct buf *b, uint64_t n)
{
	n = htole64(n);
	buf_add(b, &n, sizeof(n));
}

TEST_MAYBE static void put_text(struct buf *b, const char *s)
{
	put_u64(b, strlen(s));
	buf_str(b, s);
}

TEST_MAYBE static void put_header(struct buf *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
	buf_str(b, "GGUF");
	put_u32(b, version);
	put_u64(b, tensors);
	put_u64(b, keys);
}

TEST_MAYBE static void put_key_u32(struct buf *b, const char *key, uint32_t n)
{
	put_text(b, key);
	put_u32(b, GGUF_U32);
	put_u32(b, n);
}

TEST_MAYBE static void put_key_text(struct buf *b, const char *key, const char *text)
{
	put_text(b, key);
	put_u32(b, GGUF_STRING);
	put_text(b, text);
}

TEST_MAYBE static void put_tensor(struct buf *b, const char *name, uint64_t columns, uint64_t rows,
				  uint32_t type, uint64_t offset)
{
	put_text(b, name);
	put_u32(b, 2);
	put_u64(b, columns);
	put_u64(b, rows);
	put_u32(b, type);
	put_u64(b, offset);
}

TEST_MAYBE static void put_zeroes(struct buf *b, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_add(b, "", 1);
}

/* What stands between the last description and the data. */
TEST_MAYBE static void put_padding(struct buf *b, size_t alignment)
{
	put_zeroes(b, (alignment - b->len % alignment) % alignment);
}

#define SMALL_KEYS 7
#define SMALL_DATA (64 * 20 + 64 * 4) /* two tensors: 64 × 32 as Q4_1, 64 × 1 as F32 */

/* A whole llama model of 2112 parameters, 8 keys in all; extra keys come from the caller. */
TEST_MAYBE static void put_small_model(struct buf *b, uint64_t extra_keys, const struct buf *extra)
{
	put_header(b, 3, 2, SMALL_KEYS + extra_keys);
	put_key_text(b, "general.architecture", "llama");
	put_key_text(b, "general.name", "Tiny");
	put_key_u32(b, "general.file_type", 3);
	put_key_u32(b, "llama.context_length", 2048);
	put_key_u32(b, "llama.block_count", 1);
	put_key_u32(b, "llama.embedding_length", 64);
	put_key_text(b, "tokenizer.chat_template", "{{ messages }}");
	if (extra)
		buf_add(b, extra->data, extra->len);
	put_tensor(b, "blk.0.ffn_up.weight", 64, 32, 3, 0);
	put_tensor(b, "blk.0.ffn_norm.weight", 64, 1, 0, 64 * 20);
	put_padding(b, 32);
	put_zeroes(b, SMALL_DATA);
}
