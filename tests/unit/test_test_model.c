/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/hash.h"
#include "base/mem.h"
#include "env/test_model.h"
#include "env/test_quant.h"
#include "model/gguf.h"

/* The expected answers in verify_reference.c are those of exactly these bytes. */
static void the_bytes_never_change(void **state)
{
	static const char *const expected[TEST_MODEL_COUNT] = {
		[TEST_MODEL_NARROW] =
			"71ead8dffafb94b81f87f8943c5aecce0ce61a2dd435c314e77eaf7d0d7a0a9c",
		[TEST_MODEL_WIDE] =
			"17e992248dba7bb6afc4e1627aff040b8b9cf522514aba9954d415c71830c004",
	};

	for (int i = 0; i < TEST_MODEL_COUNT; i++) {
		struct buf file = {0};
		struct hash *h = hash_new();
		char hex[HASH_HEX_SIZE];

		test_model_write((enum test_model)i, &file);
		hash_add(h, file.data, file.len);
		hash_hex(h, hex);
		hash_free(h);
		buf_done(&file);
		assert_string_equal(hex, expected[i]);
	}
}

static void tokens_are_bytes_of_the_vocabulary(void **state)
{
	bool seen[TEST_MODEL_VOCABULARY] = {0};
	int different = 0;

	for (unsigned int i = 0; i < 320; i++) {
		int token = test_model_token(i);

		assert_in_range(token, 3, TEST_MODEL_VOCABULARY - 1);
		different += !seen[token];
		seen[token] = true;
	}
	assert_true(different > 128);
}

/* fp16 to double, for numbers that are not subnormal. */
static double half_value(const unsigned char *at)
{
	unsigned int bits = at[0] | (unsigned int)at[1] << 8;
	double v = 1 + (bits & 1023) / 1024.0;
	int exponent = (int)(bits >> 10 & 31) - 15;

	for (; exponent < 0; exponent++)
		v /= 2;
	for (; exponent > 0; exponent--)
		v *= 2;
	return bits & 0x8000 ? -v : v;
}

/* Scale d and minimum m of a K-quant: m is 7.5 d exactly, so that the weights' mean is zero. */
static void minima_balance_the_scales(void **state)
{
	uint64_t random = 7;
	struct buf b = {0};

	test_quant_fill(test_quant_find("Q4_K"), 256, 0, &random, &b);
	assert_int_equal(b.len, 144);
	assert_true(half_value((unsigned char *)b.data + 2) ==
		    7.5 * half_value((unsigned char *)b.data));
	buf_done(&b);
	test_quant_fill(test_quant_find("Q4_1"), 32, 0, &random, &b);
	assert_int_equal(b.len, 20);
	assert_true(half_value((unsigned char *)b.data + 2) ==
		    -7.5 * half_value((unsigned char *)b.data));
	buf_done(&b);
}

static void a_boost_doubles(void **state)
{
	uint64_t one = 7, two = 7;
	struct buf plain = {0}, boosted = {0};

	test_quant_fill(test_quant_find("Q8_0"), 32, 0, &one, &plain);
	test_quant_fill(test_quant_find("Q8_0"), 32, 3, &two, &boosted);
	assert_true(half_value((unsigned char *)boosted.data) ==
		    8 * half_value((unsigned char *)plain.data));
	assert_memory_equal(plain.data + 2, boosted.data + 2, 32);
	buf_done(&plain);
	buf_done(&boosted);
}

static void every_format_fills_whole_blocks(void **state)
{
	for (size_t i = 0; i < TEST_QUANT_COUNT; i++) {
		const struct test_quant *q = &test_quants[i];
		uint64_t random = i;
		struct buf b = {0};

		test_quant_fill(q, 512, 0, &random, &b);
		assert_int_equal(b.len, 512 / q->count * q->bytes);
		buf_done(&b);
	}
}

/* Our own reader finds nothing wrong with it. */
static void it_is_a_whole_gguf(void **state)
{
	for (int i = 0; i < TEST_MODEL_COUNT; i++) {
		const char *path = test_path(*state, "test.gguf");
		struct buf file = {0};
		struct gguf *g = NULL;
		struct err e = {0};

		test_model_write((enum test_model)i, &file);
		test_write(path, file.data, file.len);
		if (!gguf_read(path, &g, &e))
			fail_msg("%s", e.msg);
		assert_string_equal(g->architecture, "llama");
		assert_int_equal(g->context_length, TEST_MODEL_CONTEXT);
		assert_int_equal(g->file_bytes, file.len);
		gguf_free(g);
		buf_done(&file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_never_change),
		cmocka_unit_test(tokens_are_bytes_of_the_vocabulary),
		cmocka_unit_test(minima_balance_the_scales),
		cmocka_unit_test(a_boost_doubles),
		cmocka_unit_test(every_format_fills_whole_blocks),
		cmocka_unit_test_setup_teardown(it_is_a_whole_gguf, test_dir_setup,
						test_dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
