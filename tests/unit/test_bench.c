/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "model/option.h"
#include "switch/bench_priv.h"

#define S(text) ((char *)(text))

static void the_fastest_run_counts(void **state)
{
	struct bench_speeds s = {0};

	bench_read_line("llama-bench: benchmark 1/2: prompt run 1/2", &s);
	bench_read_line("{\"n_prompt\": 512, \"n_gen\": 0, \"samples_ts\": [ 81.25, 123.5 ]}", &s);
	assert_float_equal(s.prompt, 123.5, 0);
	assert_float_equal(s.answer, 0, 0);
	bench_read_line("{\"n_prompt\": 0, \"n_gen\": 128, \"samples_ts\": [25.25, 2]}", &s);
	assert_float_equal(s.prompt, 123.5, 0);
	assert_float_equal(s.answer, 25.25, 0);
}

static void what_is_no_result_changes_nothing(void **state)
{
	static const char *const lines[] = {
		"", "{", "{}", "[1]", "{\"n_gen\": \"128\", \"samples_ts\": [1]}",
	};
	struct bench_speeds s = {7, 8};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		bench_read_line(lines[i], &s);
	assert_float_equal(s.prompt, 7, 0);
	assert_float_equal(s.answer, 8, 0);
}

static void runs_without_speed_are_no_measurement(void **state)
{
	static const char *const samples[] = {"[]", "[0]", "[-5]", "[\"9\"]", "9", "{}"};

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		CLEANUP(free)
		char *line = mem_printf("{\"n_gen\": 128, \"samples_ts\": %s}", samples[i]);
		struct bench_speeds s = {7, 8};

		bench_read_line(line, &s);
		assert_float_equal(s.answer, 0, 0);
	}
}

static void what_differs_is_named(void **state)
{
	const struct db_bench then = {.file = S("1 2 /a"),
				      .base_digest = S("aa"),
				      .module_digest = S("bb"),
				      .device = S("Vulkan0"),
				      .driver = S("Linux 6"),
				      .options = S("-ngl 9")};
	struct db_bench now = then;

	now.at = 5; /* not what it depends on */
	assert_null(bench_differs(&then, &now));
	now.options = S("-ngl 8");
	assert_string_equal(bench_differs(&then, &now), "options");
	now = then;
	now.module_digest = NULL;
	assert_string_equal(bench_differs(&then, &now), "build");
	now = then;
	now.driver = S("Linux 7");
	assert_string_equal(bench_differs(&then, &now), "driver");
	now.file = S("1 3 /a");
	assert_string_equal(bench_differs(&then, &now), "file");
}

static void a_typical_request_weighs_both_speeds(void **state)
{
	const struct db_bench b = {.prompt_per_second = 512, .answer_per_second = 64};

	assert_float_equal(bench_seconds(&b), 2 + 4, 1e-9);
}

static void check_args(const char *options, bool gpu, const char *expected)
{
	CLEANUP(strv_done) struct strv args = {0};
	CLEANUP(buf_done) struct buf text = {0};
	struct err e = {0};

	assert_true(option_bench_args(options, gpu, &args, &e));
	for (size_t i = 0; i < args.count; i++)
		buf_printf(&text, "%s%s", i ? " " : "", args.items[i]);
	assert_string_equal(text.data, expected);
}

static void options_are_said_in_its_words(void **state)
{
	CLEANUP(strv_done) struct strv args = {0};
	struct err e = {0};

	check_args(NULL, false, "-ngl 0 -fa on -ctk f16 -ctv f16");
	check_args("{}", true, "-ngl 1000 -fa on -ctk f16 -ctv f16");
	check_args("{\"n_gpu_layers\": 0, \"flash_attn\": \"off\", \"threads\": 3,"
		   " \"n_cpu_moe\": 2, \"cache_type_v\": \"bf16\", \"n_ctx\": 512}",
		   true, "-ngl 0 -fa off -ncmoe 2 -t 3 -ctk f16 -ctv bf16");
	check_args("{\"n_gpu_layers\": 5}", false, "-ngl 0 -fa on -ctk f16 -ctv f16");
	check_args("{\"devices\": [\"CUDA0\", \"CUDA1\"], \"tensor_split\": [3, 1]}", true,
		   "-ngl 1000 --tensor-split 3/1 -fa on -ctk f16 -ctv f16");
	assert_false(option_bench_args("{\"cache_type_v\": \"f32\"}", true, &args, &e));
	assert_non_null(strstr(e.msg, "cache_type_v=f32"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fastest_run_counts),
		cmocka_unit_test(what_is_no_result_changes_nothing),
		cmocka_unit_test(runs_without_speed_are_no_measurement),
		cmocka_unit_test(what_differs_is_named),
		cmocka_unit_test(a_typical_request_weighs_both_speeds),
		cmocka_unit_test(options_are_said_in_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
