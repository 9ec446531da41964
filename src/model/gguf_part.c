/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_part.h"

#include <inttypes.h>
#include <string.h>

#include "model/gguf_part_priv.h"

#define TENSOR_MIN (8 + 4 + 4 + 8)
#define DIMS_MAX 4
#define TENSOR_NAME_SIZE 64 /* llama.cpp's limit, with the NUL */

void gguf_make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
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
	if (t->at > GGUF_METADATA_MAX)
		return reader_bad(r, t->at, e, "more than %u MiB of metadata",
				  GGUF_METADATA_MAX >> 20);
	if (!reader_string(r, t->name, sizeof(t->name), &len, "a tensor's name", e))
		return false;
	gguf_make_printable(t->name);
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
	else if (*pairs > left / GGUF_PAIR_MIN)
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
	if (!gguf_pairs_read(r, p, pairs, e))
		return false;
	if (p->again && p->architecture[0]) {
		r->at = start;
		if (!gguf_pairs_read(r, p, pairs, e))
			return false;
	}
	gguf_make_printable(p->architecture);
	gguf_make_printable(p->kind);
	return check_alignment(r, p, e) && read_tensors(r, p, tensors, e);
}
