/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "backend/distro.h"
#include "backend/rocm.h"
#include "backend/toolkit.h"
#include "backend/vulkan.h"
#include "base/clock.h"

#define FAKES SOURCE_DIR "/tests/fakes/toolkits/"

/* --- versions --------------------------------------------------------------------------------- */

static void version_is(const char *text, const char *after, const char *expected)
{
	char version[16] = "untouched";
	bool found = toolkit_version(text, after, version, sizeof(version));

	assert_int_equal(found, expected != NULL);
	assert_string_equal(version, expected ? expected : "untouched");
}

static void a_version_is_the_first_number_after_a_text(void **state)
{
	version_is("cmake version 3.25.1\n", NULL, "3.25.1");
	version_is("Cuda compilation tools, release 12.4, V12.4.131", "release ", "12.4");
	version_is("shaderc v2023.2 v2022.4-1", NULL, "2023.2");
	version_is("1.11.", NULL, "1.11");
	version_is("2..3", NULL, "2");
	version_is("clang 14", NULL, "14");
	version_is("no number", NULL, NULL);
	version_is("", NULL, NULL);
	version_is("12.4", "release ", NULL);
	version_is("release x", "release ", NULL);
	version_is("1.2.3.4.5.6.7.8.9.10", NULL, NULL); /* longer than there is room */
}

