/* SPDX-License-Identifier: Apache-2.0 */
#include "env/test_model.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "env/test_quant.h"

#define EMBEDDING 256 /* rows of the K-quants are multiples of 256 */
#define FEED_FORWARD 512
#define HEADS 4
#define KV_HEADS 2
#define NARROW_LAYERS 2
#define WIDE_LAYERS 4
#define ALIGNMENT 32
#define MODEL_SEED 1

/* Value types of GGUF. */
enum gguf_value {
	GGUF_UINT32 = 4,
	GGUF_INT32 = 5,
	GGUF_FLOAT32 = 6,
	GGUF_BOOL = 7,
	GGUF_STRING = 8,
	GGUF_ARRAY = 9
};

/* What is in a layer. Rows are the outputs. `boost` doubles the weights that often: queries sharp
 * enough that attention picks tokens instead of averaging all. */
static const struct part {
	const char *name;
	uint64_t columns, rows;
	int boost;
} parts[] = {
	{"attn_q", EMBEDDING, EMBEDDING, 0},
	{"attn_k", EMBEDDING, EMBEDDING / HEADS *KV_HEADS, 0},
	{"attn_v", EMBEDDING, EMBEDDING / HEADS *KV_HEADS, 0},
	{"attn_output", EMBEDDING, EMBEDDING, 1},
	{"ffn_gate", EMBEDDING, FEED_FORWARD, 0},
	{"ffn_up", EMBEDDING, FEED_FORWARD, 0},
	{"ffn_down", FEED_FORWARD, EMBEDDING, 0},
};

/* The file in the making: descriptions and data grow side by side. */
struct writer {
	struct buf values, infos, data;
	uint64_t value_count, tensor_count;
	uint64_t random;
	unsigned int layers;
	bool wide;
};

/* --- numbers and strings, little-endian as GGUF wants ------------------- */

static void put(struct buf *b, uint64_t value, size_t bytes)
{
	unsigned char le[8];

	for (size_t i = 0; i < bytes; i++)
		le[i] = (unsigned char)(value >> (8 * i));
	buf_add(b, le, bytes);
}

static void put_string(struct buf *b, const char *s)
{
	put(b, strlen(s), 8);
	buf_str(b, s);
}

static void key(struct writer *w, const char *name, enum gguf_value type)
{
	put_string(&w->values, name);
	put(&w->values, type, 4);
	w->value_count++;
}

static void key_number(struct writer *w, const char *name, uint32_t value)
{
	key(w, name, GGUF_UINT32);
	put(&w->values, value, 4);
}

static void key_string(struct writer *w, const char *name, const char *value)
{
	key(w, name, GGUF_STRING);
	put_string(&w->values, value);
}

static void key_array(struct writer *w, const char *name, enum gguf_value type, uint64_t count)
{
	key(w, name, GGUF_ARRAY);
	put(&w->values, type, 4);
	put(&w->values, count, 8);
}

static void pad(struct buf *b)
{
	while (b->len % ALIGNMENT)
		put(b, 0, 1);
}

/* --- the parts of the file ---------------------------------------------- */

static void describe(struct writer *w)
{
	const struct {
		const char *name;
		uint32_t value;
	} numbers[] = {
		{"llama.context_length", TEST_MODEL_CONTEXT},
		{"llama.embedding_length", EMBEDDING},
		{"llama.block_count", w->layers},
		{"llama.feed_forward_length", FEED_FORWARD},
		{"llama.attention.head_count", HEADS},
		{"llama.attention.head_count_kv", KV_HEADS},
		{"llama.rope.dimension_count", EMBEDDING / HEADS},
		{"llama.vocab_size", TEST_MODEL_VOCABULARY},
		{"tokenizer.ggml.bos_token_id", 1},
		{"tokenizer.ggml.eos_token_id", 2},
	};

	key_string(w, "general.architecture", "llama");
	key_string(w, "general.name", "shunt verification");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		key_number(w, numbers[i].name, numbers[i].value);
	key(w, "llama.attention.layer_norm_rms_epsilon", GGUF_FLOAT32);
	put(&w->values, 0x3727c5ac, 4); /* 1e-5 */
	key(w, "tokenizer.ggml.add_space_prefix", GGUF_BOOL);
	put(&w->values, 0, 1);
	key_string(w, "tokenizer.chat_template",
		   "{% for m in messages %}{{ m.content }}{% endfor %}");
}

