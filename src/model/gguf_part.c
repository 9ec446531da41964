/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_part.h"

#include <endian.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/gguf.h"

#define KEY_MAX 65535
#define PAIR_MIN (8 + 1 + 4 + 1) /* length, one letter, type, one byte */
#define TENSOR_MIN (8 + 4 + 4 + 8)
#define DIMS_MAX 4
#define TEMPLATE_MAX ((size_t)256 * 1024)
#define LAYERS_MAX 65536    /* elements of an array with a number for each layer */
#define TENSOR_NAME_SIZE 64 /* llama.cpp's limit, with the NUL */
/* The vocabulary of the largest models takes some 30 MB. Bounds the time that hostile counts cost.
 */
#define METADATA_MAX (256U << 20)

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

/* Bytes of the file that an error quotes: they end up on terminals and in JSON. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
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
		if (r->at > METADATA_MAX)
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

	if (at > METADATA_MAX)
		return reader_bad(r, at, e, "more than %u MiB of metadata", METADATA_MAX >> 20);
	if (!reader_string(r, pair->key, sizeof(pair->key), &len, "a key", e))
		return false;
	if (len == 0 || len > KEY_MAX)
		return reader_bad(r, at, e, "key %" PRIu64 " has a length of %" PRIu64, index, len);
	pair->wanted = len < sizeof(pair->key) ? find_wanted(p, pair->key) : NULL;
	make_printable(pair->key);
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

static bool read_pairs(struct gguf_reader *r, struct gguf_part *p, uint64_t count, struct err *e)
{
	for (uint64_t i = 0; i < count; i++) {
		struct pair pair = {0};

		if (!read_key(r, p, i, &pair, e) || !read_type(r, &pair, e) ||
		    !take_value(r, p, &pair, e))
			return false;
	}
	return true;
}

/* --- tensors ------------------------------------------------------------ */

struct tensor {
	char name[TENSOR_NAME_SIZE];
	uint64_t at; /* where it is described */
	uint64_t row, elements, bytes, offset;
	uint32_t type;
};

static bool read_shape(struct gguf_reader *r, struct tensor *t, struct err *e)
{
	uint64_t at = r->at, n;
	uint32_t dims;

	if (!reader_u32(r, &dims, t->name, e))
		return false;
	if (dims > DIMS_MAX)
		return reader_bad(r, at, e, "tensor '%s' has %" PRIu32 " dimensions", t->name,
				  dims);
	t->row = 1;
	t->elements = 1;
	for (uint32_t i = 0; i < dims; i++) {
		at = r->at;
		if (!reader_u64(r, &n, t->name, e))
			return false;
		if (n > INT64_MAX || __builtin_mul_overflow(t->elements, n, &t->elements) ||
		    t->elements > INT64_MAX)
			return reader_bad(r, at, e, "tensor '%s' is too large", t->name);
		if (i == 0)
			t->row = n;
	}
	return true;
}

static bool read_extent(struct gguf_reader *r, struct tensor *t, struct err *e)
{
	const struct gguf_tensor_type *type;
	uint64_t at = r->at;

	if (!reader_u32(r, &t->type, t->name, e))
		return false;
	type = gguf_tensor_type(t->type);
	if (!type) {
		reader_bad(r, at, e, "tensor '%s' has the unknown type %" PRIu32, t->name, t->type);
		return err_hint(e, "an old or a newer quantisation: convert the model again, "
				   "or use another file");
	}
	if (t->row % type->block_size != 0)
		return reader_bad(r, at, e,
				  "tensor '%s': rows of %" PRIu64 " elements do not fit %s blocks "
				  "of %u",
				  t->name, t->row, type->name, type->block_size);
	if (__builtin_mul_overflow(t->elements / type->block_size, type->block_bytes, &t->bytes))
		return reader_bad(r, at, e, "tensor '%s' is too large", t->name);
	return reader_u64(r, &t->offset, t->name, e);
}

static bool read_tensor(struct gguf_reader *r, struct tensor *t, struct err *e)
{
	uint64_t len;

	t->at = r->at;
	if (t->at > METADATA_MAX)
		return reader_bad(r, t->at, e, "more than %u MiB of metadata", METADATA_MAX >> 20);
	if (!reader_string(r, t->name, sizeof(t->name), &len, "a tensor's name", e))
		return false;
	make_printable(t->name);
	if (len >= TENSOR_NAME_SIZE)
		return reader_bad(r, t->at, e, "tensor '%s…' has a name of %" PRIu64 " bytes",
				  t->name, len);
	return read_shape(r, t, e) && read_extent(r, t, e);
}

static bool count_tensor(struct gguf_reader *r, struct gguf_part *p, const struct tensor *t,
			 struct err *e)
{
	int64_t elements = (int64_t)t->elements;

	if (__builtin_add_overflow(p->elements, elements, &p->elements))
		return reader_bad(r, t->at, e, "the tensors have too many elements");
	p->elements_of[t->type] += elements;
	gguf_shape_add(&p->shape, t->name, t->type, t->row > 0 ? elements / (int64_t)t->row : 0,
		       t->bytes > INT64_MAX ? INT64_MAX : (int64_t)t->bytes);
	if (strcmp(t->name, "cls.output.weight") == 0)
		p->has_classifier = true;
	return true;
}

