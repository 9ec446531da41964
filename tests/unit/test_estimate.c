/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "model/estimate.h"

#define MIB (1LL << 20)
#define ONE(n)                                                                                     \
	{                                                                                          \
		.count = 1, .largest = (n), .sum = (n), .nonzero = (n) != 0                        \
	}

/* SmolLM2-135M-Instruct.Q4_1.gguf, and models of random weights. */
static const struct gguf smollm2 = {
	.architecture = (char *)"llama",
	.context_length = 8192,
	.block_count = 30,
	.embedding_length = 576,
	.head_count = 9,
	.shape = {.heads_kv = ONE(3),
		  .feed_forward = ONE(1536),
		  .vocabulary = 49152,
		  .tensor_bytes = 96576768,
		  .layer_bytes = 66493440,
		  .token_bytes = 30081024},
};
static const struct gguf gqa = {
	.architecture = (char *)"llama",
	.context_length = 32768,
	.block_count = 16,
	.embedding_length = 1024,
	.head_count = 16,
	.shape = {.heads_kv = ONE(4),
		  .feed_forward = ONE(4096),
		  .vocabulary = 32000,
		  .tensor_bytes = 328241152,
		  .layer_bytes = 258605056,
		  .token_bytes = 34816000,
		  .output_bytes = 34816000},
};
static const struct gguf q4_0 = {
	.architecture = (char *)"llama",
	.context_length = 131072,
	.block_count = 8,
	.embedding_length = 2048,
	.head_count = 32,
	.shape = {.heads_kv = ONE(8),
		  .feed_forward = ONE(8192),
		  .vocabulary = 64000,
		  .tensor_bytes = 421273600,
		  .layer_bytes = 273809408,
		  .token_bytes = 73728000,
		  .output_bytes = 73728000,
		  .repacked_bytes = 273678336,
		  .token_repacked = 73728000,
		  .output_repacked = 73728000},
};
static const struct gguf tied_q4_k = {
	.architecture = (char *)"llama",
	.context_length = 4096,
	.block_count = 12,
	.embedding_length = 1024,
	.head_count = 16,
	.shape = {.heads_kv = ONE(16),
		  .feed_forward = ONE(2816),
		  .vocabulary = 128256,
		  .tensor_bytes = 160681984,
		  .layer_bytes = 86802432,
		  .token_bytes = 73875456,
		  .repacked_bytes = 86704128,
		  .token_repacked = 73875456},
};
static const struct gguf gemma3 = {
	.architecture = (char *)"gemma3",
	.context_length = 32768,
	.block_count = 18,
	.embedding_length = 640,
	.head_count = 4,
	.shape = {.heads_kv = ONE(1),
		  .key_length = ONE(256),
		  .value_length = ONE(256),
		  .window = ONE(512),
		  .feed_forward = ONE(2048),
		  .vocabulary = 100000,
		  .tensor_bytes = 174760704,
		  .layer_bytes = 106758144,
		  .token_bytes = 68000000},
};
static const struct gguf qwen3moe = {
	.architecture = (char *)"qwen3moe",
	.context_length = 32768,
	.block_count = 12,
	.embedding_length = 1024,
	.head_count = 16,
	.shape = {.heads_kv = ONE(4),
		  .key_length = ONE(64),
		  .value_length = ONE(64),
		  .feed_forward = ONE(3072),
		  .expert_feed_forward = ONE(384),
		  .experts_used = ONE(8),
		  .vocabulary = 50000,
		  .tensor_bytes = 625201152,
		  .layer_bytes = 516397056,
		  .expert_bytes = 481296384,
		  .token_bytes = 54400000,
		  .output_bytes = 54400000},
};
static const struct gguf mamba = {
	.architecture = (char *)"mamba",
	.context_length = 32768,
	.block_count = 16,
	.embedding_length = 768,
	.shape = {.ssm_conv = ONE(4),
		  .ssm_inner = ONE(1536),
		  .ssm_state = ONE(16),
		  .vocabulary = 50000,
		  .tensor_bytes = 110082816,
		  .layer_bytes = 69279744,
		  .token_bytes = 40800000},
};

static struct memory ask_tuned(const struct gguf *g, const char *options, bool gpu,
			       const struct estimate_tuning *tuning)
{
	struct option_facts facts = {.context_length = g->context_length, .mode = "chat"};
	CLEANUP(option_memory_done) struct option_memory m = {0};
	struct memory e;

	option_memory(options, &facts, gpu, &m);
	estimate_model(g, &m, tuning, &e);
	return e;
}