static void token_text(struct buf *b, int token)
{
	static const char *const special[] = {"<unk>", "<s>", "</s>"};
	char text[16];

	if (token >= 3)
		(void)snprintf(text, sizeof(text), "<0x%02X>", (unsigned int)token - 3);
	put_string(b, token < 3 ? special[token] : text);
}

/* A byte each: enough for the server's own texts, and nothing to load. */
static void vocabulary(struct writer *w)
{
	enum { UNKNOWN = 2, CONTROL = 3, BYTE = 6 };

	key_string(w, "tokenizer.ggml.model", "llama");
	key_array(w, "tokenizer.ggml.tokens", GGUF_STRING, TEST_MODEL_VOCABULARY);
	for (int i = 0; i < TEST_MODEL_VOCABULARY; i++)
		token_text(&w->values, i);
	key_array(w, "tokenizer.ggml.scores", GGUF_FLOAT32, TEST_MODEL_VOCABULARY);
	for (int i = 0; i < TEST_MODEL_VOCABULARY; i++)
		put(&w->values, 0, 4);
	key_array(w, "tokenizer.ggml.token_type", GGUF_INT32, TEST_MODEL_VOCABULARY);
	for (int i = 0; i < TEST_MODEL_VOCABULARY; i++)
		put(&w->values, i == 0 ? UNKNOWN : i < 3 ? CONTROL : BYTE, 4);
}

static void tensor(struct writer *w, const char *name, const struct test_quant *q, uint64_t columns,
		   uint64_t rows, int boost)
{
	put_string(&w->infos, name);
	put(&w->infos, rows > 1 ? 2 : 1, 4);
	put(&w->infos, columns, 8);
	if (rows > 1)
		put(&w->infos, rows, 8);
	put(&w->infos, q->type, 4);
	put(&w->infos, w->data.len, 8);
	w->tensor_count++;
	test_quant_fill(q, columns * rows, boost, &w->random, &w->data);
	pad(&w->data);
}

/* Wide: every quantisation in turn, each in some matrix of attention and of the feed-forward part.
 */
static const struct test_quant *quant(const struct writer *w, size_t matrix)
{
	return w->wide ? &test_quants[matrix % TEST_QUANT_COUNT] : test_quant_find("Q4_K");
}

static void layer(struct writer *w, unsigned int n)
{
	char name[64];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct part *p = &parts[i];

		(void)snprintf(name, sizeof(name), "blk.%u.%s.weight", n, p->name);
		tensor(w, name, quant(w, n * ARRAY_LEN(parts) + i), p->columns, p->rows, p->boost);
	}
	(void)snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", n);
	tensor(w, name, &test_quant_norm, EMBEDDING, 1, 0);
	(void)snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", n);
	tensor(w, name, &test_quant_norm, EMBEDDING, 1, 0);
}

void test_model_write(enum test_model kind, struct buf *ret_file)
{
	struct writer w = {.random = MODEL_SEED, .layers = NARROW_LAYERS};

	if (kind == TEST_MODEL_WIDE) {
		w.layers = WIDE_LAYERS;
		w.wide = true;
	}
	describe(&w);
	vocabulary(&w);
	/* Embeddings as large as what the layers add, so that all of them count. */
	tensor(&w, "token_embd.weight", test_quant_find("Q8_0"), EMBEDDING, TEST_MODEL_VOCABULARY,
	       6);
	for (unsigned int i = 0; i < w.layers; i++)
		layer(&w, i);
	tensor(&w, "output_norm.weight", &test_quant_norm, EMBEDDING, 1, 0);
	tensor(&w, "output.weight", test_quant_find("Q6_K"), EMBEDDING, TEST_MODEL_VOCABULARY, 0);
	buf_str(ret_file, "GGUF");
	put(ret_file, 3, 4);
	put(ret_file, w.tensor_count, 8);
	put(ret_file, w.value_count, 8);
	buf_add(ret_file, w.values.data, w.values.len);
	buf_add(ret_file, w.infos.data, w.infos.len);
	pad(ret_file);
	buf_add(ret_file, w.data.data, w.data.len);
	buf_done(&w.values);
	buf_done(&w.infos);
	buf_done(&w.data);
}

int test_model_token(unsigned int i)
{
	uint64_t random = 1000 + i;

	return 3 + (int)(test_quant_random(&random) % 256);
}
