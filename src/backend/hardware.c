/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/hardware.h"

#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpuinfo.h"
#include "backend/limits.h"
#include "base/fs.h"
#include "base/mem.h"

/* Value of "Name:   123 kB" in /proc/meminfo, in bytes. */
static int64_t meminfo(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? strtoll(p + strlen(name), NULL, 10) * 1024 : 0;
}

/* Text of a file of this cgroup (v2), NULL when there is none. Caller frees. */
static char *cgroup(const char *file)
{
	CLEANUP(free) char *self = NULL;
	CLEANUP(free) char *path = NULL;
	char *text = NULL;
	struct err e = {0};

	if (!fs_read("/proc/self/cgroup", 1 << 16, &self, NULL, &e) ||
	    strncmp(self, "0::/", 4) != 0)
		return NULL;
	self[strcspn(self, "\n")] = '\0';
	path = mem_printf("/sys/fs/cgroup%s/%s", self + 3, file);
	return fs_read(path, 1 << 16, &text, NULL, &e) ? text : NULL;
}

static void read_memory(struct hardware *hw)
{
	CLEANUP(free) char *text = NULL;
	CLEANUP(free) char *max = cgroup("memory.max");
	CLEANUP(free) char *current = cgroup("memory.current");
	CLEANUP(free) char *stat = cgroup("memory.stat");
	struct err e = {0};

	if (!fs_read("/proc/meminfo", 1 << 16, &text, NULL, &e))
		return;
	hw->memory_bytes = meminfo(text, "MemTotal:");
	hw->memory_free_bytes = meminfo(text, "MemAvailable:");
	limits_memory(max, current, stat, hw);
}

void hardware_read(struct hardware *ret)
{
	CLEANUP(free) char *text = NULL;
	CLEANUP(free) char *cpu_max = cgroup("cpu.max");
	struct err e = {0};
	cpu_set_t set;

	*ret = (struct hardware){.cores = 1};
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		ret->cores = CPU_COUNT(&set);
	limits_cores(cpu_max, ret);
	if (fs_read("/proc/cpuinfo", 16 << 20, &text, NULL, &e))
		cpuinfo_parse(text, ret);
	read_memory(ret);
}

#if defined(__x86_64__)
static const struct {
	const char *flag;
	size_t field; /* bool in struct hardware */
} flags[] = {
	{"GGML_AVX", offsetof(struct hardware, avx)},
	{"GGML_AVX2", offsetof(struct hardware, avx2)},
	{"GGML_FMA", offsetof(struct hardware, fma)},
	{"GGML_F16C", offsetof(struct hardware, f16c)},
	{"GGML_BMI2", offsetof(struct hardware, bmi2)},
	{"GGML_AVX_VNNI", offsetof(struct hardware, avx_vnni)},
	{"GGML_AVX512", offsetof(struct hardware, avx512)},
	{"GGML_AVX512_VBMI", offsetof(struct hardware, avx512_vbmi)},
	{"GGML_AVX512_VNNI", offsetof(struct hardware, avx512_vnni)},
	{"GGML_AVX512_BF16", offsetof(struct hardware, avx512_bf16)},
	{"GGML_AMX_TILE", offsetof(struct hardware, amx)},
	{"GGML_AMX_INT8", offsetof(struct hardware, amx)},
};

static const struct {
	const char *name;
	struct hardware hw;
} flavours[] = {
	{"x86-64-v2", {.cores = 0}},
	{"x86-64-v3", {.avx = true, .avx2 = true, .fma = true, .f16c = true, .bmi2 = true}},
	{"x86-64-v4",
	 {.avx = true, .avx2 = true, .fma = true, .f16c = true, .bmi2 = true, .avx512 = true}},
};

static bool flavour_hardware(const char *flavour, struct hardware *ret)
{
	if (strcmp(flavour, "native") == 0) {
		hardware_read(ret);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(flavours); i++) {
		if (strcmp(flavours[i].name, flavour) == 0) {
			*ret = flavours[i].hw;
			return true;
		}
	}
	return false;
}

bool hardware_cpu_flags(const char *flavour, struct strv *args)
{
	struct hardware hw;

	if (!flavour_hardware(flavour, &hw))
		return false;
	/* All of them, also the ones that are off: llama.cpp's defaults are on. */
	strv_add(args, "-DGGML_SSE42=ON");
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		bool on = *(const bool *)((const char *)&hw + flags[i].field);

		strv_printf(args, "-D%s=%s", flags[i].flag, on ? "ON" : "OFF");
	}
	return true;
}
#else
/* Other architectures: what their baseline has; llama.cpp sets no -march without a flag. */
bool hardware_cpu_flags(const char *flavour, struct strv *args)
{
	return strcmp(flavour, "native") == 0;
}
#endif