struct sums { /* bytes */
	int64_t device, host, mapped;
};

static struct sums ask(const struct gguf *g, const char *options, bool gpu)
{
	struct memory e = ask_tuned(g, options, gpu, NULL);

	return (struct sums){memory_sum(&e.device), memory_sum(&e.host), e.mapped};
}

/* --- against what llama-server 0.3.36 said of its buffers ---------------- */

#define ANY                                                                                        \
	(-1) /* a range of the file with holes in it, or the CPU took a part for want of an op */

static const struct {
	const char *name;
	const struct gguf *g;
	const char *options;
	bool gpu;
	double device, host, mapped; /* MiB */
} said[] = {
	{"smollm2", &smollm2, "{}", false, 0, 202.26, 92.10},
	{"smollm2, each slot its own", &smollm2, "{\"n_ctx\":2048,\"parallel\":4}", false, 0,
	 202.26, 92.10},
	{"smollm2, short", &smollm2, "{\"n_ctx\":512}", false, 0, 26.01, 92.10},
	{"smollm2, q8_0 cache", &smollm2, "{\"cache_type_k\":\"q8_0\",\"cache_type_v\":\"q8_0\"}",
	 false, 0, 116.8, 92.10},
	{"smollm2, no flash attention", &smollm2, "{\"flash_attn\":\"off\"}", false, 0, 347.13,
	 92.10},
	{"smollm2, Vulkan", &smollm2, "{}", true, 291.36, 11.01, 28.69},
	{"smollm2, 10 layers on Vulkan", &smollm2, "{\"n_gpu_layers\":10}", true, 123.4, 137.0,
	 ANY},
	{"GQA 4:1", &gqa, "{}", false, 0, 168.5, 313.0},
	{"GQA 4:1, long", &gqa, "{\"n_ctx\":32768}", false, 0, 576.5, 313.0},
	{"Q4_0, rearranged", &q4_0, "{}", false, 0, 532.3, ANY},
	{"Q4_K, the output is token_embd", &tied_q4_k, "{}", false, 0, 375.6, ANY},
	{"gemma3: sliding windows", &gemma3, "{\"n_ctx\":16384}", false, 0, 123.3, 166.7},
	{"experts", &qwen3moe, "{}", false, 0, 146.8, 596.2},
	{"mamba: recurrent", &mamba, "{}", false, 0, 27.9, 105.0},
};

static bool is_near(int64_t bytes, double mib)
{
	double here = (double)bytes / MIB;

	return mib < 0 || (here >= mib * 0.9 - 1 && here <= mib * 1.15 + 1);
}

static void estimates_come_near_what_the_server_takes(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		struct sums e = ask(said[i].g, said[i].options, said[i].gpu);

		if (!is_near(e.device, said[i].device) || !is_near(e.host, said[i].host) ||
		    !is_near(e.mapped, said[i].mapped))
			fail_msg("%s: device %.1f host %.1f mapped %.1f MiB", said[i].name,
				 (double)e.device / MIB, (double)e.host / MIB,
				 (double)e.mapped / MIB);
	}
}

/* --- rules --------------------------------------------------------------- */

static void layers_may_have_heads_of_their_own(void **state)
{
	struct gguf g = gqa, half = gqa;
	int64_t all = ask(&g, "{}", true).device;

	/* 16 layers with 4 heads each, as an array: the same */
	g.shape.heads_kv = (struct gguf_layers){16, 4, 64, 16};
	assert_true(ask(&g, "{}", true).device == all);
	/* 8 of them with 4, the others without attention: half the cache (2 × 8192 × 1 KiB each) */
	half.shape.heads_kv = (struct gguf_layers){16, 4, 32, 8};
	assert_true(all - ask(&half, "{}", true).device == 8LL * 8192 * 4 * 64 * 2 * 2);
	/* no key: as many as heads */
	g.shape.heads_kv = (struct gguf_layers){0};
	assert_true(ask(&g, "{}", true).device - all == 16LL * 8192 * 12 * 64 * 2 * 2);
}

