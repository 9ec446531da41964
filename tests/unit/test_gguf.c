/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "make_gguf.h"
#include "model/gguf.h"
#include "model/gguf_part.h"

static const char *write_file(void **state, const char *name, const struct buf *b)
{
	const char *path = test_path(*state, name);

	test_write(path, b->data, b->len);
	return path;
}

static struct gguf *read_good(const char *path)
{
	struct gguf *g = NULL;
	struct err e = {0};

	if (!gguf_read(path, &g, &e))
		fail_msg("%s", e.msg);
	return g;
}

/* Reads, expects an error whose message has `part` in it, and the path unless `part` names a file.
 */
static void expect_bad(const char *path, enum err_kind kind, const char *part)
{
	struct gguf *g = NULL;
	struct err e = {0};

	if (gguf_read(path, &g, &e))
		fail_msg("'%s' was taken; expected: %s", path, part);
	if (!strstr(e.msg, part))
		fail_msg("expected '%s' in: %s", part, e.msg);
	if (!strstr(part, ".gguf") && !strstr(e.msg, path))
		fail_msg("expected the path in: %s", e.msg);
	assert_int_equal(e.kind, kind);
	assert_null(g);
}

static void a_model_is_described(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(gguf_free) struct gguf *g = NULL;

	put_small_model(&b, 0, NULL);
	g = read_good(write_file(state, "a.gguf", &b));
	assert_string_equal(g->architecture, "llama");
	assert_string_equal(g->name, "Tiny");
	assert_null(g->kind);
	assert_string_equal(g->quantization, "Q4_1");
	assert_int_equal(g->parameters, 64 * 32 + 64);
	assert_int_equal(g->context_length, 2048);
	assert_int_equal(g->block_count, 1);
	assert_int_equal(g->embedding_length, 64);
	assert_true(g->has_chat_template);
	assert_false(g->is_embedding);
	assert_false(g->is_rerank);
	assert_int_equal(g->split_count, 1);
	assert_int_equal(g->file_bytes, b.len);
}

/* --- facts from extra keys ---------------------------------------------- */

static struct gguf *read_with_key(void **state, const char *key, uint32_t n)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf extra = {0};

	put_key_u32(&extra, key, n);
	put_small_model(&b, 1, &extra);
	return read_good(write_file(state, "a.gguf", &b));
}

static void quantization_without_a_file_type_is_the_type_of_most_elements(void **state)
{
	/* 1024: llama.cpp's "guessed". The last of two equal keys counts. */
	CLEANUP(gguf_free) struct gguf *g = read_with_key(state, "general.file_type", 1024);

	assert_string_equal(g->quantization, "Q4_1");
}

static void quantization_is_what_the_file_type_says(void **state)
{
	CLEANUP(gguf_free) struct gguf *g = read_with_key(state, "general.file_type", 15);

	assert_string_equal(g->quantization, "Q4_K_M");
}

static void a_pooling_type_makes_an_embedding_model_or_a_reranker(void **state)
{
	CLEANUP(gguf_free) struct gguf *last = read_with_key(state, "llama.pooling_type", 3);
	CLEANUP(gguf_free) struct gguf *none = read_with_key(state, "llama.pooling_type", 0);
	CLEANUP(gguf_free) struct gguf *rank = read_with_key(state, "llama.pooling_type", 4);

	assert_true(last->is_embedding);
	assert_false(last->is_rerank);
	assert_false(none->is_embedding);
	assert_false(rank->is_embedding);
	assert_true(rank->is_rerank);
}

static void numbers_of_another_architecture_do_not_count(void **state)
{
	CLEANUP(gguf_free) struct gguf *g = read_with_key(state, "clip.context_length", 77);

	assert_int_equal(g->context_length, 2048);
}

static void numbers_before_the_architecture_are_found(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(gguf_free) struct gguf *g = NULL;

	put_header(&b, 2, 1, 3);
	put_key_u32(&b, "bert.context_length", 512);
	put_key_u32(&b, "llama.context_length", 4096);
	put_key_text(&b, "general.architecture", "bert");
	put_tensor(&b, "t", 1, 1, 0, 0);
	put_padding(&b, 32);
	put_zeroes(&b, 4);
	g = read_good(write_file(state, "a.gguf", &b));
	assert_int_equal(g->context_length, 512);
	assert_true(g->is_embedding);
	assert_string_equal(g->quantization, "F32");
}

