/* SPDX-License-Identifier: Apache-2.0 */
/* ROCm: hipcc, hipBLAS and rocBLAS to build; the amdgpu driver's /dev/kfd to run. */

#include "backend/rocm.h"

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

/* For each GPU the code that rocBLAS has, too. */
static void targets_here(struct buf *list)
{
	CLEANUP(rocm_targets_done) struct rocm_targets t = {0};
	CLEANUP(strv_done) struct strv names = {0};
	char target[16];

	rocm_read("", &t);
	rocm_each(t.gpus.data, &names);
	for (size_t i = 0; i < names.count; i++) {
		const char *gfx = names.items[i];

		rocm_add(list,
			 rocm_relative(gfx, t.kernels.data, target, sizeof(target)) ? target : gfx);
	}
}

static void check_archs(struct toolkit *tk, const char *asked)
{
	static const struct toolkit_need need = {"GPU architecture", "any", false, {0}};
	CLEANUP(buf_done) struct buf list = {0};
	struct err e = {0};

	if (asked == NULL)
		targets_here(&list);
	else
		(void)!rocm_parse_archs(asked, &list, &e); /* was looked at where it came in */
	if (list.len > 0 && list.len < sizeof(tk->arch)) {
		toolkit_add(tk, &need, list.data);
		memcpy(tk->arch, list.data, list.len + 1);
		return;
	}
	toolkit_add_unusable(tk, &need, "no AMD GPU tells its own");
	(void)snprintf(tk->remedy, sizeof(tk->remedy), "%s",
		       "say what to build for: --arch gfx1100 (arch in the API)");
}

static void check(const struct toolkit_ask *ask, struct toolkit *tk)
{
	char version[32];

	*tk = (struct toolkit){0};
	check_hipcc(tk, version, sizeof(version));
	check_header(tk, &hipblas, "hipblas/hipblas.h");
	check_header(tk, &rocblas, "rocblas/rocblas.h");
	check_archs(tk, ask->arch);
	check_device(tk);
	if (version[0] != '\0')
		(void)snprintf(tk->compiler, sizeof(tk->compiler), "hip %s", version);
	toolkit_conclude(tk);
}

/* gfx90a is older than gfx1030. */
static int by_age(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	size_t longer = strlen(*x), than = strlen(*y);

	return longer != than ? (longer > than ? 1 : -1) : strcmp(*x, *y);
}

static bool arch_parse(const char *text, char *ret, size_t size, struct err *e)
{
	CLEANUP(buf_done) struct buf asked = {0}, list = {0};
	CLEANUP(strv_done) struct strv names = {0};

	if (!rocm_parse_archs(text, &asked, e))
		return false;
	rocm_each(asked.data, &names);
	qsort(names.items, names.count, sizeof(*names.items), by_age);
	for (size_t i = 0; i < names.count; i++)
		buf_printf(&list, "%s%s", i ? "," : "", names.items[i]);
	if (!list.data || list.len >= size)
		return err_set(e, ERR_INVALID, "too many architectures");
	memcpy(ret, list.data, list.len + 1);
	return true;
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
	add_compiler(args);
	if (tk->arch[0])
		strv_printf(args, "-DGPU_TARGETS=%s", tk->arch);
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
	.arch_parse = arch_parse,
};
