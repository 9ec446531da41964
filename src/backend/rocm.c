/* SPDX-License-Identifier: Apache-2.0 */
/* ROCm: hipcc, hipBLAS and rocBLAS to build; the amdgpu driver's /dev/kfd to run. */

#include "backend/rocm.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/toolkit.h"
#include "base/fs.h"
#include "base/mem.h"

/* 6.1 is what llama.cpp's own CMake files demand. */
static const struct toolkit_need hipcc = {
	"hipcc",
	"6.1",
	false,
	{"hipcc libamdhip64-dev", "hipcc rocm-hip-devel", "rocm-hip-sdk", "hipcc rocm-hip-devel"},
};
static const struct toolkit_need hipblas = {
	"hipBLAS headers",
	"any",
	false,
	{"libhipblas-dev", "hipblas-devel", "hipblas", "hipblas-devel"},
};
static const struct toolkit_need rocblas = {
	"rocBLAS headers",
	"any",
	false,
	{"librocblas-dev", "rocblas-devel", "rocblas", "rocblas-devel"},
};
static const struct toolkit_need device = {
	"/dev/kfd",
	"any",
	true,
	{0},
};

#define ROCM_ROOT "/opt/rocm"

static void check_hipcc(struct toolkit *tk, char *ret_version, size_t size)
{
	CLEANUP(free) char *path = toolkit_program("hipcc", ROCM_ROOT);

	toolkit_add_program(tk, &hipcc, path, "HIP version:", ret_version, size);
}

static void check_header(struct toolkit *tk, const struct toolkit_need *need, const char *name)
{
	CLEANUP(free) char *path = toolkit_header(name, ROCM_ROOT);

	toolkit_add(tk, need, path);
}

static void check_device(struct toolkit *tk)
{
	if (access("/dev/kfd", R_OK | W_OK) == 0)
		toolkit_add(tk, &device, "present");
	else if (fs_exists("/dev/kfd"))
		toolkit_add_unusable(tk, &device,
				     "no permission: add the user to the group render");
	else
		toolkit_add(tk, &device, NULL);
}

static void check(const struct toolkit_ask *ask, struct toolkit *tk)
{
	char version[32];

	*tk = (struct toolkit){0};
	check_hipcc(tk, version, sizeof(version));
	check_header(tk, &hipblas, "hipblas/hipblas.h");
	check_header(tk, &rocblas, "rocblas/rocblas.h");
	check_device(tk);
	if (version[0] != '\0')
		(void)snprintf(tk->compiler, sizeof(tk->compiler), "hip %s", version);
	toolkit_conclude(tk);
}

/* 100306 is gfx1036: major, minor, step; the last two in hex. */
void rocm_target(const char *properties, struct buf *b)
{
	char name[24];
	const char *p = strstr(properties, "gfx_target_version ");
	long v = p ? strtol(p + strlen("gfx_target_version "), NULL, 10) : 0;

	if (v <= 0)
		return; /* a CPU */
	(void)snprintf(name, sizeof(name), "gfx%ld%lx%lx", v / 10000, v / 100 % 100, v % 100);
	if (b->len == 0 || strstr(b->data, name) == NULL)
		buf_printf(b, "%s%s", b->len ? ";" : "", name);
}

static void targets(struct buf *b)
{
	glob_t nodes = {0};

	if (glob("/sys/class/kfd/kfd/topology/nodes/*/properties", 0, NULL, &nodes) == 0) {
		for (size_t i = 0; i < nodes.gl_pathc; i++) {
			CLEANUP(free) char *text = NULL;
			struct err e = {0};

			if (fs_read(nodes.gl_pathv[i], 1 << 16, &text, NULL, &e))
				rocm_target(text, b);
		}
	}
	globfree(&nodes);
}

/* hipcc's own clang: CMake's HIP language needs it by name. */
static void add_compiler(struct strv *args)
{
	CLEANUP(free) char *config = toolkit_program("hipconfig", ROCM_ROOT);
	const char *const argv[] = {config, "-l", NULL};
	CLEANUP(free) char *text = config ? toolkit_output(argv) : NULL;

	if (text == NULL || text[0] != '/')
		return;
	text[strcspn(text, "\n")] = '\0';
	strv_printf(args, "-DCMAKE_HIP_COMPILER=%s/clang++", text);
}

static void cmake_args(const struct toolkit *tk, struct strv *args)
{
	CLEANUP(buf_done) struct buf gpus = {0};

	add_compiler(args);
	targets(&gpus);
	if (gpus.len > 0)
		strv_printf(args, "-DGPU_TARGETS=%s", gpus.data);
}

const struct backend backend_rocm = {
	.name = "rocm",
	.title = "ROCm",
	.aliases = "amd hip",
	.device_prefix = "ROCm",
	.vendor = "amd",
	.module = "libggml-hip.so",
	.target = "ggml-hip",
	.cmake_flag = "-DGGML_HIP=ON",
	.build_disk_bytes = 1500LL << 20,
	.build_memory_bytes = 2560LL << 20,
	.device_extra_bytes = 640LL << 20,
	.host_extra_bytes = 256LL << 20,
	.check = check,
	.cmake_args = cmake_args,
};
