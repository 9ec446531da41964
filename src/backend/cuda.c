/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA: nvcc, runtime and cuBLAS to build; NVIDIA's driver, new enough for the toolkit, to run. */

#include "backend/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/toolkit.h"
#include "base/fs.h"
#include "base/mem.h"

/* Debian, Fedora (NVIDIA's repository), Arch, openSUSE (NVIDIA's repository) */
static const struct toolkit_need nvcc = {
	"nvcc",
	"11.7",
	false,
	{"nvidia-cuda-toolkit", "cuda-toolkit", "cuda", "cuda-toolkit"},
};
static const struct toolkit_need runtime = {
	"CUDA runtime headers",
	"any",
	false,
	{"nvidia-cuda-toolkit", "cuda-toolkit", "cuda", "cuda-toolkit"},
};
static const struct toolkit_need cublas = {
	"cuBLAS headers",
	"any",
	false,
	{"nvidia-cuda-toolkit", "cuda-toolkit", "cuda", "cuda-toolkit"},
};
static const struct toolkit_need library = {
	"NVIDIA driver library",
	"any",
	true,
	{"nvidia-driver", "xorg-x11-drv-nvidia-cuda", "nvidia-utils", "nvidia-compute-utils-G06"},
};
static const struct toolkit_need device = {
	"NVIDIA device",
	"any",
	true,
	{"nvidia-driver", "akmod-nvidia", "nvidia-open", "nvidia-open-driver-G06-signed-kmp"},
};

/* The oldest driver that runs what a toolkit compiles (with minor version compatibility). */
static const struct {
	int toolkit;
	const char *driver;
} drivers[] = {{13, "580"}, {12, "525"}, {11, "450"}};

const char *cuda_driver_for(const char *nvcc_version)
{
	int major = (int)strtol(nvcc_version, NULL, 10);

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (major >= drivers[i].toolkit)
			return drivers[i].driver;
	}
	return "any";
}

static bool has_nvcc(const char *root)
{
	CLEANUP(free) char *path = mem_printf("%s/bin/nvcc", root);

	return access(path, X_OK) == 0;
}

/* The folder with bin/nvcc, or NULL. Caller frees. The nvcc in PATH may be a link into it, or one
 * to ccache, which leads nowhere. */
static char *find_root(void)
{
	static const char *const usual[] = {"/usr/local/cuda", "/opt/cuda", "/usr", NULL};
	CLEANUP(free) char *found = fs_which("nvcc");
	CLEANUP(free) char *real = found ? fs_real(found) : NULL;
	CLEANUP(free) char *bin = real ? fs_dirname(real) : NULL;
	CLEANUP(free) char *root = bin ? fs_dirname(bin) : NULL;

	if (root != NULL && has_nvcc(root))
		return STEAL(root);
	for (const char *const *p = usual; *p != NULL; p++) {
		if (has_nvcc(*p))
			return mem_dup(*p);
	}
	return NULL;
}

static void check_nvcc(struct toolkit *tk, const char *root, char *ret_version, size_t size)
{
	CLEANUP(free) char *path = toolkit_program("nvcc", root);

	toolkit_add_program(tk, &nvcc, path, "release ", ret_version, size);
}

static void check_header(struct toolkit *tk, const struct toolkit_need *need, const char *name,
			 const char *root)
{
	CLEANUP(free) char *path = toolkit_header(name, root);

	toolkit_add(tk, need, path);
}

bool cuda_driver_version(const char *text, char *ret, size_t size)
{
	/* "… Kernel Module for x86_64  580.65.06  Release Build": the first double space */
	const char *module = strstr(text, "Kernel Module");

	return module != NULL && toolkit_version(module, "  ", ret, size);
}

static void check_driver(struct toolkit *tk, const char *nvcc_version)
{
	struct toolkit_need need = {"NVIDIA driver", cuda_driver_for(nvcc_version), true, {0}};
	CLEANUP(free) char *text = NULL;
	struct err e = {0};
	char version[32];

	memcpy(need.packages, device.packages, sizeof(need.packages));
	/* Absent under WSL, where the Windows driver is used: verification will tell. */
	if (!fs_read("/proc/driver/nvidia/version", 4096, &text, NULL, &e))
		return;
	if (cuda_driver_version(text, version, sizeof(version)))
		toolkit_add(tk, &need, version);
}

static void check_device(struct toolkit *tk)
{
	static const char *const nodes[] = {"/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl", NULL};

	for (const char *const *n = nodes; *n != NULL; n++) {
		if (access(*n, R_OK | W_OK) == 0) {
			toolkit_add(tk, &device, *n);
			return;
		}
		if (fs_exists(*n)) {
			toolkit_add_unusable(tk, &device, "no permission to open it");
			return;
		}
	}
	toolkit_add(tk, &device, NULL);
}

static void check(struct toolkit *tk)
{
	CLEANUP(free) char *root = find_root();
	CLEANUP(free) char *so = toolkit_library("libcuda.so.1");
	char version[32];

	*tk = (struct toolkit){0};
	check_nvcc(tk, root, version, sizeof(version));
	check_header(tk, &runtime, "cuda_runtime.h", root);
	check_header(tk, &cublas, "cublas_v2.h", root);
	toolkit_add(tk, &library, so);
	check_driver(tk, version);
	check_device(tk);
	if (version[0] != '\0')
		(void)snprintf(tk->compiler, sizeof(tk->compiler), "nvcc %s", version);
	toolkit_conclude(tk);
}

void cuda_architectures(const char *text, struct buf *b)
{
	for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
		char major[3];
		char minor[3];
		char arch[24];
		size_t len = 0;

		if (sscanf(text, "%2[0-9].%2[0-9]", major, minor) != 2)
			continue;
		len = (size_t)snprintf(arch, sizeof(arch), ";%s%s-real", major, minor);
		/* with the ';' before it, lest 20 be found in 120 */
		if (b->len > 0 &&
		    (strncmp(b->data, arch + 1, len - 1) == 0 || strstr(b->data, arch) != NULL))
			continue;
		buf_str(b, b->len > 0 ? arch : arch + 1);
	}
}

static void cmake_args(const struct toolkit *tk, struct strv *args)
{
	const char *const smi[] = {"nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader",
				   NULL};
	CLEANUP(free) char *root = find_root();
	CLEANUP(free) char *text = toolkit_output(smi);
	CLEANUP(buf_done) struct buf archs = {0};

	strv_add(args, "-DGGML_CUDA_NCCL=OFF");
	if (root != NULL) {
		strv_printf(args, "-DCUDAToolkit_ROOT=%s", root);
		strv_printf(args, "-DCMAKE_CUDA_COMPILER=%s/bin/nvcc", root);
	}
	if (text != NULL)
		cuda_architectures(text, &archs);
	if (archs.len > 0) /* else llama.cpp's own list, which takes long to compile */
		strv_printf(args, "-DCMAKE_CUDA_ARCHITECTURES=%s", archs.data);
}

const struct backend backend_cuda = {
	.name = "cuda",
	.title = "CUDA",
	.aliases = "nvidia cublas",
	.device_prefix = "CUDA",
	.vendor = "nvidia",
	.module = "libggml-cuda.so",
	.target = "ggml-cuda",
	.cmake_flag = "-DGGML_CUDA=ON",
	.build_disk_bytes = 1500LL << 20,
	.build_memory_bytes = 2560LL << 20,
	.device_extra_bytes = 640LL << 20,
	.host_extra_bytes = 256LL << 20,
	.check = check,
	.cmake_args = cmake_args,
};
