/* SPDX-License-Identifier: Apache-2.0 */
/* The keys and values of a GGUF file: those that are wanted go into struct gguf_part. */

#include <endian.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gguf.h"
#include "model/gguf_part_priv.h"

#define KEY_MAX 65535
#define LAYERS_MAX 65536 /* elements of an array with a number for each layer */
#define TEMPLATE_MAX ((size_t)256 * 1024)

/* --- keys --------------------------------------------------------------- */

/* WANT_LAYERS: only estimates need it, so what cannot be one is not refused. WANT_TOOLS: a chat
 * template; does it mention them? */
enum want { WANT_INT, WANT_TEXT, WANT_TRUE, WANT_BOOL, WANT_LAYERS, WANT_TOOLS };

/* Key, where its value goes. A key with a leading '.' has the architecture before it. */
static const struct wanted {
	const char *key;
	enum want want;
	size_t offset;
} wanted[] = {
#define FIELD(name) offsetof(struct gguf_part, name)
	{"general.architecture", WANT_TEXT, FIELD(architecture)},
	{"general.type", WANT_TEXT, FIELD(kind)},
	{"general.name", WANT_TEXT, FIELD(name)},
	{"general.file_type", WANT_INT, FIELD(file_type)},
	{"general.alignment", WANT_INT, FIELD(alignment)},
	{"split.no", WANT_INT, FIELD(split_no)},
	{"split.count", WANT_INT, FIELD(split_count)},
	{"split.tensors.count", WANT_INT, FIELD(split_tensors)},
	{"tokenizer.chat_template", WANT_TOOLS, FIELD(has_chat_template)},
	{"tokenizer.chat_template.tool_use", WANT_TRUE, FIELD(knows_tools)},
	{"clip.has_vision_encoder", WANT_BOOL, FIELD(has_vision)},
	{"clip.has_audio_encoder", WANT_BOOL, FIELD(has_audio)},
	{".context_length", WANT_INT, FIELD(context_length)},
	{".block_count", WANT_INT, FIELD(block_count)},
	{".embedding_length", WANT_INT, FIELD(embedding_length)},
	{".attention.head_count", WANT_INT, FIELD(head_count)},
	{".attention.head_count_kv", WANT_LAYERS, FIELD(shape.heads_kv)},
	{".attention.key_length", WANT_LAYERS, FIELD(shape.key_length)},
	{".attention.key_length_mla", WANT_LAYERS, FIELD(shape.key_length_mla)},
	{".attention.value_length", WANT_LAYERS, FIELD(shape.value_length)},
	{".attention.sliding_window", WANT_LAYERS, FIELD(shape.window)},
	{".attention.sliding_window_pattern", WANT_LAYERS, FIELD(shape.window_pattern)},
	{".full_attention_interval", WANT_LAYERS, FIELD(shape.attention_interval)},
	{".feed_forward_length", WANT_LAYERS, FIELD(shape.feed_forward)},
	{".expert_feed_forward_length", WANT_LAYERS, FIELD(shape.expert_feed_forward)},
	{".expert_used_count", WANT_LAYERS, FIELD(shape.experts_used)},
	{".ssm.conv_kernel", WANT_LAYERS, FIELD(shape.ssm_conv)},
	{".ssm.inner_size", WANT_LAYERS, FIELD(shape.ssm_inner)},
	{".ssm.state_size", WANT_LAYERS, FIELD(shape.ssm_state)},
	{".ssm.group_count", WANT_LAYERS, FIELD(shape.ssm_groups)},
	{".wkv.head_size", WANT_LAYERS, FIELD(shape.wkv_head)},
	{".pooling_type", WANT_INT, FIELD(pooling_type)},
	{".classifier.output_labels", WANT_TRUE, FIELD(has_classifier)},
#undef FIELD
};

static bool is_wanted(struct gguf_part *p, const char *key, const struct wanted *w)
{
	size_t arch = strlen(p->architecture), len = strlen(key), tail = strlen(w->key);

	if (w->key[0] != '.')
		return strcmp(key, w->key) == 0;
	if (len <= tail || strcmp(key + len - tail, w->key) != 0)
		return false;
	if (arch == 0)
		p->again = true;
	return len - tail == arch && strncmp(key, p->architecture, arch) == 0;
}