static void of_numbers_per_layer_the_largest_counts(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf extra = {0};
	CLEANUP(gguf_free) struct gguf *g = NULL;

	put_text(&extra, "llama.attention.head_count_kv");
	put_u32(&extra, GGUF_ARRAY);
	put_u32(&extra, GGUF_I32);
	put_u64(&extra, 3);
	put_u32(&extra, 2);
	put_u32(&extra, 8);
	put_u32(&extra, 0);
	put_small_model(&b, 1, &extra);
	g = read_good(write_file(state, "a.gguf", &b));
	assert_int_equal(g->shape.heads_kv.largest, 8);
	assert_int_equal(g->shape.heads_kv.sum, 10);
	assert_int_equal(g->shape.heads_kv.count, 3);
	assert_int_equal(g->shape.heads_kv.nonzero, 2);
}

static void a_name_is_shown_without_what_terminals_and_json_refuse(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf extra = {0};
	CLEANUP(gguf_free) struct gguf *g = NULL;

	put_key_text(&extra, "general.name",
		     "\x1b[31mM\xc3\xb6we\xff \xed\xa0\x80\xf0\x9f\x90\xa6");
	put_small_model(&b, 1, &extra);
	g = read_good(write_file(state, "a.gguf", &b));
	assert_string_equal(g->name, "[31mM\xc3\xb6we \xf0\x9f\x90\xa6");
}

static void a_large_vocabulary_takes_milliseconds(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf extra = {0};
	CLEANUP(gguf_free) struct gguf *g = NULL;
	const char *path;
	int64_t start;

	put_text(&extra, "tokenizer.ggml.tokens");
	put_u32(&extra, GGUF_ARRAY);
	put_u32(&extra, GGUF_STRING);
	put_u64(&extra, 300000);
	for (int i = 0; i < 300000; i++)
		put_text(&extra, "token");
	put_small_model(&b, 1, &extra);
	path = write_file(state, "a.gguf", &b);
	start = clock_ms();
	g = read_good(path);
	assert_int_equal(g->parameters, 2112);
	assert_true(clock_ms() - start < 1000); /* measured: 5 ms; the sanitizers are slow */
}

/* --- every tensor type -------------------------------------------------- */

static void every_tensor_type_is_measured(void **state)
{
	int known = 0;

	for (uint32_t i = 0; i <= GGUF_TENSOR_TYPES; i++) {
		const struct gguf_tensor_type *type = gguf_tensor_type(i);
		CLEANUP(buf_done) struct buf b = {0};
		CLEANUP(gguf_free) struct gguf *g = NULL;
		const char *path;

		if (!type)
			continue;
		known++;
		put_header(&b, 3, 1, 1);
		put_key_text(&b, "general.architecture", "llama");
		put_tensor(&b, "t", 256, 3, i, 0);
		put_padding(&b, 32);
		put_zeroes(&b, 3 * 256 / type->block_size * type->block_bytes);
		g = read_good(write_file(state, "a.gguf", &b));
		assert_string_equal(g->quantization, type->name);
		b.len--; /* one byte less is cut short */
		path = write_file(state, "b.gguf", &b);
		expect_bad(path, ERR_INVALID, "tensor 't' ends past the end of the file");
	}
	assert_int_equal(known, 35);
}

/* --- what is not a GGUF ------------------------------------------------- */

