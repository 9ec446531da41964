/* SPDX-License-Identifier: Apache-2.0 */
/* Which CUDA toolkit is used: fake ones in PATH, one on offer, a fake of NVIDIA's library. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "backend/cuda.h"
#include "backend/cuda_fit.h"
#include "backend/nvml.h"
#include "backend/toolkit.h"
#include "base/fs.h"

#ifndef FAKE_NVML
#define FAKE_NVML "" /* the build says where; alone it only has to compile */
#define SOURCE_DIR ""
#endif
#define FAKES SOURCE_DIR "/tests/fakes/toolkits/"
#define GCC "gcc 12.2.0 x86_64-linux-gnu"

/* --- rules ------------------------------------------------------------------------------------ */

static void each_toolkit_has_its_oldest_driver(void **state)
{
	assert_string_equal(cuda_driver_for("13.0"), "580");
	assert_string_equal(cuda_driver_for("12.4"), "525");
	assert_string_equal(cuda_driver_for("11.8"), "450");
	assert_string_equal(cuda_driver_for("14.1"), "580");
	assert_string_equal(cuda_driver_for("10.2"), "any");
	assert_string_equal(cuda_driver_for(""), "any");
	assert_string_equal(cuda_of_driver("580.65.06"), "13");
	assert_string_equal(cuda_of_driver("535.129.03"), "12");
	assert_string_equal(cuda_of_driver("470.82"), "11");
	assert_string_equal(cuda_of_driver("390.1"), "");
}

static void the_drivers_own_text_tells_its_version(void **state)
{
	char version[32];

	assert_true(cuda_driver_version(
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build"
		"  (dvs-builder@U22-I3)\nGCC version:  gcc version 12.3.0\n",
		version, sizeof(version)));
	assert_string_equal(version, "580.65.06");
	assert_true(cuda_driver_version(
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32\n",
		version, sizeof(version)));
	assert_string_equal(version, "535.129.03");
	assert_false(cuda_driver_version("", version, sizeof(version)));
	assert_false(cuda_driver_version("Kernel Module", version, sizeof(version)));
}

