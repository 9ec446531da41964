/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA: nvcc, runtime and cuBLAS to build; NVIDIA's driver, new enough for the toolkit, to run. */

#include "backend/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/cuda_fit.h"
#include "backend/nvml.h"
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

bool cuda_driver_version(const char *text, char *ret, size_t size)
{
	/* "… Kernel Module for x86_64  580.65.06  Release Build": the first double space */
	const char *module = strstr(text, "Kernel Module");

	return module != NULL && toolkit_version(module, "  ", ret, size);
}

/* What the driver tells; of one whose NVML is missing, what the kernel does. */
static void learn_driver(const struct gpus *g, struct cuda_facts *f)
{
	CLEANUP(free) char *text = NULL;
	struct err e = {0};

	(void)snprintf(f->driver, sizeof(f->driver), "%s", g->nvidia_driver);
	(void)snprintf(f->newest, sizeof(f->newest), "%s", g->nvidia_cuda);
	/* Absent under WSL, where the Windows driver is used: verification will tell. */
	if (!f->driver[0] && fs_read("/proc/driver/nvidia/version", 4096, &text, NULL, &e))
		(void)cuda_driver_version(text, f->driver, sizeof(f->driver));
	if (f->driver[0] && !f->newest[0])
		(void)snprintf(f->newest, sizeof(f->newest), "%s", cuda_of_driver(f->driver));
}

/* Those asked for, else those of the GPUs that are here: "9.0" is 90. */
static void learn_archs(const struct toolkit_ask *ask, const struct gpus *g, struct cuda_facts *f)
{
	struct err e = {0};

	if (ask->arch) {
		(void)!cuda_parse_archs(ask->arch, f, &e); /* was looked at where it came in */
		return;
	}
	for (size_t i = 0; i < g->count; i++) {
		char major[3], minor[3], text[8];

		if (sscanf(g->list[i].capability, "%2[0-9].%2[0-9]", major, minor) != 2)
			continue;
		(void)snprintf(text, sizeof(text), "%s%s", major, minor);
		(void)cuda_add_arch(f, text, g->list[i].name);
	}
}