/* A valid file, changed in one place. at −1: nothing written. size −1: not cut. */
static const struct mutation {
	const char *name;
	int64_t at;
	const char *bytes;
	size_t count;
	int64_t size;
	const char *error;
} mutations[] = {
	{"empty", -1, NULL, 0, 0, "is empty"},
	{"three bytes", -1, NULL, 0, 3, "byte 0: the file ends inside the first four letters"},
	{"another format", 0, "PK\3\4", 4, -1,
	 "byte 0: not a GGUF file: it begins with 'PK?"
	 "?'"},
	{"only letters", -1, NULL, 0, 4, "byte 4: the file ends inside the version"},
	{"version 0", 4, "\0\0\0\0", 4, -1, "byte 4: GGUF version 0"},
	{"version 1", 4, "\1\0\0\0", 4, -1, "byte 4: GGUF version 1, which llama.cpp no longer"},
	{"version 4", 4, "\4\0\0\0", 4, -1, "byte 4: GGUF version 4; versions 2 and 3 are known"},
	{"big endian", 4, "\0\0\0\3", 4, -1, "byte 4: a big-endian GGUF file (version 3)"},
	{"cut in the counts", -1, NULL, 0, 12,
	 "byte 8: the file ends inside the number of tensors"},
	{"huge tensor count", 8, "\377\377\377\377\377\377\377\377", 8, -1,
	 "byte 8: 18446744073709551615 tensors in a file of"},
	{"huge key count", 16, "\0\0\0\0\0\1\0\0", 8, -1, "byte 16: 1099511627776 keys in a file"},
	{"more keys than there are", 16, "\12", 1, -1, "byte"},
	{"empty key", 24, "\0", 1, -1, "byte 24: key 0 has a length of 0"},
	{"huge key", 24, "\377\377\377\377\377\377\377\177", 8, -1,
	 "byte 24: a key has a length of 9223372036854775807, past the end of the file"},
	{"unknown value type", 52, "\15\0\0\0", 4, -1,
	 "byte 52: 'general.architecture' has the unknown type 13"},
	{"array of arrays", 52, "\11\0\0\0\11\0\0\0", 8, -1,
	 "byte 56: 'general.architecture' is an array of arrays"},
	{"array past the end", 52, "\11\0\0\0\12\0\0\0\377\377\377\377\377\377\377\377", 16, -1,
	 "byte 68: 'general.architecture' is not a string"},
	{"architecture is a number", 52, "\4\0\0\0", 4, -1,
	 "byte 56: 'general.architecture' is not a string"},
	{"huge string", 56, "\0\0\0\0\1\0\0\0", 8, -1,
	 "byte 56: general.architecture has a length of 4294967296, past the end of the file"},
	{"no architecture", 64, "\0\0\0\0\0", 5, -1, "has no general.architecture"},
	{"cut in a value", -1, NULL, 0, 200, "byte 199: the file ends inside llama.block_count"},
	{"cut in the data", -1, NULL, 0, -2, "tensor 'blk.0.ffn_norm.weight' ends past the end"},
};

static void what_is_not_whole_is_refused_with_the_byte(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(mutations); i++) {
		const struct mutation *m = &mutations[i];
		CLEANUP(buf_done) struct buf b = {0};

		put_small_model(&b, 0, NULL);
		if (m->at >= 0)
			memcpy(b.data + m->at, m->bytes, m->count);
		if (m->size >= 0)
			b.len = (size_t)m->size;
		else if (m->size == -2)
			b.len--;
		print_message("%s\n", m->name);
		expect_bad(write_file(state, "a.gguf", &b), ERR_INVALID, m->error);
	}
}

static void cut_at_any_byte_it_is_refused(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct gguf_part part;

	put_small_model(&b, 0, NULL);
	for (size_t size = 0; size < b.len; size++) {
		struct gguf_reader r;
		struct err e = {0};

		reader_init_memory(&r, b.data, size);
		if (gguf_part_parse(&r, &part, &e))
			fail_msg("taken with %zu of %zu bytes", size, b.len);
		assert_int_equal(e.kind, ERR_INVALID);
		reader_done(&r);
	}
}

/* One tensor with a bad description. */
static const struct bad_tensor {
	const char *name;
	uint64_t dims;
	uint64_t n[5];
	uint64_t type;
	uint64_t offset;
	const char *error;
} bad_tensors[] = {
	{"t", 5, {1, 1, 1, 1, 1}, 0, 0, "tensor 't' has 5 dimensions"},
	{"t", 1, {UINT64_MAX}, 0, 0, "tensor 't' is too large"},
	{"t", 2, {1ULL << 33, 1ULL << 33}, 0, 0, "tensor 't' is too large"},
	{"t", 1, {1ULL << 62}, 0, 0, "tensor 't' is too large"},
	{"t", 1, {1ULL << 61}, 0, 0, "tensor 't' ends past the end of the file"},
	{"t", 1, {8}, 4, 0, "tensor 't' has the unknown type 4"},
	{"t", 1, {8}, 43, 0, "tensor 't' has the unknown type 43"},
	{"t", 1, {8}, UINT32_MAX, 0, "tensor 't' has the unknown type 4294967295"},
	{"t", 2, {16, 2}, 2, 0, "rows of 16 elements do not fit Q4_0 blocks of 32"},
	{"t", 1, {8}, 0, 32, "tensor 't' lies at 32 of the data, not at 0"},
	{"t", 1, {8}, 0, UINT64_MAX, "tensor 't' lies at 18446744073709551615 of the data"},
	{"t\n\x80",
	 1,
	 {100000},
	 0,
	 0,
	 "tensor 't?"
	 "?' ends past the end of the file"},
	{"a.name.of.a.tensor.that.has.more.letters.than.llama.cpp.takes.64",
	 1,
	 {1},
	 0,
	 0,
	 "has a name of 64 bytes"},
};