static void a_toolkit_fits_driver_compiler_and_gpus(void **state)
{
	static const struct {
		const char *nvcc, *newest, *compiler, *archs;
		const char *why; /* NULL: it fits */
	} cases[] = {
		{"13.0.88", "13.0", GCC, "90", NULL},
		{"13.0.88", "13.2", "gcc 15.1.0 x", "75,121", NULL},
		{"13.0.88", "", "", "", NULL},     /* nothing is known, so nothing forbids it */
		{"12.4", "12.2", GCC, "90", NULL}, /* within a major version */
		{"12.4", "13.0", GCC, "50,90a", NULL},
		{"13.0.88", "12.8", GCC, "90", "CUDA 13.0.88 needs driver 580 or newer"},
		{"12.4", "11", GCC, "80", "CUDA 12.4 needs driver 525 or newer"},
		{"13.0.88", "13.0", "gcc 16.1.0 x", "90", "takes gcc up to 15, this is 16.1.0"},
		{"12.4", "13.0", "gcc 14.2.0 x", "90", "takes gcc up to 13, this is 14.2.0"},
		{"11.8", "13.0", GCC, "90", "takes gcc up to 11, this is 12.2.0"},
		{"12.1", "13.0", "clang 16.0.6 x", "90", "takes clang up to 15"},
		{"13.0.88", "13.0", GCC, "61,90", "CUDA 13.0.88 has dropped architecture 61"},
		{"12.4", "13.0", GCC, "90,120", "CUDA 12.4 does not know architecture 120"},
		{"12.8", "13.0", GCC, "120,121", "does not know architecture 121"},
		{"11.7", "13.0", "gcc 11.2.0 x", "90", "CUDA 11.7 does not know architecture 90"},
		{"14.2", "14.2", GCC, "75,200", NULL}, /* newer than our tables */
		{"11.5", "13.0", GCC, "80", "nvcc 11.5 is too old"},
		{"10.2", "13.0", GCC, "70", "nvcc 10.2 is too old"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cuda_facts f = {.driver = "driver"};
		struct err e = {0};
		bool fits;

		(void)snprintf(f.newest, sizeof(f.newest), "%s", cases[i].newest);
		(void)snprintf(f.compiler, sizeof(f.compiler), "%s", cases[i].compiler);
		if (cases[i].archs[0])
			assert_true(cuda_parse_archs(cases[i].archs, &f, &e));
		fits = cuda_fits(cases[i].nvcc, &f, &e);
		if (fits != !cases[i].why || (!fits && !strstr(e.msg, cases[i].why)))
			fail_msg("row %zu: %s", i, fits ? "fits" : e.msg);
		assert_true(fits || e.hint[0]);
	}
}

static void a_gpu_too_new_is_told_the_toolkit_that_knows_it(void **state)
{
	struct cuda_facts f = {0};
	struct err e = {0};

	assert_true(cuda_add_arch(&f, "120", "NVIDIA GeForce RTX 5090"));
	assert_false(cuda_fits("12.4", &f, &e));
	assert_string_equal(e.msg,
			    "CUDA 12.4 does not know architecture 120 of NVIDIA GeForce RTX 5090");
	assert_string_equal(e.hint, "install a CUDA toolkit 12.8 or newer");
}

static void a_list_of_architectures_has_one_form(void **state)
{
	static const struct {
		const char *text, *expected; /* NULL: refused */
	} cases[] = {
		{"90", "90"},
		{"90, 86", "86,90"},
		{"120f;90a 90,90", "90,90a,120f"},
		{"", NULL},
		{",", NULL},
		{"9.0", NULL},
		{"sm_90", NULL},
		{"9", NULL},
		{"1200", NULL},
		{"090", NULL},
		{"90b", NULL},
		{"90-real", NULL},
		{"90;-DX=1", NULL},
		{"native", NULL},
		{"50,52,53,60,61,62,70,72,75,80,86,87,89,90,100,101,120", NULL}, /* 17 */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[128] = "";
		struct err e = {0};
		bool ok = backend_find("cuda")->arch_parse(cases[i].text, text, sizeof(text), &e);

		if (ok != (cases[i].expected != NULL))
			fail_msg("'%s': %s", cases[i].text, ok ? text : e.msg);
		if (ok)
			assert_string_equal(text, cases[i].expected);
		else
			assert_int_equal(e.kind, ERR_INVALID);
	}
}

/* --- the check -------------------------------------------------------------------------------- */

static const struct toolkit_item *item(const struct toolkit *tk, const char *name)
{
	for (int i = 0; i < tk->count; i++) {
		if (strcmp(tk->items[i].name, name) == 0)
			return &tk->items[i];
	}
	fail_msg("no item '%s'", name);
	return NULL;
}

/* A machine: NVIDIA's library that behaves so (NULL: none), this in PATH. */
static void check(void **state, const char *nvml, const char *path, struct toolkit_ask ask,
		  struct toolkit *tk)
{
	CLEANUP(free) char *library = fs_join(*state, "libnvidia-ml.so.1");
	CLEANUP(free) char *self = fs_real("/proc/self/exe");

	(void)unlink(library);
	if (nvml) {
		test_write(test_path(*state, "nvml.fake"), nvml, strlen(nvml));
		assert_int_equal(symlink(FAKE_NVML, library), 0);
	}
	ask.self = self;
	assert_int_equal(setenv("LD_LIBRARY_PATH", *state, 1), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
	backend_find("cuda")->check(&ask, tk);
	assert_int_equal(unsetenv("LD_LIBRARY_PATH"), 0);
}

#define OFFER .offer = "13.0.88", .offer_bytes = 525366000

static void refused(const struct toolkit *tk, const char *msg, const char *hint)
{
	struct err e = {0};

	assert_false(tk->can_build);
	assert_false(tk->fetched);
	assert_false(toolkit_require(backend_find("cuda"), tk, &e));
	assert_int_equal(e.kind, ERR_TOOLKIT);
	if (!strstr(e.msg, msg) || !strstr(e.hint, hint))
		fail_msg("%s; %s", e.msg, e.hint);
}

static void an_installed_toolkit_that_fits_is_used(void **state)
{
	CLEANUP(strv_done) struct strv args = {0};
	struct toolkit tk = {0};

	check(state, "gpus 3\ncapability 8.9\ncapability 8.6\ncapability 8.9\n",
	      FAKES "cuda-12.4/bin", (struct toolkit_ask){.compiler = GCC, OFFER}, &tk);
	assert_true(tk.can_build);
	assert_false(tk.fetched);
	assert_string_equal(item(&tk, "nvcc")->found, "12.4");
	assert_string_equal(item(&tk, "cuBLAS headers")->found,
			    FAKES "cuda-12.4/include/cublas_v2.h");
	assert_string_equal(item(&tk, "GPU architecture")->found, "86 NVIDIA H200, 89 NVIDIA H200");
	assert_string_equal(item(&tk, "NVIDIA driver")->found, "580.159.04");
	assert_string_equal(item(&tk, "NVIDIA driver")->needed, "525");
	assert_string_equal(item(&tk, "C++ compiler for nvcc")->found,
			    "gcc 12.2.0; nvcc takes gcc up to 13, clang up to 17");
	assert_string_equal(tk.compiler, "nvcc 12.4");
	backend_find("cuda")->cmake_args(&tk, &args);
	assert_int_equal(args.count, 4);
	assert_string_equal(args.items[0], "-DGGML_CUDA_NCCL=OFF");
	assert_string_equal(args.items[1], "-DCUDAToolkit_ROOT=" FAKES "cuda-12.4");
	assert_string_equal(args.items[2], "-DCMAKE_CUDA_COMPILER=" FAKES "cuda-12.4/bin/nvcc");
	assert_string_equal(args.items[3], "-DCMAKE_CUDA_ARCHITECTURES=86-real;89-real");
}

static void one_that_does_not_fit_gives_way_to_the_one_on_offer(void **state)
{
	static const struct {
		const char *nvml, *path, *compiler, *why;
	} cases[] = {
		{"", "/nonexistent", GCC, NULL}, /* nothing is installed */
		{"", FAKES "cuda-10.2/bin", GCC, "nvcc 10.2 is too old"},
		{"", FAKES "cuda-12.4/bin", "gcc 14.2.0 x", "takes gcc up to 13"},
		{"capability 12.0\n", FAKES "cuda-12.4/bin", GCC, "does not know architecture 120"},
		{"", FAKES "cuda-broken/bin", GCC, "does not answer --version"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(strv_done) struct strv args = {0};
		struct toolkit tk = {0};
		struct err e = {0};

		check(state, cases[i].nvml, cases[i].path,
		      (struct toolkit_ask){.compiler = cases[i].compiler, OFFER}, &tk);
		assert_true(tk.can_build);
		assert_true(tk.fetched);
		assert_true(toolkit_require(backend_find("cuda"), &tk, &e));
		assert_string_equal(item(&tk, "nvcc")->found, "13.0.88 from pip, 525 MB");
		assert_string_equal(tk.compiler, "nvcc 13.0.88 from pip");
		assert_string_equal(item(&tk, "NVIDIA driver")->needed, "580");
		if (cases[i].why)
			assert_non_null(strstr(item(&tk, "installed nvcc")->found, cases[i].why));
		backend_find("cuda")->cmake_args(&tk, &args);
		assert_int_equal(args.count, 2); /* where it is, the build knows */
	}
}

static void what_cannot_be_used_says_why_and_what_helps(void **state)
{
	struct toolkit tk = {0};

	check(state, "", FAKES "cuda-10.2/bin", (struct toolkit_ask){.compiler = GCC}, &tk);
	refused(&tk, "missing nvcc (nvcc 10.2 is too old for llama.cpp, needs 11.7)",
		"newer CUDA toolkit");
	check(state, "", FAKES "cuda-broken/bin", (struct toolkit_ask){.compiler = GCC}, &tk);
	refused(&tk, "cuda-broken/bin/nvcc does not answer --version", "install");
	check(state, "driver 535.129.03\ncuda 12020\n", "/nonexistent",
	      (struct toolkit_ask){.compiler = GCC, OFFER}, &tk);
	refused(&tk, "CUDA 13.0.88 needs driver 580 or newer, 535.129.03 runs CUDA up to 12.2",
		"install NVIDIA's driver 580 or newer, or a CUDA toolkit 12.x");
	check(state, "name Tesla P40\ncapability 6.1\n", "/nonexistent",
	      (struct toolkit_ask){.compiler = GCC, OFFER}, &tk);
	refused(&tk, "CUDA 13.0.88 has dropped architecture 61 of Tesla P40", "CUDA toolkit 12.x");
	check(state, "", "/nonexistent", (struct toolkit_ask){.compiler = GCC}, &tk);
	refused(&tk, "missing nvcc, CUDA runtime headers", "install");
}

static void without_a_gpu_somebody_says_what_to_build_for(void **state)
{
	CLEANUP(strv_done) struct strv args = {0};
	struct toolkit tk = {0};

	check(state, NULL, FAKES "cuda-12.4/bin", (struct toolkit_ask){.compiler = GCC}, &tk);
	refused(&tk, "GPU architecture", "--arch 90");
	check(state, "gpus 0\n", FAKES "cuda-12.4/bin", (struct toolkit_ask){.compiler = GCC}, &tk);
	refused(&tk, "GPU architecture", "--arch 90");
	check(state, NULL, FAKES "cuda-12.4/bin",
	      (struct toolkit_ask){.compiler = GCC, .arch = "86,90a"}, &tk);
	assert_true(tk.can_build);
	assert_string_equal(item(&tk, "GPU architecture")->found, "86, 90a");
	backend_find("cuda")->cmake_args(&tk, &args);
	assert_string_equal(args.items[3], "-DCMAKE_CUDA_ARCHITECTURES=86-real;90a-real");
}

static void a_long_list_is_not_cut(void **state)
{
	struct toolkit tk = {0};

	check(state, NULL, FAKES "cuda-12.4/bin",
	      (struct toolkit_ask){
		      .compiler = GCC,
		      .arch = "50a,50f,52a,53a,60a,61a,62a,70a,72a,75a,80a,86a,87a,89a,90a,90f"},
	      &tk);
	assert_true(tk.can_build);
	assert_non_null(strstr(tk.arch, ";90a-real;90f-real"));
}

static void what_is_asked_for_goes_before_the_gpus_that_are_here(void **state)
{
	struct toolkit tk = {0};

	check(state, "capability 12.0\n", FAKES "cuda-12.4/bin",
	      (struct toolkit_ask){.compiler = GCC, .arch = "86"}, &tk);
	assert_true(tk.can_build);
	assert_string_equal(tk.arch, "86-real");
}

/* --- where it is ------------------------------------------------------------------------------ */

static void an_nvcc_behind_a_link_has_its_own_root(void **state)
{
	struct toolkit tk = {0};

	assert_int_equal(symlink(FAKES "cuda-12.4/bin/nvcc", test_path(*state, "nvcc")), 0);
	check(state, "", *state, (struct toolkit_ask){.compiler = GCC}, &tk);
	assert_true(tk.can_build);
	assert_string_equal(tk.root, FAKES "cuda-12.4");
}

/* As /usr/lib/ccache/nvcc: the link's end has no nvcc beside it, so no root is made up. */
static void an_nvcc_that_is_ccache_gives_no_root(void **state)
{
	struct toolkit tk = {0};

	assert_int_equal(mkdir(test_path(*state, "bin"), 0700), 0);
	assert_int_equal(mkdir(test_path(*state, "links"), 0700), 0);
	test_write(test_path(*state, "bin/ccache"), "#!/bin/sh\n", 10);
	assert_int_equal(chmod(test_path(*state, "bin/ccache"), 0700), 0);
	assert_int_equal(symlink(test_path(*state, "bin/ccache"), test_path(*state, "links/nvcc")),
			 0);
	check(state, "", test_path(*state, "links"), (struct toolkit_ask){.compiler = GCC}, &tk);
	assert_string_not_equal(tk.root, *state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(each_toolkit_has_its_oldest_driver),
		TEST(the_drivers_own_text_tells_its_version),
		TEST(a_toolkit_fits_driver_compiler_and_gpus),
		TEST(a_gpu_too_new_is_told_the_toolkit_that_knows_it),
		TEST(a_list_of_architectures_has_one_form),
		TEST(an_installed_toolkit_that_fits_is_used),
		TEST(one_that_does_not_fit_gives_way_to_the_one_on_offer),
		TEST(what_cannot_be_used_says_why_and_what_helps),
		TEST(without_a_gpu_somebody_says_what_to_build_for),
		TEST(a_long_list_is_not_cut),
		TEST(what_is_asked_for_goes_before_the_gpus_that_are_here),
		TEST(an_nvcc_behind_a_link_has_its_own_root),
		TEST(an_nvcc_that_is_ccache_gives_no_root),
	};

	if (argc == 2 && strcmp(argv[1], "probe-nvml") == 0)
		return nvml_probe_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