static void versions_compare_number_by_number(void **state)
{
	static const struct {
		const char *a, *b;
		int expected;
	} cases[] = {
		{"1.3.239", "1.3.239", 0}, {"1.3.239", "1.3.24", 1}, {"1.10", "1.9", 1},
		{"3.9", "3.19", -1},       {"12", "12.0", 0},        {"12", "12.0.1", -1},
		{"580.65.06", "580", 1},   {"535.129", "580", -1},   {"", "1", -1},
		{"6.3.42131", "6.1", 1},   {"580.065", "580.65", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(toolkit_version_cmp(cases[i].a, cases[i].b), cases[i].expected);
		assert_int_equal(toolkit_version_cmp(cases[i].b, cases[i].a), -cases[i].expected);
	}
}

/* --- headers ---------------------------------------------------------------------------------- */

static const char *header_with(void **state, const char *text)
{
	const char *path = test_path(*state, "header.h");

	test_write(path, text, strlen(text));
	return path;
}

static void a_macro_has_the_rest_of_its_line(void **state)
{
	const char *path = header_with(state, "// #define A 1\n"
					      "#define AB 2\n"
					      "#define A_FUNCTION(x) 3\n"
					      "#define EMPTY\n"
					      "  #  define A   four and five \t\r\n"
					      "#define A 6\n"
					      "#define LAST 7");
	char value[32] = "untouched";

	assert_false(toolkit_macro(path, "B", value, sizeof(value)));
	assert_false(toolkit_macro(path, "EMPTY", value, sizeof(value)));
	assert_false(toolkit_macro(path, "A_FUNCTION", value, sizeof(value)));
	assert_false(toolkit_macro(test_path(*state, "absent.h"), "A", value, sizeof(value)));
	assert_false(toolkit_macro(*state, "A", value, sizeof(value)));
	assert_string_equal(value, "untouched");
	assert_true(toolkit_macro(path, "A", value, sizeof(value)));
	assert_string_equal(value, "four and five");
	assert_true(toolkit_macro(path, "LAST", value, sizeof(value)));
	assert_string_equal(value, "7");
}

static void vulkan_headers_tell_their_version(void **state)
{
	char version[32] = "untouched";

	/* Debian 12 */
	assert_true(vulkan_header_version(
		header_with(state, "// Version of this file\n#define VK_HEADER_VERSION 239\n\n"
				   "#define VK_HEADER_VERSION_COMPLETE "
				   "VK_MAKE_API_VERSION(0, 1, 3, VK_HEADER_VERSION)\n"),
		version, sizeof(version)));
	assert_string_equal(version, "1.3.239");
	/* Ubuntu 20.04 */
	assert_true(vulkan_header_version(header_with(state,
						      "#define VK_HEADER_VERSION 131\n"
						      "#define VK_HEADER_VERSION_COMPLETE "
						      "VK_MAKE_VERSION(1, 2, VK_HEADER_VERSION)\n"),
					  version, sizeof(version)));
	assert_string_equal(version, "1.2.131");
	assert_false(vulkan_header_version(header_with(state, "#define VK_HEADER_VERSION 131\n"),
					   version, sizeof(version)));
	assert_false(vulkan_header_version(
		header_with(state, "#define VK_HEADER_VERSION 131\n"
				   "#define VK_HEADER_VERSION_COMPLETE (1 << 22)\n"),
		version, sizeof(version)));
	assert_string_equal(version, "1.2.131");
}

/* --- programs --------------------------------------------------------------------------------- */

static void use_path(const char *folder)
{
	assert_int_equal(setenv("PATH", folder, 1), 0);
}

static void make_program(const char *path, mode_t mode)
{
	test_write(path, "#!/bin/sh\n", 10);
	assert_int_equal(chmod(path, mode), 0);
}

static void a_program_is_looked_for_in_path_then_in_the_root(void **state)
{
	CLEANUP(free) char *bin = mem_printf("%s/bin", (char *)*state);
	CLEANUP(free) char *other = mem_printf("%s/other", (char *)*state);
	CLEANUP(free) char *both = mem_printf("relative::%s:%s/absent", other, other);
	char *found = NULL;

	assert_int_equal(mkdir(bin, 0700), 0);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(mkdir(test_path(other, "folder"), 0700), 0);
	make_program(test_path(bin, "a"), 0700);
	make_program(test_path(bin, "plain"), 0600);
	make_program(test_path(other, "b"), 0700);
	use_path(both);

	found = toolkit_program("b", NULL);
	assert_string_equal(found, test_path(other, "b"));
	free(found);
	found = toolkit_program("a", *state);
	assert_string_equal(found, test_path(bin, "a"));
	free(found);
	assert_null(toolkit_program("a", NULL));
	assert_null(toolkit_program("plain", *state));
	assert_null(toolkit_program("folder", NULL));
	assert_null(toolkit_program("absent", *state));
}

static void a_header_is_looked_for_in_the_root_first(void **state)
{
	char *found = toolkit_header("cuda_runtime.h", FAKES "cuda-12.4");

	assert_string_equal(found, FAKES "cuda-12.4/include/cuda_runtime.h");
	free(found);
	assert_null(toolkit_header("no/such/header.h", FAKES "cuda-12.4"));
	found = toolkit_header("stdio.h", FAKES "cuda-12.4");
	assert_string_equal(found, "/usr/include/stdio.h");
	free(found);
}

static void a_library_is_found_where_the_loader_looks(void **state)
{
	char *found = toolkit_library("libc.so.6");

	assert_non_null(found);
	assert_int_equal(access(found, R_OK), 0);
	free(found);
	assert_null(toolkit_library("libno-such-library.so.1"));
}

static char *ask_within(const char *program, int limit_ms)
{
	const char *const argv[] = {program, "--version", NULL};

	return toolkit_output_within(argv, limit_ms);
}

static void a_program_that_fails_or_is_absent_has_no_output(void **state)
{
	char *text = ask_within(FAKES "cuda-12.4/bin/nvcc", 10000);

	assert_non_null(strstr(text, "\nCuda compilation tools, release 12.4, V12.4.131\n"));
	free(text);
	assert_null(ask_within(FAKES "cuda-broken/bin/nvcc", 10000));
	assert_null(ask_within(FAKES "cuda-absent/bin/nvcc", 10000));
	use_path(*state);
	assert_null(ask_within("nvcc", 10000));
}

/* It ignores SIGTERM too: 0.3 s, then a second's grace; the fake itself would take a minute. */
static void a_program_that_hangs_is_cut_off(void **state)
{
	int64_t start = clock_ms();

	assert_null(ask_within(FAKES "cuda-hanging/bin/nvcc", 300));
	assert_in_range(clock_ms() - start, 300, 10000);
}

static void endless_output_is_cut_off(void **state)
{
	const char *path = test_path(*state, "endless");
	static const char script[] = "#!/bin/sh\nwhile :; do echo yes; done\n";
	int64_t start = clock_ms();

	test_write(path, script, strlen(script));
	assert_int_equal(chmod(path, 0700), 0);
	assert_null(ask_within(path, 300));
	assert_in_range(clock_ms() - start, 300, 10000);
}

/* --- items and conclusion --------------------------------------------------------------------- */

static const struct toolkit_need glue = {
	"glue", "2.0", false, {"glue", "glue-devel", "glue", "libglue"}};
static const struct toolkit_need tape = {
	"tape", "any", false, {"glue tape", "glue-devel tape", "tape glue", "tape"}};
static const struct toolkit_need driver = {"driver", "any", true, {"drv", "drv", "drv", "drv"}};
static const struct toolkit_need nameless = {"/dev/thing", "any", false, {0}};

static void an_item_is_good_when_it_is_new_enough(void **state)
{
	struct toolkit tk = {0};
	static const struct {
		const char *found;
		bool ok;
	} cases[] = {{"2.0", true}, {"1.99", false}, {"10", true},
		     {NULL, false}, {"", false},     {"somewhere", true}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		toolkit_add(&tk, &glue, cases[i].found);
		assert_int_equal(tk.items[i].ok, cases[i].ok);
		assert_string_equal(tk.items[i].found, cases[i].found ? cases[i].found : "");
		assert_string_equal(tk.items[i].name, "glue");
		assert_string_equal(tk.items[i].needed, "2.0");
		assert_string_equal(tk.items[i].packages, glue.packages[distro_here()]);
	}
	assert_int_equal(tk.count, ARRAY_LEN(cases));
}

static void more_items_than_there_is_room_are_left_out(void **state)
{
	struct toolkit tk = {0};

	for (size_t i = 0; i < 2 * ARRAY_LEN(tk.items); i++) {
		toolkit_add(&tk, &glue, "2.0");
		toolkit_add_unusable(&tk, &glue, "why");
	}
	assert_int_equal(tk.count, ARRAY_LEN(tk.items));
}

static void the_conclusion_names_what_is_missing_and_for_what(void **state)
{
	struct toolkit tk = {0};

	toolkit_add(&tk, &glue, "2.1");
	toolkit_conclude(&tk);
	assert_true(tk.can_build);
	assert_true(tk.can_run);
	assert_string_equal(tk.why_not, "");

	toolkit_add(&tk, &driver, NULL);
	toolkit_conclude(&tk);
	assert_true(tk.can_build);
	assert_false(tk.can_run);
	assert_string_equal(tk.why_not, "missing to run: driver");

	toolkit_add(&tk, &glue, "1.5");
	toolkit_add_unusable(&tk, &tape, "does not stick");
	toolkit_conclude(&tk);
	assert_false(tk.can_build);
	assert_string_equal(tk.why_not, "missing to build: glue (1.5, needs 2.0), tape (does not "
					"stick); missing to run: driver");
}

static void what_is_required_comes_with_the_install_command(void **state)
{
	static const char *const packages[DISTRO_COUNT] = {
		[DISTRO_DEBIAN] = "glue tape",
		[DISTRO_FEDORA] = "glue-devel tape",
		[DISTRO_ARCH] = "glue tape",
		[DISTRO_SUSE] = "libglue tape",
	};
	struct toolkit tk = {0};
	struct err e = {0};
	CLEANUP(buf_done) struct buf all = {0};
	char command[200];

	toolkit_add(&tk, &glue, NULL);
	toolkit_add(&tk, &driver, NULL);
	toolkit_add(&tk, &tape, NULL);
	toolkit_add(&tk, &nameless, NULL);
	assert_false(toolkit_require(backend_find("vulkan"), &tk, &e));
	assert_int_equal(e.kind, ERR_TOOLKIT);
	assert_string_equal(e.msg, "Vulkan cannot be built here: missing glue, tape, /dev/thing");
	distro_install_command(distro_here(), packages[distro_here()], command, sizeof(command));
	assert_string_equal(e.hint, command); /* each package once, the driver's not */
	toolkit_packages(&tk, true, &all);
	assert_non_null(strstr(all.data, driver.packages[distro_here()]));
}

static void what_only_running_needs_is_not_required(void **state)
{
	struct toolkit tk = {0};
	struct err e = {0};

	toolkit_add(&tk, &driver, NULL);
	assert_true(toolkit_require(backend_find("vulkan"), &tk, &e));
	toolkit_add(&tk, &nameless, NULL);
	assert_false(toolkit_require(NULL, &tk, &e));
	assert_string_equal(e.msg, "llama.cpp cannot be built here: missing /dev/thing");
	assert_string_equal(e.hint, "");
}

/* --- the backends' checks with fakes ---------------------------------------------------------- */

static const struct toolkit_item *item(const struct toolkit *tk, const char *name)
{
	for (int i = 0; i < tk->count; i++) {
		if (strcmp(tk->items[i].name, name) == 0)
			return &tk->items[i];
	}
	fail_msg("no item '%s'", name);
	return NULL;
}

static void check_with(const char *backend, const char *path, struct toolkit *tk)
{
	use_path(path);
	backend_find(backend)->check(&(const struct toolkit_ask){0}, tk);
}

static void hipcc_tells_the_hip_version(void **state)
{
	CLEANUP(strv_done) struct strv args = {0};
	struct toolkit tk = {0};
	struct err e = {0};

	check_with("rocm", FAKES "rocm-6.3/bin", &tk);
	assert_string_equal(item(&tk, "hipcc")->found, "6.3.42131");
	assert_true(item(&tk, "hipcc")->ok);
	assert_string_equal(tk.compiler, "hip 6.3.42131");
	backend_find("rocm")->cmake_args(&tk, &args);
	assert_true(args.count >= 1);
	assert_string_equal(args.items[0],
			    "-DCMAKE_HIP_COMPILER=/opt/rocm-6.3.0/lib/llvm/bin/clang++");

	check_with("rocm", FAKES "rocm-5.7/bin", &tk);
	assert_false(tk.can_build);
	assert_false(toolkit_require(backend_find("rocm"), &tk, &e));
	assert_non_null(strstr(e.msg, "hipcc (5.7.31921, needs 6.1)"));
}

static void no_toolkit_at_all_names_every_item(void **state)
{
	struct toolkit tk = {0};

	check_with("vulkan", *state, &tk);
	assert_string_equal(item(&tk, "glslc")->found, "");
	assert_false(item(&tk, "glslc")->ok);
	assert_false(tk.can_build);
	assert_string_equal(tk.compiler, "");
	assert_non_null(strstr(tk.why_not, "glslc"));
	(void)item(&tk, "Vulkan headers");
	(void)item(&tk, "SPIR-V headers");
	assert_true(item(&tk, "Vulkan driver")->at_run_time);

	check_with("vulkan", FAKES "vulkan-1.2/bin", &tk);
	assert_string_equal(item(&tk, "glslc")->found, "2019.0");
}

static void packages_are_named_for_every_distribution(void **state)
{
	struct toolkit tk = {0};

	/* What has no package is a right or a device, and says so. */
	for (const struct backend *const *b = backend_all(); *b != NULL; b++) {
		check_with((*b)->name, *state, &tk);
		for (int i = 0; i < tk.count; i++) {
			const char *name = tk.items[i].name;
			bool none = strstr(name, "/dev/") || strcmp(name, "GPU architecture") == 0;

			assert_int_equal(tk.items[i].packages[0] == '\0', none);
		}
	}
}

static void amd_targets_are_named_once(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};

	rocm_target("cpu_cores_count 16\ngfx_target_version 0\n", &b);
	assert_int_equal(b.len, 0);
	rocm_target("simd_count 48\ngfx_target_version 100306\nvendor_id 4098\n", &b);
	rocm_target("gfx_target_version 90010\n", &b);
	rocm_target("gfx_target_version 100306\n", &b);
	rocm_target("gfx_target_version 110000\n", &b);
	rocm_target("", &b);
	assert_string_equal(b.data, "gfx1036;gfx90a;gfx1100");
}