static void put_bad_tensor(struct buf *b, const struct bad_tensor *t)
{
	put_header(b, 3, 1, 1);
	put_key_text(b, "general.architecture", "llama");
	put_text(b, t->name);
	put_u32(b, (uint32_t)t->dims);
	for (uint64_t i = 0; i < t->dims; i++)
		put_u64(b, t->n[i]);
	put_u32(b, (uint32_t)t->type);
	put_u64(b, t->offset);
	put_padding(b, 32);
	put_zeroes(b, 256);
}

static void tensors_that_cannot_be_are_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_tensors); i++) {
		CLEANUP(buf_done) struct buf b = {0};

		put_bad_tensor(&b, &bad_tensors[i]);
		expect_bad(write_file(state, "a.gguf", &b), ERR_INVALID, bad_tensors[i].error);
	}
}

static void an_alignment_that_is_no_power_of_two_is_refused(void **state)
{
	static const uint32_t bad[] = {0, 3, 48, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_done) struct buf b = {0};
		CLEANUP(buf_done) struct buf extra = {0};

		put_key_u32(&extra, "general.alignment", bad[i]);
		put_small_model(&b, 1, &extra);
		expect_bad(write_file(state, "a.gguf", &b), ERR_INVALID, "general.alignment is");
	}
}

static void data_begins_where_the_alignment_says(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(gguf_free) struct gguf *g = NULL;

	put_header(&b, 3, 1, 2);
	put_key_text(&b, "general.architecture", "llama");
	put_key_u32(&b, "general.alignment", 4096);
	put_tensor(&b, "t", 1, 1, 0, 0);
	put_padding(&b, 4096);
	expect_bad(write_file(state, "a.gguf", &b), ERR_INVALID, "ends past the end");
	put_zeroes(&b, 4);
	g = read_good(write_file(state, "b.gguf", &b));
	assert_int_equal(g->parameters, 1);
}

static void a_number_that_is_a_string_is_refused(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf extra = {0};

	put_key_text(&extra, "llama.context_length", "many");
	put_small_model(&b, 1, &extra);
	expect_bad(write_file(state, "a.gguf", &b), ERR_INVALID,
		   "'llama.context_length' is of type string, not a whole number");
}

/* --- what is not a file ------------------------------------------------- */