static bool align(uint64_t *n, uint64_t alignment)
{
	uint64_t rest = *n % alignment;

	return rest == 0 || !__builtin_add_overflow(*n, alignment - rest, n);
}

/* llama.cpp wants them one after the other, each aligned, in the order of their description. */
static bool read_tensors(struct gguf_reader *r, struct gguf_part *p, uint64_t count, struct err *e)
{
	uint64_t next = 0, alignment = (uint64_t)p->alignment, start, end;
	struct tensor t = {0};

	for (uint64_t i = 0; i < count; i++) {
		if (!read_tensor(r, &t, e) || !count_tensor(r, p, &t, e))
			return false;
		if (t.offset != next)
			return reader_bad(r, t.at, e,
					  "tensor '%s' lies at %" PRIu64
					  " of the data, not at %" PRIu64,
					  t.name, t.offset, next);
		if (__builtin_add_overflow(next, t.bytes, &next) || !align(&next, alignment))
			return reader_bad(r, t.at, e, "tensor '%s' is too large", t.name);
	}
	p->tensors = (int64_t)count;
	start = r->at;
	if (count == 0)
		return true;
	if (!align(&start, alignment) || __builtin_add_overflow(start, t.offset, &end) ||
	    __builtin_add_overflow(end, t.bytes, &end) || end > r->size) {
		reader_bad(r, t.at, e,
			   "tensor '%s' ends past the end of the file, which has %" PRIu64 " bytes",
			   t.name, r->size);
		return err_hint(e, "the file is cut short or damaged: fetch it again");
	}
	return true;
}

/* --- header ------------------------------------------------------------- */

static bool read_magic(struct gguf_reader *r, struct err *e)
{
	char magic[5] = {0};

	if (r->size == 0) {
		err_set(e, ERR_INVALID, "'%s' is empty", r->path);
		return err_hint(e, "fetch it again");
	}
	if (!reader_bytes(r, magic, 4, "the first four letters", e))
		return false;
	if (memcmp(magic, "GGUF", 4) == 0)
		return true;
	for (int i = 0; i < 4; i++) /* NUL too */
		if (magic[i] < ' ' || magic[i] > '~')
			magic[i] = '?';
	reader_bad(r, 0, e, "not a GGUF file: it begins with '%s'", magic);
	return err_hint(e, "give a file of the format GGUF, as llama.cpp's converters write it");
}

static bool read_version(struct gguf_reader *r, struct err *e)
{
	uint32_t version;

	if (!reader_u32(r, &version, "the version", e))
		return false;
	if (version == 2 || version == 3)
		return true;
	if (version == 1)
		reader_bad(r, 4, e, "GGUF version 1, which llama.cpp no longer reads");
	else if (version != 0 && (version & 0xFFFF) == 0)
		reader_bad(r, 4, e, "a big-endian GGUF file (version %" PRIu32 ")",
			   __builtin_bswap32(version));
	else
		reader_bad(r, 4, e, "GGUF version %" PRIu32 "; versions 2 and 3 are known",
			   version);
	return err_hint(e, "convert the model again with a current llama.cpp");
}

static bool read_counts(struct gguf_reader *r, uint64_t *tensors, uint64_t *pairs, struct err *e)
{
	uint64_t left;

	if (!reader_u64(r, tensors, "the number of tensors", e) ||
	    !reader_u64(r, pairs, "the number of keys", e))
		return false;
	left = r->size - r->at;
	if (*tensors > left / TENSOR_MIN)
		reader_bad(r, 8, e, "%" PRIu64 " tensors in a file of %" PRIu64 " bytes", *tensors,
			   r->size);
	else if (*pairs > left / PAIR_MIN)
		reader_bad(r, 16, e, "%" PRIu64 " keys in a file of %" PRIu64 " bytes", *pairs,
			   r->size);
	else
		return true;
	return err_hint(e, "the file is cut short or damaged: fetch it again");
}

static bool check_alignment(const struct gguf_reader *r, const struct gguf_part *p, struct err *e)
{
	int64_t a = p->alignment;

	return (a > 0 && a <= UINT32_MAX && (a & (a - 1)) == 0) ||
	       err_set(e, ERR_INVALID, "'%s': general.alignment is %" PRId64 ", not a power of 2",
		       r->path, a);
}

bool gguf_part_parse(struct gguf_reader *r, struct gguf_part *p, struct err *e)
{
	uint64_t tensors, pairs, start;

	*p = (struct gguf_part){
		.file_type = -1, .alignment = 32, .split_tensors = -1, .pooling_type = -1};
	if (!read_magic(r, e) || !read_version(r, e) || !read_counts(r, &tensors, &pairs, e))
		return false;
	start = r->at;
	if (!read_pairs(r, p, pairs, e))
		return false;
	if (p->again && p->architecture[0]) {
		r->at = start;
		if (!read_pairs(r, p, pairs, e))
			return false;
	}
	make_printable(p->architecture);
	make_printable(p->kind);
	return check_alignment(r, p, e) && read_tensors(r, p, tensors, e);
}