static void windows_count_where_the_file_says_which_layers(void **state)
{
	struct gguf g = gemma3;
	int64_t known = ask(&g, "{}", true).device;

	g.architecture = (char *)"new"; /* no pattern known: as if all attend to all */
	assert_true(ask(&g, "{}", true).device > known);
	g.shape.window_pattern = (struct gguf_layers){18, 1, 15, 15}; /* an array of bools */
	assert_true(ask(&g, "{}", true).device == known);
	g.shape.window_pattern = (struct gguf_layers)ONE(6);
	assert_true(ask(&g, "{}", true).device == known);
	g.shape.window_pattern = (struct gguf_layers){.count = 1}; /* 0: all slide */
	assert_true(ask(&g, "{}", true).device < known);
}

static void experts_may_stay_on_the_cpu(void **state)
{
	struct sums all = ask(&qwen3moe, "{}", true);
	struct sums some = ask(&qwen3moe, "{\"n_cpu_moe\":3}", true);
	struct sums none = ask(&qwen3moe, "{\"n_cpu_moe\":1000}", true);
	struct sums late = ask(&qwen3moe, "{\"n_cpu_moe\":3,\"n_gpu_layers\":10}", true);
	struct sums later = ask(&qwen3moe, "{\"n_gpu_layers\":10}", true);

	assert_true(all.device - some.device == 481296384 / 4);
	assert_true(some.mapped - all.mapped == 481296384 / 4);
	assert_true(all.device - none.device == 481296384);
	assert_true(late.device == later.device); /* those layers are not on the device anyway */
}

static void layers_share_the_cache_and_the_weights(void **state)
{
	struct sums none = ask(&gqa, "{\"n_gpu_layers\":0}", true);
	struct sums output = ask(&gqa, "{\"n_gpu_layers\":1}", true);
	struct sums all = ask(&gqa, "{\"n_gpu_layers\":17}", true);
	struct sums more = ask(&gqa, "{\"n_gpu_layers\":1000}", true);
	struct sums any = ask(&gqa, "{}", true);

	assert_true(none.device == 0);
	assert_true(output.device == gqa.shape.output_bytes);
	assert_true(all.device == more.device && all.device == any.device);
	assert_true(all.mapped ==
		    gqa.shape.tensor_bytes - gqa.shape.layer_bytes - gqa.shape.output_bytes);
}

/* A load with 2048 cells said `floats` MiB more than the rule; that of 8192 is put right by it. */
static void a_load_puts_the_estimate_of_other_options_right(void **state)
{
	struct option_facts facts = {.context_length = 32768, .mode = "chat"};
	struct memory small = ask_tuned(&gqa, "{\"n_ctx\":2048}", true, NULL);
	struct memory large = ask_tuned(&gqa, "{\"n_ctx\":8192}", true, NULL), tuned;
	CLEANUP(option_memory_done) struct option_memory m = {0};
	struct estimate_tuning tuning = {0};
	struct memory told = small;

	option_memory("{\"n_ctx\":2048}", &facts, true, &m);
	estimate_tune(&gqa, &m, &told, &tuning);
	assert_true(tuning.device == 1000 && tuning.host == 1000);
	told.device.compute += 8 * MIB;
	estimate_tune(&gqa, &m, &told, &tuning);
	tuned = ask_tuned(&gqa, "{\"n_ctx\":8192}", true, &tuning);
	/* the mask is known: what was not is the same in both, to a thousandth */
	assert_true(llabs(tuned.device.compute - large.device.compute - 8 * MIB) < MIB / 10);
	assert_true(tuned.host.compute == large.host.compute);
	assert_true(tuned.device.cache == large.device.cache);
	/* a batch half as large has half of it */
	tuned = ask_tuned(&gqa, "{\"n_ctx\":256}", true, &tuning);
	large = ask_tuned(&gqa, "{\"n_ctx\":256}", true, NULL);
	assert_true(llabs(tuned.device.compute - large.device.compute - 4 * MIB) < MIB / 10);
}

static void what_a_load_did_not_say_puts_nothing_right(void **state)
{
	struct option_facts facts = {.context_length = 32768, .mode = "chat"};
	CLEANUP(option_memory_done) struct option_memory m = {0};
	struct estimate_tuning tuning = {0};
	const struct memory nothing = {0};
	const struct memory little = {.device.compute = 1, .host.compute = 1};
	struct memory e;

	option_memory("{}", &facts, true, &m);
	estimate_tune(&gqa, &m, &nothing, &tuning);
	assert_true(tuning.device == 0 && tuning.host == 0);
	/* less than the mask alone: the rest is as good as nothing */
	estimate_tune(&gqa, &m, &little, &tuning);
	e = ask_tuned(&gqa, "{}", true, &tuning);
	assert_true(e.device.compute > 8 * MIB && e.device.compute < 9 * MIB);
	tuning.device = INT64_MAX;
	e = ask_tuned(&gqa, "{}", true, &tuning);
	assert_true(e.device.compute == INT64_MAX);
}