static void what_is_no_regular_file_is_refused(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = test_path(*state, "s");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_bad(path, ERR_INVALID, "is a socket, not a GGUF file");
	close(fd);
	expect_bad(*state, ERR_INVALID, "is a folder, not a GGUF file");
	path = test_path(*state, "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_bad(path, ERR_INVALID, "is a FIFO, not a GGUF file"); /* and does not hang */
	expect_bad("/dev/zero", ERR_INVALID, "is a device, not a GGUF file");
	expect_bad(test_path(*state, "none"), ERR_NOT_FOUND, "no file");
}

static void an_unreadable_file_is_refused_with_its_reason(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	const char *path;
	bool root = geteuid() == 0; /* who reads everything */

	put_small_model(&b, 0, NULL);
	path = write_file(state, "a.gguf", &b);
	assert_int_equal(chmod(path, 0), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	expect_bad(path, ERR_INVALID, "cannot be read: permission denied");
	if (root)
		assert_int_equal(seteuid(0), 0);
}

/* --- split files -------------------------------------------------------- */

static const char *write_part(void **state, int no, int says_no, int count, int tensors)
{
	CLEANUP(buf_done) struct buf b = {0};
	char name[64];

	put_header(&b, 3, 1, 4);
	put_key_u32(&b, "split.no", (uint32_t)says_no);
	put_key_u32(&b, "split.count", (uint32_t)count);
	put_key_u32(&b, "split.tensors.count", (uint32_t)tensors);
	put_key_text(&b, no == 0 ? "general.architecture" : "x", "llama");
	put_tensor(&b, "t", 64, 1, no == 1 ? 2 : 0, 0);
	put_padding(&b, 32);
	put_zeroes(&b, no == 1 ? 36 : 256);
	(void)snprintf(name, sizeof(name), "big-%05d-of-%05d.gguf", no + 1, count);
	return write_file(state, name, &b);
}

static void a_split_model_is_the_sum_of_its_parts(void **state)
{
	CLEANUP(gguf_free) struct gguf *g = NULL;
	const char *first = write_part(state, 0, 0, 3, 3);
	struct stat st[3];

	(void)stat(first, &st[0]);
	(void)stat(write_part(state, 1, 1, 3, 3), &st[1]);
	(void)stat(write_part(state, 2, 2, 3, 3), &st[2]);
	g = read_good(first);
	assert_int_equal(g->split_count, 3);
	assert_int_equal(g->parameters, 192);
	assert_int_equal(g->file_bytes, st[0].st_size + st[1].st_size + st[2].st_size);
}

static void a_missing_part_is_named(void **state)
{
	const char *first = write_part(state, 0, 0, 3, 3);
	struct gguf *g = NULL;
	struct err e = {0};

	(void)write_part(state, 1, 1, 3, 3);
	assert_false(gguf_read(first, &g, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "part 3 of 3: no file '"));
	assert_non_null(strstr(e.msg, "big-00003-of-00003.gguf'"));
	assert_string_equal(e.hint, "all 3 parts must lie in one folder");
}

static void a_later_part_is_refused_and_the_first_named(void **state)
{
	const char *second = write_part(state, 1, 1, 3, 3);
	struct gguf *g = NULL;
	struct err e = {0};

	assert_false(gguf_read(second, &g, &e));
	assert_non_null(strstr(e.msg, "is part 2 of 3"));
	assert_non_null(strstr(e.hint, "big-00001-of-00003.gguf"));
}

static void parts_that_do_not_belong_together_are_refused(void **state)
{
	const char *first = write_part(state, 0, 0, 2, 3);
	const char *renamed = test_path(*state, "renamed.gguf");

	(void)write_part(state, 1, 0, 2, 3);
	expect_bad(first, ERR_INVALID, "big-00002-of-00002.gguf' says that it is part 1 of 2");
	(void)write_part(state, 1, 1, 2, 3);
	expect_bad(first, ERR_INVALID, "its parts have 2 tensors, not 3");
	(void)write_part(state, 1, 1, 2, 2);
	assert_int_equal(rename(write_part(state, 0, 0, 2, 2), renamed), 0);
	expect_bad(renamed, ERR_INVALID,
		   "is part 1 of 2, but its name does not end in -00001-of-00002");
}

static void a_split_count_that_cannot_be_is_refused(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf extra = {0};

	put_key_u32(&extra, "split.count", UINT32_MAX);
	put_small_model(&b, 1, &extra);
	expect_bad(write_file(state, "a.gguf", &b), ERR_INVALID,
		   "part 1 of 4294967295 is not possible");
}

/* --- what fuzzing found ------------------------------------------------- */

static void parse_file(const char *path)
{
	size_t size;
	char *data = test_read(path, &size);
	struct gguf_reader r;
	struct gguf_part part;
	struct err e = {0};

	reader_init_memory(&r, data, size);
	if (!gguf_part_parse(&r, &part, &e))
		assert_int_equal(e.kind, ERR_INVALID);
	reader_done(&r);
	free(data);
}

/* tests/fuzz/gguf: seeds, and inputs that once broke the parser. */
static void past_crashes_stay_fixed(void **state)
{
	DIR *dir = opendir(SOURCE_DIR "/tests/fuzz/gguf");
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		parse_file(test_path(SOURCE_DIR "/tests/fuzz/gguf", entry->d_name));
		count++;
	}
	closedir(dir);
	assert_true(count > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_model_is_described),
		TEST(quantization_without_a_file_type_is_the_type_of_most_elements),
		TEST(quantization_is_what_the_file_type_says),
		TEST(a_pooling_type_makes_an_embedding_model_or_a_reranker),
		TEST(numbers_of_another_architecture_do_not_count),
		TEST(numbers_before_the_architecture_are_found),
		TEST(of_numbers_per_layer_the_largest_counts),
		TEST(a_name_is_shown_without_what_terminals_and_json_refuse),
		TEST(a_large_vocabulary_takes_milliseconds),
		TEST(every_tensor_type_is_measured),
		TEST(what_is_not_whole_is_refused_with_the_byte),
		TEST(cut_at_any_byte_it_is_refused),
		TEST(tensors_that_cannot_be_are_refused),
		TEST(an_alignment_that_is_no_power_of_two_is_refused),
		TEST(data_begins_where_the_alignment_says),
		TEST(a_number_that_is_a_string_is_refused),
		TEST(what_is_no_regular_file_is_refused),
		TEST(an_unreadable_file_is_refused_with_its_reason),
		TEST(a_split_model_is_the_sum_of_its_parts),
		TEST(a_missing_part_is_named),
		TEST(a_later_part_is_refused_and_the_first_named),
		TEST(parts_that_do_not_belong_together_are_refused),
		TEST(a_split_count_that_cannot_be_is_refused),
		TEST(past_crashes_stay_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
