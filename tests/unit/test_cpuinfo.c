/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "backend/cpuinfo.h"
#include "backend/limits.h"
#include "base/mem.h"

/* What /proc/cpuinfo of these says, without the lines that nobody reads. */
static const char zen4[] =
	"processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"
	"model name\t: AMD EPYC\nstepping\t: 1\nfpu\t\t: yes\n"
	"flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
	"clflush mmx fxsr sse sse2 ht syscall nx mmxext fxsr_opt pdpe1gb rdtscp lm constant_tsc "
	"rep_good nopl xtopology nonstop_tsc cpuid extd_apicid tsc_known_freq pni pclmulqdq ssse3 "
	"fma cx16 pcid sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave avx f16c "
	"rdrand hypervisor lahf_lm cmp_legacy cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw "
	"topoext vmmcall fsgsbase tsc_adjust bmi1 avx2 smep bmi2 erms invpcid avx512f avx512dq "
	"rdseed adx smap avx512ifma clflushopt clwb avx512cd sha_ni avx512bw avx512vl xsaveopt "
	"xsavec xgetbv1 xsaves avx512_bf16 clzero xsaveerptr arat avx512vbmi umip avx512_vbmi2 "
	"gfni vaes vpclmulqdq avx512_vnni avx512_bitalg avx512_vpopcntdq rdpid fsrm\n"
	"bugs\t\t: sysret_ss_attrs null_seg spectre_v1 spectre_v2 spec_store_bypass srso\n"
	"bogomips\t: 5192.26\n\n"
	"processor\t: 1\nmodel name\t: another\nflags\t\t: fpu\n\n";
static const char sapphire_rapids[] =
	"processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz\n"
	"flags\t\t: fpu sse sse2 ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c "
	"rdrand bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx smap "
	"avx512ifma clflushopt clwb avx512cd sha_ni avx512bw avx512vl xsaveopt avx_vnni "
	"avx512_bf16 wbnoinvd arat avx512vbmi umip avx512_vbmi2 gfni vaes vpclmulqdq avx512_vnni "
	"avx512_bitalg avx512_vpopcntdq amx_bf16 avx512_fp16 amx_tile amx_int8 flush_l1d\n";
static const char alder_lake[] =
	"processor\t: 0\nmodel name\t: 12th Gen Intel(R) Core(TM) i7-12700\n"
	"flags\t\t: fpu sse sse2 ssse3 sdbg fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx "
	"f16c rdrand fsgsbase bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap clflushopt clwb "
	"sha_ni xsaveopt xsavec avx_vnni dtherm ida arat hwp umip gfni vaes vpclmulqdq\n"
	"vmx flags\t: vnmi preemption_timer avx512f\n";
static const char knights_landing[] =
	"processor\t: 0\nmodel name\t: Intel(R) Xeon Phi(TM) CPU 7210 @ 1.30GHz\n"
	"flags\t\t: fpu sse sse2 ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c "
	"rdrand bmi1 avx2 bmi2 erms avx512f rdseed adx avx512pf avx512er avx512cd xsaveopt\n";
static const char sandy_bridge[] =
	"processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5-2500K CPU @ 3.30GHz\n"
	"flags\t\t: fpu sse sse2 ht pni ssse3 cx16 sse4_1 sse4_2 popcnt aes xsave avx lahf_lm\n";
static const char gemini_lake[] =
	"processor\t: 0\nmodel name\t: Intel(R) Celeron(R) N4000 CPU @ 1.10GHz\n"
	"flags\t\t: fpu sse sse2 ssse3 cx16 sse4_1 sse4_2 movbe popcnt aes xsave rdrand sha_ni\n";
static const char raspberry_pi[] =
	"processor\t: 0\nBogoMIPS\t: 108.00\n"
	"Features\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
	"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\n\n"
	"Revision\t: c03115\nSerial\t\t: 100000000fffffff\n"
	"Model\t\t: Raspberry Pi 4 Model B Rev 1.5\n";

enum feature {
	AVX = 1,
	AVX2 = 2,
	FMA = 4,
	F16C = 8,
	BMI2 = 16,
	AVX512 = 32,
	VBMI = 64,
	VNNI512 = 128,
	BF16 = 256,
	VNNI = 512,
	AMX = 1024,
	V3 = AVX | AVX2 | FMA | F16C | BMI2,
};

