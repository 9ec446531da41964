/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "env/env_name.h"

static void check(const char *id, const char *backend, const char *expected)
{
	char *name = env_name(id, backend);

	assert_string_equal(name, expected);
	free(name);
}

static void the_documents_own_example(void **state)
{
	check("mistral-7b-instruct-v0.2.Q8_0", "cuda", "llm_mistral_7b_instruct_v0_2_cuda");
	check("mistral-7b-instruct-v0.2.Q8_0", "vulkan", "llm_mistral_7b_instruct_v0_2_vulkan");
	check("mistral-7b-instruct-v0.2.Q8_0", "rocm", "llm_mistral_7b_instruct_v0_2_rocm");
	check("mistral-7b-instruct-v0.2.Q8_0", "cpu", "llm_mistral_7b_instruct_v0_2_cpu");
	check("model", "cuda", "llm_model_cuda");
	check("mistral-7b", "cuda", "llm_mistral_7b_cuda");
}

static void a_quantisation_mark_is_no_part_of_the_name(void **state)
{
	static const char *const marks[] = {
		".Q8_0",       "-Q8_0",     "_q4_0",    "-Q4_K_M",  "-Q4_K_S",   ".q5_k",
		"-Q6_K",       "-Q3_K_XL",  "-Q2_K_L",  ".IQ2_XXS", "-iq1_s",    "-IQ4_NL",
		"-IQ3_M",      "-TQ1_0",    "-BF16",    ".f16",     "-F32",      "-FP16",
		"-UD-Q4_K_XL", "-UD-IQ1_S", ".i1-Q4_0", "-MXFP4",   "-Q4_0_4_8", "-MXFP4_MOE",
	};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		char id[64];

		(void)snprintf(id, sizeof(id), "Qwen3-8B%s", marks[i]);
		check(id, "cpu", "llm_qwen3_8b_cpu");
		(void)snprintf(id, sizeof(id), "Qwen3-8B%s.gguf", marks[i]);
		check(id, "cpu", "llm_qwen3_8b_cpu");
	}
}

static void what_only_looks_like_a_mark_stays(void **state)
{
	check("Q8_0", "cpu", "llm_q8_0_cpu");
	check("llama-3.2", "cpu", "llm_llama_3_2_cpu");
	check("xQ8_0", "cpu", "llm_xq8_0_cpu");
	check("a-Q8_0-instruct", "cpu", "llm_a_q8_0_instruct_cpu");
	check("study-UD", "cpu", "llm_study_ud_cpu");
	check("a-Q4_K_M.Q8_0", "cpu", "llm_a_q4_k_m_cpu"); /* one mark, the last */
	check("a.gguf", "cpu", "llm_a_cpu");
}

static void other_characters_become_one_underscore(void **state)
{
	check("A..B--c__d", "cpu", "llm_a_b_c_d_cpu");
	check("a@b:c+d", "cpu", "llm_a_b_c_d_cpu");
	check("a-_.", "cpu", "llm_a_cpu");
	check("n\303\244me", "cpu", "llm_n_me_cpu"); /* bytes past ASCII, whatever the locale */
}

static char *repeat(char c, size_t n, const char *end)
{
	char *s = mem_alloc(n + strlen(end) + 1);

	memset(s, c, n);
	memcpy(s + n, end, strlen(end) + 1);
	return s;
}

static void long_names_stay_whole_up_to_120(void **state)
{
	char *id = repeat('a', 120, ".Q8_0");
	char *name = env_name(id, "vulkan");

	assert_int_equal(strlen(name), strlen("llm_") + 120 + strlen("_vulkan"));
	assert_int_equal(strspn(name + 4, "a"), 120);
	free(name);
	free(id);
}

static void longer_ones_keep_110_and_a_hash(void **state)
{
	char *one = repeat('a', 121, ".Q8_0");
	char *same = repeat('a', 121, "-Q4_K_M");
	char *other = repeat('a', 122, ".Q8_0");
	char *name = env_name(one, "cuda"), *shared = env_name(same, "cuda");
	char *different = env_name(other, "cuda");

	assert_int_equal(strspn(name + 4, "a"), 110);
	assert_int_equal(strspn(name + 4 + 111, "0123456789abcdef"), 8);
	assert_string_equal(name + 4 + 111 + 8, "_cuda");
	assert_string_equal(name, shared);
	assert_string_not_equal(name, different);
	free(one);
	free(same);
	free(other);
	free(name);
	free(shared);
	free(different);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documents_own_example),
		cmocka_unit_test(a_quantisation_mark_is_no_part_of_the_name),
		cmocka_unit_test(what_only_looks_like_a_mark_stays),
		cmocka_unit_test(other_characters_become_one_underscore),
		cmocka_unit_test(long_names_stay_whole_up_to_120),
		cmocka_unit_test(longer_ones_keep_110_and_a_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
