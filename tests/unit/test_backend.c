/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "backend/backend.h"

static void finds(const char *name, const char *expected)
{
	const struct backend *b = backend_find(name);
	const struct backend *required = NULL;
	struct err e = {0};

	if (b == NULL)
		fail_msg("'%s' is not known", name);
	else
		assert_string_equal(b->name, expected);
	assert_true(backend_require(name, &required, &e));
	assert_ptr_equal(b, required);
}

static void the_registry_has_the_four_of_the_document(void **state)
{
	static const char *const names[] = {"cpu", "cuda", "rocm", "vulkan"};
	const struct backend *const *all = backend_all();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(all[i]->name, names[i]);
	assert_null(all[ARRAY_LEN(names)]);
}

static void names_and_aliases_in_any_case(void **state)
{
	finds("cpu", "cpu");
	finds("CUDA", "cuda");
	finds("Vulkan", "vulkan");
	finds("rocm", "rocm");
	finds("nvidia", "cuda");
	finds("NVidia", "cuda");
	finds("cublas", "cuda");
	finds("amd", "rocm");
	finds("HIP", "rocm");
	finds("vk", "vulkan");
	finds("VK", "vulkan");
}

static void no_two_backends_share_a_name(void **state)
{
	for (const struct backend *const *b = backend_all(); *b != NULL; b++) {
		CLEANUP(free) char *words = mem_printf("%s %s", (*b)->name, (*b)->aliases);
		char *rest = NULL;

		for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
			assert_ptr_equal(backend_find(w), *b);
	}
}

static void an_unknown_one_is_refused_with_the_known(void **state)
{
	static const char *const bad[] = {"",    " ",     "metal",  "cpu ",          " cpu",
					  "cud", "cudaa", "vk,hip", "nvidia cublas", "../cpu"};
	const struct backend *b = NULL;
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(free)
		char *expected =
			mem_printf("unknown backend '%s' (known: cpu, cuda, rocm, vulkan)", bad[i]);

		err_clear(&e);
		assert_null(backend_find(bad[i]));
		assert_false(backend_require(bad[i], &b, &e));
		assert_string_equal(e.msg, expected);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_null(b);
	assert_null(backend_find(NULL));
	err_clear(&e);
	assert_false(backend_require(NULL, &b, &e));
}

static void a_very_long_name_is_cut_in_the_message(void **state)
{
	const struct backend *b = NULL;
	struct err e = {0};
	char name[2000];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_false(backend_require(name, &b, &e));
	assert_non_null(strstr(e.msg, "xx' (known: cpu, cuda, rocm, vulkan)"));
}

static void a_device_belongs_to_the_backend_of_its_name(void **state)
{
	static const struct {
		const char *backend, *device;
		bool owned;
	} cases[] = {
		{"vulkan", "Vulkan0", true},   {"vulkan", "Vulkan12", true},
		{"vulkan", "Vulkan", false},   {"vulkan", "VulkanX", false},
		{"vulkan", "Vulkan0x", false}, {"vulkan", "vulkan0", false},
		{"vulkan", "CPU", false},      {"vulkan", "CUDA0", false},
		{"vulkan", "", false},         {"cuda", "CUDA0", true},
		{"cuda", "ROCm0", false},      {"rocm", "ROCm1", true},
		{"rocm", "HIP0", false},       {"cpu", "CPU", false},
		{"cpu", "0", false},           {"cpu", "none", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct backend *b = backend_find(cases[i].backend);

		if (backend_owns_device(b, cases[i].device) != cases[i].owned)
			fail_msg("%s and '%s'", cases[i].backend, cases[i].device);
	}
}

static void a_gpu_backend_says_how_it_is_built(void **state)
{
	for (const struct backend *const *b = backend_all(); *b != NULL; b++) {
		bool gpu = strcmp((*b)->name, "cpu") != 0;

		assert_non_null((*b)->title);
		assert_non_null((*b)->check);
		assert_int_equal((*b)->module != NULL, gpu);
		assert_int_equal((*b)->target != NULL, gpu);
		assert_int_equal((*b)->cmake_flag != NULL, gpu);
		assert_int_equal((*b)->device_prefix != NULL, gpu);
		assert_int_equal((*b)->build_disk_bytes > 0, gpu);
		assert_int_equal((*b)->build_memory_bytes > 0, gpu);
		if (gpu) {
			CLEANUP(free) char *so = mem_printf("lib%s.so", (*b)->target);

			assert_string_equal((*b)->module, so);
		}
	}
}

static void the_cpu_needs_nothing_of_its_own(void **state)
{
	struct toolkit tk = {.count = 7};
	struct err e = {0};

	backend_find("cpu")->check(&(const struct toolkit_ask){0}, &tk);
	assert_int_equal(tk.count, 0);
	assert_true(tk.can_build);
	assert_true(tk.can_run);
	assert_string_equal(tk.why_not, "");
	assert_true(toolkit_require(backend_find("cpu"), &tk, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_registry_has_the_four_of_the_document),
		cmocka_unit_test(names_and_aliases_in_any_case),
		cmocka_unit_test(no_two_backends_share_a_name),
		cmocka_unit_test(an_unknown_one_is_refused_with_the_known),
		cmocka_unit_test(a_very_long_name_is_cut_in_the_message),
		cmocka_unit_test(a_device_belongs_to_the_backend_of_its_name),
		cmocka_unit_test(a_gpu_backend_says_how_it_is_built),
		cmocka_unit_test(the_cpu_needs_nothing_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