static const struct wanted *find_wanted(struct gguf_part *p, const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (is_wanted(p, key, &wanted[i]))
			return &wanted[i];
	return NULL;
}

/* --- values ------------------------------------------------------------- */

struct pair {
	char key[GGUF_TEXT_SIZE]; /* its beginning, printable */
	uint64_t value_at;
	uint32_t type; /* of the value, or of the array's elements */
	bool is_array;
	uint64_t count; /* 1, or the array's */
	const struct wanted *wanted;
};

static int64_t *int_of(struct gguf_part *p, const struct wanted *w)
{
	return (int64_t *)(void *)((char *)p + w->offset);
}

static bool is_integer(uint32_t type)
{
	return gguf_value_bytes(type) > 0 && type != GGUF_F32 && type != GGUF_F64 &&
	       type != GGUF_BOOL;
}

static int64_t to_int(uint32_t type, const uint8_t raw[static 8])
{
	uint64_t bits = 0;

	memcpy(&bits, raw, 8);
	bits = le64toh(bits);
	switch (type) {
	case GGUF_I8:
		return (int8_t)bits;
	case GGUF_I16:
		return (int16_t)bits;
	case GGUF_I32:
		return (int32_t)bits;
	case GGUF_U64:
		return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
	default: /* unsigned ones: the bytes past their width are zeroes */
		return (int64_t)bits;
	}
}

/* The number, or the largest of an array: layers may differ. */
static bool take_int(struct gguf_reader *r, struct gguf_part *p, const struct pair *pair,
		     struct err *e)
{
	int64_t largest = -1;

	if (!is_integer(pair->type))
		return reader_bad(r, pair->value_at, e, "'%s' is of type %s, not a whole number",
				  pair->key, gguf_value_name(pair->type));
	if (pair->count > LAYERS_MAX)
		return reader_bad(r, pair->value_at, e, "'%s' has %" PRIu64 " elements", pair->key,
				  pair->count);
	for (uint64_t i = 0; i < pair->count; i++) {
		uint8_t raw[8] = {0};
		int64_t n;

		if (!reader_bytes(r, raw, gguf_value_bytes(pair->type), pair->key, e))
			return false;
		n = to_int(pair->type, raw);
		if (n < 0)
			return reader_bad(r, pair->value_at, e, "'%s' is %" PRId64, pair->key, n);
		largest = n > largest ? n : largest;
	}
	if (largest >= 0)
		*int_of(p, pair->wanted) = largest;
	return true;
}

static bool skip_value(struct gguf_reader *r, const struct pair *pair, struct err *e)
{
	unsigned int bytes = gguf_value_bytes(pair->type);
	uint64_t len;
	char none[1];

	if (bytes > 0 && pair->count > (r->size - r->at) / bytes)
		return reader_bad(r, pair->value_at, e,
				  "'%s' has %" PRIu64 " elements, past the end of the file",
				  pair->key, pair->count);
	if (bytes > 0)
		return reader_skip(r, bytes * pair->count, pair->key, e);
	for (uint64_t i = 0; i < pair->count; i++) {
		if (!reader_string(r, none, sizeof(none), &len, pair->key, e))
			return false;
		if (r->at > GGUF_METADATA_MAX)
			return reader_bad(r, pair->value_at, e, "'%s' is too large", pair->key);
	}
	return true;
}

static bool take_layers(struct gguf_reader *r, struct gguf_part *p, const struct pair *pair,
			struct err *e)
{
	struct gguf_layers *to = (struct gguf_layers *)(void *)((char *)p + pair->wanted->offset);
	unsigned int bytes = gguf_value_bytes(pair->type);
	struct gguf_layers found = {0};

	if ((!is_integer(pair->type) && pair->type != GGUF_BOOL) || pair->count > LAYERS_MAX)
		return skip_value(r, pair, e);
	for (uint64_t i = 0; i < pair->count; i++) {
		uint8_t raw[8] = {0};

		if (!reader_bytes(r, raw, bytes, pair->key, e))
			return false;
		gguf_layers_add(&found, to_int(pair->type, raw));
	}
	*to = found;
	return true;
}

static bool take_text(struct gguf_reader *r, struct gguf_part *p, const struct pair *pair,
		      struct err *e)
{
	char *text = (char *)p + pair->wanted->offset;
	uint64_t len;