static void the_output_is_a_layer(void **state)
{
	assert_int_equal(estimate_layers(&gqa), 17);
}

static void an_embedding_model_computes_its_whole_text_at_once(void **state)
{
	struct option_facts facts = {.context_length = 8192, .mode = "embedding"};
	CLEANUP(option_memory_done) struct option_memory m = {0};

	option_memory("{}", &facts, false, &m);
	assert_true(m.batch == 8192 && m.outputs == 8192);
}

static void files_beside_the_model_are_listed(void **state)
{
	struct option_facts facts = {.context_length = 8192, .mode = "chat"};
	CLEANUP(option_memory_done) struct option_memory m = {0};

	option_memory("{\"lora\":[\"/a,b\",\"/c\"],\"mmproj\":\"/p\",\"draft_model\":\"/d\"}",
		      &facts, true, &m);
	assert_int_equal(m.files.count, 3);
	assert_string_equal(m.files.items[0], "/a,b");
	assert_string_equal(m.files.items[2], "/p");
	assert_string_equal(m.draft, "/d");
}

/* --- hostile numbers ------------------------------------------------------ */

static struct gguf_layers huge(int64_t count)
{
	return (struct gguf_layers){count, INT64_MAX, INT64_MAX, count};
}

static void absurd_numbers_are_more_than_any_machine_has(void **state)
{
	static const char *const options[] = {
		"{}", "{\"n_ctx\":16777216,\"parallel\":64,\"flash_attn\":\"off\"}",
		"{\"n_gpu_layers\":3,\"n_cpu_moe\":1000,\"cache_type_k\":\"q4_0\"}"};
	struct gguf g = {.architecture = (char *)"gemma3",
			 .context_length = INT64_MAX,
			 .block_count = INT64_MAX,
			 .embedding_length = INT64_MAX,
			 .head_count = INT64_MAX};
	struct gguf_layers *keys = &g.shape.heads_kv;
	size_t count = offsetof(struct gguf_shape, vocabulary) / sizeof(*keys);
	int64_t *bytes = &g.shape.vocabulary;

	for (size_t i = 0; i < count; i++)
		keys[i] = huge(i % 2 ? 1 : 7);
	for (size_t i = 0; i < (sizeof(g.shape) - offsetof(struct gguf_shape, vocabulary)) / 8; i++)
		bytes[i] = INT64_MAX;
	for (size_t i = 0; i < ARRAY_LEN(options) * 2; i++) {
		struct sums e = ask(&g, options[i / 2], i % 2);

		assert_true(e.device >= 0 && e.host >= 0 && e.mapped >= 0);
		assert_true(e.device == INT64_MAX || e.host == INT64_MAX);
	}
}

static void a_file_that_says_nothing_needs_little(void **state)
{
	const struct gguf g = {.architecture = (char *)""};
	struct sums e = ask(&g, "{}", true);

	assert_true(e.device >= 0 && e.device < 64 * MIB);
	assert_true(e.host >= 0 && e.host < 64 * MIB && e.mapped == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(estimates_come_near_what_the_server_takes),
		cmocka_unit_test(layers_may_have_heads_of_their_own),
		cmocka_unit_test(windows_count_where_the_file_says_which_layers),
		cmocka_unit_test(experts_may_stay_on_the_cpu),
		cmocka_unit_test(layers_share_the_cache_and_the_weights),
		cmocka_unit_test(a_load_puts_the_estimate_of_other_options_right),
		cmocka_unit_test(what_a_load_did_not_say_puts_nothing_right),
		cmocka_unit_test(the_output_is_a_layer),
		cmocka_unit_test(an_embedding_model_computes_its_whole_text_at_once),
		cmocka_unit_test(files_beside_the_model_are_listed),
		cmocka_unit_test(absurd_numbers_are_more_than_any_machine_has),
		cmocka_unit_test(a_file_that_says_nothing_needs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