static void a_gpu_runs_what_its_relatives_run(void **state)
{
	static const struct {
		const char *gpu, *kernels, *relative; /* NULL: none */
		const char *version;
	} cases[] = {
		{"gfx1030", "gfx900;gfx1030", "gfx1030", "10.3.0"},
		{"gfx1036", "gfx900;gfx1030", "gfx1030", "10.3.0"},
		{"gfx1036", "gfx1030;gfx1036", "gfx1036", "10.3.6"},
		{"gfx1103", "gfx1100;gfx1101;gfx1102", "gfx1100", "11.0.0"},
		{"gfx1151", "gfx1030;gfx1100", "gfx1100", "11.0.0"},
		{"gfx1151", "gfx1100;gfx1150", "gfx1100", "11.0.0"},
		{"gfx90c", "gfx900;gfx906", "gfx900", "9.0.0"},
		{"gfx90a", "gfx900;gfx90a", "gfx90a", "9.0.10"},
		{"gfx1010", "gfx1030", NULL, NULL},
		{"gfx803", "gfx900", NULL, NULL},
		{"gfx1201", "gfx1100", NULL, NULL},
		{"gfx1036", "", "gfx1036", "10.3.6"},
		{"gfx1036", "nonsense;gfx;gfx1;gfxabcd", NULL, NULL},
		{"nonsense", "gfx1030", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char relative[16] = "", version[16] = "";
		bool any =
			rocm_relative(cases[i].gpu, cases[i].kernels, relative, sizeof(relative));

		assert_int_equal(any, cases[i].relative != NULL);
		if (!any)
			continue;
		assert_string_equal(relative, cases[i].relative);
		rocm_override(relative, version, sizeof(version));
		assert_string_equal(version, cases[i].version);
	}
}

static void amd_architectures_are_said_by_name(void **state)
{
	const struct backend *rocm = backend_find("rocm");
	const struct toolkit_ask ask = {.arch = "gfx1030,gfx90a"};
	CLEANUP(strv_done) struct strv args = {0};
	struct toolkit tk = {0};
	struct err e = {0};
	char one[64] = "untouched";

	assert_true(rocm->arch_parse(" gfx1030, gfx90a gfx1030,", one, sizeof(one), &e));
	assert_string_equal(one, "gfx90a,gfx1030");
	assert_true(rocm->arch_parse("gfx1100,gfx90a,gfx1030", one, sizeof(one), &e));
	assert_string_equal(one, "gfx90a,gfx1030,gfx1100");
	assert_false(rocm->arch_parse("gfx1030,1100", one, sizeof(one), &e));
	assert_string_equal(e.msg, "'1100' is no architecture of AMD's");
	err_clear(&e);
	assert_false(rocm->arch_parse("gfx1030:xnack+", one, sizeof(one), &e));
	err_clear(&e);
	assert_false(rocm->arch_parse(" , ", one, sizeof(one), &e));
	err_clear(&e);
	assert_false(rocm->arch_parse("gfx1030", one, 7, &e));
	assert_string_equal(one, "gfx90a,gfx1030,gfx1100");

	use_path(FAKES "rocm-6.3/bin");
	rocm->check(&ask, &tk);
	assert_string_equal(item(&tk, "GPU architecture")->found, "gfx1030;gfx90a");
	rocm->cmake_args(&tk, &args);
	assert_string_equal(args.items[args.count - 1], "-DGPU_TARGETS=gfx1030;gfx90a");
}

/* --- distributions ---------------------------------------------------------------------------- */

static void the_distribution_is_read_from_os_release(void **state)
{
	static const struct {
		const char *text;
		enum distro expected;
	} cases[] = {
		{"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", DISTRO_DEBIAN},
		{"ID=ubuntu\nID_LIKE=debian\n", DISTRO_DEBIAN},
		{"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", DISTRO_DEBIAN},
		{"NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=40\n", DISTRO_FEDORA},
		{"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", DISTRO_FEDORA},
		{"ID=\"rhel\"\nID_LIKE=\"fedora\"\n", DISTRO_FEDORA},
		{"NAME=\"Arch Linux\"\nID=arch\n", DISTRO_ARCH},
		{"ID=endeavouros\nID_LIKE='arch'\n", DISTRO_ARCH},
		{"ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", DISTRO_SUSE},
		{"ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", DISTRO_SUSE},
		{"ID_LIKE=\"suse\"\nID=\"sled\"\n", DISTRO_SUSE},
		{"ID=void\n", DISTRO_DEBIAN},
		{"ID=archlike\nID_LIKE=fedoras\n", DISTRO_DEBIAN},
		{"VARIANT_ID=arch\nVERSION_ID=fedora\n", DISTRO_DEBIAN},
		{"", DISTRO_DEBIAN},
		{"ID=\n", DISTRO_DEBIAN},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *path = test_path(*state, "os-release");

		test_write(path, cases[i].text, strlen(cases[i].text));
		if (distro_read(path) != cases[i].expected)
			fail_msg("%s gave %d", cases[i].text, (int)distro_read(path));
	}
	assert_int_equal(distro_read(test_path(*state, "absent")), DISTRO_DEBIAN);
}

static void each_distribution_installs_its_own_way(void **state)
{
	static const char *const expected[DISTRO_COUNT] = {
		[DISTRO_DEBIAN] = "sudo apt install a b",
		[DISTRO_FEDORA] = "sudo dnf install a b",
		[DISTRO_ARCH] = "sudo pacman -S a b",
		[DISTRO_SUSE] = "sudo zypper install a b",
	};
	char command[64];

	for (int d = 0; d < DISTRO_COUNT; d++) {
		distro_install_command((enum distro)d, "a b", command, sizeof(command));
		assert_string_equal(command, expected[d]);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_version_is_the_first_number_after_a_text),
		TEST(versions_compare_number_by_number),
		TEST(a_macro_has_the_rest_of_its_line),
		TEST(vulkan_headers_tell_their_version),
		TEST(a_program_is_looked_for_in_path_then_in_the_root),
		TEST(a_header_is_looked_for_in_the_root_first),
		TEST(a_library_is_found_where_the_loader_looks),
		TEST(a_program_that_fails_or_is_absent_has_no_output),
		TEST(a_program_that_hangs_is_cut_off),
		TEST(endless_output_is_cut_off),
		TEST(an_item_is_good_when_it_is_new_enough),
		TEST(more_items_than_there_is_room_are_left_out),
		TEST(the_conclusion_names_what_is_missing_and_for_what),
		TEST(what_is_required_comes_with_the_install_command),
		TEST(what_only_running_needs_is_not_required),
		TEST(hipcc_tells_the_hip_version),
		TEST(no_toolkit_at_all_names_every_item),
		TEST(packages_are_named_for_every_distribution),
		TEST(amd_targets_are_named_once),
		TEST(a_gpu_runs_what_its_relatives_run),
		TEST(amd_architectures_are_said_by_name),
		TEST(the_distribution_is_read_from_os_release),
		TEST(each_distribution_installs_its_own_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