	if (pair->type != GGUF_STRING || pair->is_array)
		return reader_bad(r, pair->value_at, e, "'%s' is not a string", pair->key);
	return reader_string(r, text, GGUF_TEXT_SIZE, &len, pair->key, e);
}

static bool take_bool(struct gguf_reader *r, struct gguf_part *p, const struct pair *pair,
		      struct err *e)
{
	uint8_t byte = 0;

	if (pair->type != GGUF_BOOL || pair->is_array)
		return reader_bad(r, pair->value_at, e, "'%s' is not true or false", pair->key);
	if (!reader_bytes(r, &byte, 1, pair->key, e))
		return false;
	*((bool *)((char *)p + pair->wanted->offset)) = byte != 0;
	return true;
}

/* What stands past TEMPLATE_MAX is not looked at. */
static bool take_template(struct gguf_reader *r, struct gguf_part *p, const struct pair *pair,
			  struct err *e)
{
	CLEANUP(free) char *text = NULL;
	uint64_t len;

	*((bool *)((char *)p + pair->wanted->offset)) = true;
	if (pair->type != GGUF_STRING || pair->is_array)
		return skip_value(r, pair, e);
	text = mem_alloc(TEMPLATE_MAX);
	if (!reader_string(r, text, TEMPLATE_MAX, &len, pair->key, e))
		return false;
	p->knows_tools |= gguf_template_knows_tools(text);
	return true;
}

static bool take_value(struct gguf_reader *r, struct gguf_part *p, const struct pair *pair,
		       struct err *e)
{
	if (pair->wanted && pair->wanted->want == WANT_INT)
		return take_int(r, p, pair, e);
	if (pair->wanted && pair->wanted->want == WANT_TEXT)
		return take_text(r, p, pair, e);
	if (pair->wanted && pair->wanted->want == WANT_BOOL)
		return take_bool(r, p, pair, e);
	if (pair->wanted && pair->wanted->want == WANT_LAYERS)
		return take_layers(r, p, pair, e);
	if (pair->wanted && pair->wanted->want == WANT_TOOLS)
		return take_template(r, p, pair, e);
	if (pair->wanted)
		*((bool *)((char *)p + pair->wanted->offset)) = true;
	return skip_value(r, pair, e);
}

/* --- pairs -------------------------------------------------------------- */

static bool read_key(struct gguf_reader *r, struct gguf_part *p, uint64_t index, struct pair *pair,
		     struct err *e)
{
	uint64_t at = r->at, len;

	if (at > GGUF_METADATA_MAX)
		return reader_bad(r, at, e, "more than %u MiB of metadata",
				  GGUF_METADATA_MAX >> 20);
	if (!reader_string(r, pair->key, sizeof(pair->key), &len, "a key", e))
		return false;
	if (len == 0 || len > KEY_MAX)
		return reader_bad(r, at, e, "key %" PRIu64 " has a length of %" PRIu64, index, len);
	pair->wanted = len < sizeof(pair->key) ? find_wanted(p, pair->key) : NULL;
	gguf_make_printable(pair->key);
	return true;
}

static bool read_type(struct gguf_reader *r, struct pair *pair, struct err *e)
{
	uint64_t at = r->at;

	if (!reader_u32(r, &pair->type, pair->key, e))
		return false;
	pair->is_array = pair->type == GGUF_ARRAY;
	pair->count = 1;
	if (pair->is_array) {
		at = r->at;
		if (!reader_u32(r, &pair->type, pair->key, e) ||
		    !reader_u64(r, &pair->count, pair->key, e))
			return false;
		if (pair->type == GGUF_ARRAY)
			return reader_bad(r, at, e, "'%s' is an array of arrays", pair->key);
	}
	if (!gguf_value_name(pair->type))
		return reader_bad(r, at, e, "'%s' has the unknown type %" PRIu32, pair->key,
				  pair->type);
	pair->value_at = r->at;
	return true;
}

bool gguf_pairs_read(struct gguf_reader *r, struct gguf_part *p, uint64_t count, struct err *e)
{
	for (uint64_t i = 0; i < count; i++) {
		struct pair pair = {0};

		if (!read_key(r, p, i, &pair, e) || !read_type(r, &pair, e) ||
		    !take_value(r, p, &pair, e))
			return false;
	}
	return true;
}