static void learn(const struct toolkit_ask *ask, struct cuda_facts *ret, struct err *ret_no_gpu)
{
	CLEANUP(gpus_done) struct gpus asked = {0};
	const struct gpus *g = ask->gpus ? ask->gpus : &asked;

	*ret = (struct cuda_facts){0};
	if (ask->gpus)
		*ret_no_gpu = g->nvidia_why_not;
	else if (ask->self)
		(void)!nvml_read(ask->self, &asked, ret_no_gpu);
	(void)snprintf(ret->compiler, sizeof(ret->compiler), "%s",
		       ask->compiler ? ask->compiler : "");
	learn_driver(g, ret);
	learn_archs(ask, g, ret);
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

/* --- which toolkit ---------------------------------------------------------------------------- */

/* The one that is installed. */
struct system {
	char *root, *nvcc, *runtime, *cublas; /* NULL: not found */
	char version[32];
	bool fits; /* as far as its headers are there */
};

static void system_done_p(struct system *s)
{
	free(s->root);
	free(s->nvcc);
	free(s->runtime);
	free(s->cublas);
}

static void find_system(struct system *s)
{
	const char *argv[] = {NULL, "--version", NULL};
	CLEANUP(free) char *text = NULL;

	s->root = find_root();
	s->nvcc = toolkit_program("nvcc", s->root);
	s->runtime = toolkit_header("cuda_runtime.h", s->root);
	s->cublas = toolkit_header("cublas_v2.h", s->root);
	argv[0] = s->nvcc;
	text = s->nvcc ? toolkit_output(argv) : NULL;
	if (!text || !toolkit_version(text, "release ", s->version, sizeof(s->version)))
		s->version[0] = '\0';
}

/* Is it to be used? */
static bool system_fits(struct system *s, const struct cuda_facts *f, struct err *e)
{
	if (!s->nvcc)
		return err_set(e, ERR_TOOLKIT, "no nvcc");
	if (!s->version[0])
		return err_set(e, ERR_TOOLKIT, "%s does not answer --version", s->nvcc);
	if (!cuda_fits(s->version, f, e))
		return false;
	s->fits = true;
	return (s->runtime && s->cublas) ||
	       err_set(e, ERR_TOOLKIT, "the CUDA toolkit %s has no %s", s->version,
		       s->runtime ? "cublas_v2.h" : "cuda_runtime.h");
}

static void use_system(struct toolkit *tk, const struct system *s)
{
	toolkit_add(tk, &nvcc, s->version);
	toolkit_add(tk, &runtime, s->runtime);
	toolkit_add(tk, &cublas, s->cublas);
	(void)snprintf(tk->compiler, sizeof(tk->compiler), "nvcc %s", s->version);
	(void)snprintf(tk->root, sizeof(tk->root), "%s", s->root ? s->root : "");
}

static void use_offer(struct toolkit *tk, const struct toolkit_ask *ask, const struct system *s,
		      const struct err *why_not)
{
	static const struct toolkit_need here = {"installed nvcc", "any", false, {0}};
	char found[96];

	(void)snprintf(found, sizeof(found), "%s from pip, %lld MB", ask->offer,
		       (long long)(ask->offer_bytes / 1000000));
	toolkit_add(tk, &nvcc, found);
	if (s->nvcc)
		toolkit_add(tk, &here, why_not->msg);
	(void)snprintf(tk->compiler, sizeof(tk->compiler), "nvcc %s from pip", ask->offer);
	tk->fetched = true;
}

/* Neither can be used: what is wrong with the one that is here, or what keeps us from fetching the
 * other. */
static void use_none(struct toolkit *tk, const struct system *s, const struct err *no_system,
		     const struct err *no_offer)
{
	const struct err *why = s->nvcc || !no_offer->kind ? no_system : no_offer;

	if (s->fits)
		toolkit_add(tk, &nvcc, s->version);
	else if (s->nvcc || no_offer->kind)
		toolkit_add_unusable(tk, &nvcc, why->msg);
	else
		toolkit_add(tk, &nvcc, NULL);
	toolkit_add(tk, &runtime, s->runtime);
	toolkit_add(tk, &cublas, s->cublas);
	(void)snprintf(tk->remedy, sizeof(tk->remedy), "%s", why->hint);
}

/* The host's code is compiled with the C++ compiler, which nvcc is particular about. */
static void check_compiler(struct toolkit *tk, const struct cuda_facts *f)
{
	static const struct toolkit_need need = {"C++ compiler for nvcc", "any", false, {0}};
	char family[16], found[32], nvcc_version[32];
	CLEANUP(free) char *limits = NULL;
	CLEANUP(free) char *text = NULL;

	if (sscanf(f->compiler, "%15s %31s", family, found) != 2 ||
	    !toolkit_version(tk->compiler, NULL, nvcc_version, sizeof(nvcc_version)))
		return;
	limits = cuda_limits(nvcc_version);
	text = mem_printf("%s %s; nvcc takes %s", family, found, limits);
	toolkit_add(tk, &need, text);
}

static void choose(struct toolkit *tk, const struct toolkit_ask *ask, const struct cuda_facts *f)
{
	CLEANUP(system_done) struct system s = {0};
	struct err no_system = {0}, no_offer = {0};

	find_system(&s);
	if (system_fits(&s, f, &no_system))
		use_system(tk, &s);
	else if (ask->offer && cuda_fits(ask->offer, f, &no_offer))
		use_offer(tk, ask, &s, &no_system);
	else
		use_none(tk, &s, &no_system, &no_offer);
}

/* --- what it is built for --------------------------------------------------------------------- */

/* For all that llama.cpp knows it would take hours to compile, mostly for GPUs that nobody has
 * here: so somebody has to say it. */
static void check_archs(struct toolkit *tk, const struct cuda_facts *f, const struct err *no_gpu)
{
	static const struct toolkit_need need = {"GPU architecture", "any", false, {0}};
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(buf_done) struct buf list = {0};

	for (size_t i = 0; i < f->arch_count; i++) {
		const struct cuda_arch *a = &f->archs[i];

		buf_printf(&text, "%s%s%s%s", i > 0 ? ", " : "", a->text, a->name[0] ? " " : "",
			   a->name);
		buf_printf(&list, "%s%s-real", i > 0 ? ";" : "", a->text);
	}
	if (f->arch_count > 0) {
		_Static_assert(sizeof(tk->arch) >= CUDA_ARCH_MAX * sizeof("120a-real"),
			       "a list that is cut would be another one");
		toolkit_add(tk, &need, text.data);
		(void)snprintf(tk->arch, sizeof(tk->arch), "%s", list.data);
		return;
	}
	toolkit_add_unusable(tk, &need,
			     no_gpu->msg[0] ? no_gpu->msg : "no NVIDIA GPU tells its own");
	(void)snprintf(tk->remedy, sizeof(tk->remedy), "%s",
		       "say what to build for: --arch 90 for compute capability 9.0 (arch in the "
		       "API)");
}

static void check_driver(struct toolkit *tk, const struct cuda_facts *f)
{
	struct toolkit_need need = {"NVIDIA driver", "any", true, {0}};
	char version[32] = "";

	if (!f->driver[0])
		return;
	memcpy(need.packages, device.packages, sizeof(need.packages));
	if (toolkit_version(tk->compiler, NULL, version, sizeof(version)))
		need.needed = cuda_driver_for(version);
	toolkit_add(tk, &need, f->driver);
}

static void check(const struct toolkit_ask *ask, struct toolkit *tk)
{
	CLEANUP(free) char *so = toolkit_library("libcuda.so.1");
	struct err no_gpu = {0};
	struct cuda_facts facts;

	*tk = (struct toolkit){0};
	learn(ask, &facts, &no_gpu);
	choose(tk, ask, &facts);
	check_compiler(tk, &facts);
	check_archs(tk, &facts, &no_gpu);
	toolkit_add(tk, &library, so);
	check_driver(tk, &facts);
	check_device(tk);
	toolkit_conclude(tk);
}

static bool arch_parse(const char *text, char *ret, size_t size, struct err *e)
{
	struct cuda_facts f = {0};
	CLEANUP(buf_done) struct buf list = {0};

	if (!cuda_parse_archs(text, &f, e))
		return false;
	for (size_t i = 0; i < f.arch_count; i++)
		buf_printf(&list, "%s%s", i > 0 ? "," : "", f.archs[i].text);
	(void)snprintf(ret, size, "%s", list.data);
	return true;
}

static void cmake_args(const struct toolkit *tk, struct strv *args)
{
	strv_add(args, "-DGGML_CUDA_NCCL=OFF");
	if (tk->root[0]) {
		strv_printf(args, "-DCUDAToolkit_ROOT=%s", tk->root);
		strv_printf(args, "-DCMAKE_CUDA_COMPILER=%s/bin/nvcc", tk->root);
	}
	if (tk->arch[0])
		strv_printf(args, "-DCMAKE_CUDA_ARCHITECTURES=%s", tk->arch);
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
	.device_extra_bytes = 590LL << 20,
	.host_extra_bytes = 320LL << 20,
	.check = check,
	.cmake_args = cmake_args,
	.arch_parse = arch_parse,
};