static unsigned int features(const struct hardware *hw)
{
	return (hw->avx ? AVX : 0) | (hw->avx2 ? AVX2 : 0) | (hw->fma ? FMA : 0) |
	       (hw->f16c ? F16C : 0) | (hw->bmi2 ? BMI2 : 0) | (hw->avx512 ? AVX512 : 0) |
	       (hw->avx512_vbmi ? VBMI : 0) | (hw->avx512_vnni ? VNNI512 : 0) |
	       (hw->avx512_bf16 ? BF16 : 0) | (hw->avx_vnni ? VNNI : 0) | (hw->amx ? AMX : 0);
}

static void each_cpu_has_its_features(void **state)
{
	static const struct {
		const char *text, *name;
		unsigned int features;
	} cases[] = {
		{zen4, "AMD EPYC", V3 | AVX512 | VBMI | VNNI512 | BF16},
		{sapphire_rapids, "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
		 V3 | AVX512 | VBMI | VNNI512 | BF16 | VNNI | AMX},
		{alder_lake, "12th Gen Intel(R) Core(TM) i7-12700", V3 | VNNI},
		{knights_landing, "Intel(R) Xeon Phi(TM) CPU 7210 @ 1.30GHz", V3},
		{sandy_bridge, "Intel(R) Core(TM) i5-2500K CPU @ 3.30GHz", AVX},
		{gemini_lake, "Intel(R) Celeron(R) N4000 CPU @ 1.10GHz", 0},
		{raspberry_pi, "Raspberry Pi 4 Model B Rev 1.5", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hardware hw = {0};

		cpuinfo_parse(cases[i].text, &hw);
		assert_string_equal(hw.cpu_name, cases[i].name);
		if (features(&hw) != cases[i].features)
			fail_msg("%s has %x", hw.cpu_name, features(&hw));
	}
}

static void odd_texts_have_no_features(void **state)
{
	static const char *const odd[] = {
		"",
		"\n\n",
		"flags",
		"flags\n",
		"flags:",
		"flags\t\t:\n",
		"flags : ",
		"model name",
		"xflags: avx",
		"flagship : avx\n",
		":",
		"flags : avxx xavx avx2x\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct hardware hw = {.avx = true, .amx = true};

		cpuinfo_parse(odd[i], &hw);
		assert_string_equal(hw.cpu_name, "");
		assert_int_equal(features(&hw), 0);
	}
}

static void a_long_name_is_cut(void **state)
{
	CLEANUP(free) char *text = mem_printf("model name : %0500d\nflags : avx", 1);
	struct hardware hw = {0};

	cpuinfo_parse(text, &hw);
	assert_int_equal(strlen(hw.cpu_name), sizeof(hw.cpu_name) - 1);
	assert_true(hw.avx);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void memory_after(const char *max, const char *current, const char *stat, int64_t all,
			 int64_t available)
{
	struct hardware hw = {.memory_bytes = 8000, .memory_free_bytes = 5000};

	limits_memory(max, current, stat, &hw);
	assert_int_equal(hw.memory_bytes, all);
	assert_int_equal(hw.memory_free_bytes, available);
}

static void a_group_limits_memory(void **state)
{
	static const char stat[] = "anon 700\nfile 1500\ninactive_file 900\nactive_file 400\n";

	memory_after(NULL, NULL, NULL, 8000, 5000);
	memory_after("max\n", "3000\n", stat, 8000, 5000);
	memory_after("9000\n", "3000\n", stat, 8000, 5000);
	memory_after("4000\n", "1000\n", NULL, 4000, 3000);
	memory_after("4000\n", "3900\n", NULL, 4000, 100);
	memory_after("4000\n", "4100\n", NULL, 4000, 0);
	memory_after("7000\n", "1000\n", NULL, 7000, 5000); /* the machine itself has less */
}

/* After a build the cache has filled the group: nothing would seem to be free. */
static void the_page_cache_counts_as_free(void **state)
{
	memory_after("4000\n", "4000\n", "anon 700\ninactive_file 900\nactive_file 400\n", 4000,
		     1300);
	memory_after("4000\n", "4000\n", "xinactive_file 900\ninactive_file_x 9\n", 4000, 0);
	memory_after("4000\n", "1000\n", "inactive_file 9000\n", 4000, 4000);
}

static void a_group_limits_cores(void **state)
{
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
		{NULL, 16},
		{"max 100000\n", 16},
		{"200000 100000\n", 2},
		{"250000 100000\n", 3},
		{"5000 100000\n", 1},
		{"9900000 100000\n", 16},
		{"", 16},
		{"100000", 16},
		{"100000 0", 16},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hardware hw = {.cores = 16};

		limits_cores(cases[i].text, &hw);
		assert_int_equal(hw.cores, cases[i].expected);
	}
}

static void this_machine_has_memory_and_cores(void **state)
{
	struct hardware hw = {0};

	hardware_read(&hw);
	assert_in_range(hw.cores, 1, 4096);
	assert_true(hw.memory_bytes > 0);
	assert_in_range(hw.memory_free_bytes, 0, hw.memory_bytes);
}

/* --- flags ------------------------------------------------------------------------------------ */

static bool has(const struct strv *args, const char *arg)
{
	for (size_t i = 0; i < args->count; i++) {
		if (strcmp(args->items[i], arg) == 0)
			return true;
	}
	return false;
}

static void an_unknown_flavour_is_refused(void **state)
{
	static const char *const bad[] = {"", "x86-64", "x86-64-v5", "Native", "native ", "armv8"};
	CLEANUP(strv_done) struct strv args = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(hardware_cpu_flags(bad[i], &args));
	assert_int_equal(args.count, 0);
}

#if defined(__x86_64__)

/* Every switch is named, on or off: llama.cpp's own defaults are on. */
static void flags_are(const char *flavour, unsigned int on)
{
	static const struct {
		const char *name;
		unsigned int feature;
	} flags[] = {
		{"AVX", AVX},          {"AVX2", AVX2},        {"FMA", FMA},
		{"F16C", F16C},        {"BMI2", BMI2},        {"AVX_VNNI", VNNI},
		{"AVX512", AVX512},    {"AVX512_VBMI", VBMI}, {"AVX512_VNNI", VNNI512},
		{"AVX512_BF16", BF16}, {"AMX_TILE", AMX},     {"AMX_INT8", AMX},
	};
	CLEANUP(strv_done) struct strv args = {0};

	assert_true(hardware_cpu_flags(flavour, &args));
	assert_int_equal(args.count, ARRAY_LEN(flags) + 1);
	assert_true(has(&args, "-DGGML_SSE42=ON"));
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		CLEANUP(free)
		char *arg = mem_printf("-DGGML_%s=%s", flags[i].name,
				       on & flags[i].feature ? "ON" : "OFF");

		if (!has(&args, arg))
			fail_msg("%s: no %s", flavour, arg);
	}
}

static void a_flavour_has_its_flags(void **state)
{
	struct hardware hw = {0};

	flags_are("x86-64-v2", 0);
	flags_are("x86-64-v3", V3);
	flags_are("x86-64-v4", V3 | AVX512);
	hardware_read(&hw);
	flags_are("native", features(&hw));
}

#else

static void a_flavour_has_its_flags(void **state)
{
	CLEANUP(strv_done) struct strv args = {0};

	assert_true(hardware_cpu_flags("native", &args));
	assert_int_equal(args.count, 0);
	assert_false(hardware_cpu_flags("x86-64-v3", &args));
	assert_false(has(&args, "-DGGML_AVX=ON"));
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_has_its_features),
		cmocka_unit_test(odd_texts_have_no_features),
		cmocka_unit_test(a_long_name_is_cut),
		cmocka_unit_test(a_group_limits_memory),
		cmocka_unit_test(the_page_cache_counts_as_free),
		cmocka_unit_test(a_group_limits_cores),
		cmocka_unit_test(this_machine_has_memory_and_cores),
		cmocka_unit_test(an_unknown_flavour_is_refused),
		cmocka_unit_test(a_flavour_has_its_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
