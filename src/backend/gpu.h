/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The GPUs of this machine, before any module was built: those on the PCI bus (sysfs), of NVIDIA's
 * what its driver tells through NVML, and what Vulkan's loader tells. What a backend's module lists
 * is laid on top, so that CUDA0 and Vulkan0 of one card are one GPU. Any thread; reading takes up
 * to 2 s.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/backend.h"
#include "base/err.h"

enum gpu_kind {
	GPU_UNSURE, /* taken for discrete */
	GPU_DISCRETE,
	GPU_INTEGRATED, /* its memory is the machine's */
	GPU_SOFTWARE    /* a CPU that plays one, such as llvmpipe */
};
const char *gpu_kind_name(enum gpu_kind k);

/* As llama.cpp calls it in one backend. */
struct gpu_device {
	const struct backend *backend;
	char name[32];   /* Vulkan0 */
	char driver[96]; /* its version, "": unknown */
};

struct gpu {
	enum gpu_kind kind;
	const char *vendor; /* nvidia, amd, intel; NULL: unknown */
	char name[128];     /* "": nobody said it */
	char id[16];        /* vendor:device as PCI has them, "10de:2335"; "": not on the bus */
	char pci[16];       /* 0000:0f:00.0 */
	char uuid[64];      /* NVIDIA's */
	char driver[64];    /* nvidia, amdgpu, i915; "": none is bound */
	char driver_version[48]; /* "": it has none, as those that are the kernel's */
	char capability[8];      /* NVIDIA's compute capability, 9.0 */
	int64_t memory_bytes, used_bytes, free_bytes; /* −1: unknown */
	struct gpu_device devices[8];
	size_t device_count;
};

/* A physical device of Vulkan. */
struct gpu_vulkan {
	enum gpu_kind kind;
	char name[128];
	char pci[16];     /* "": the driver does not say */
	char uuid[64];    /* of NVIDIA's the same as NVML's */
	char driver[160]; /* "NVIDIA 580.159.04", "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)" */
	char device[32];  /* as llama.cpp calls it, "Vulkan0"; "": it uses another, or none */
	int64_t memory_bytes, free_bytes; /* −1: unknown */
};

struct gpu_process {
	pid_t pid;
	char uuid[64]; /* of the GPU */
	int64_t bytes; /* there */
};

struct gpus {
	struct gpu *list; /* by PCI address */
	size_t count;
	struct gpu_process *processes; /* of NVIDIA's GPUs; one may be there once a GPU */
	size_t process_count;
	char nvidia_driver[32], nvidia_cuda[16]; /* 580.159.04, the newest CUDA it runs: 13.0 */
	bool nvidia_library;                     /* NVML is there, whatever it says */
	struct err nvidia_why_not;               /* why NVML tells nothing; ERR_NONE: it does */
	struct gpu_vulkan *vulkan;               /* in Vulkan's order */
	size_t vulkan_count;
	char vulkan_version[16];   /* of the loader: 1.3.239 */
	struct err vulkan_why_not; /* why it tells nothing; ERR_NONE: it does */
};

/* self: our program, asked for `probe-nvml` and `probe-vulkan`; sys: "/sys", or a tree like it. */
void gpus_read(const char *self, const char *sys, struct gpus *ret);
void gpus_done(struct gpus *g);
static inline void gpus_done_p(struct gpus *g)
{
	gpus_done(g);
}

/* Memory of a process on all GPUs as the driver counts it; −1: it does not list it. */
int64_t gpus_process_bytes(const struct gpus *g, pid_t pid);
/* Of these only what is on the `count` GPUs where it has most: CUDA keeps a context of half a GiB
 * on those that a process does not use, too. */
int64_t gpus_process_most(const struct gpus *g, pid_t pid, size_t count);

/* A device that a backend's module lists. */
struct gpu_sighting {
	const struct backend *backend;
	const char *device; /* Vulkan0 */
	const char *name;
	const char *driver;
	int64_t memory_bytes, free_bytes;
	bool in_ram, software;
};
/* Gives it to the GPU that it is: at the PCI address that Vulkan tells, else of the same name, else
 * of the same maker and size, else the only one of that maker; several of one name in the order of
 * both lists. One that fits none is a GPU of its own. */
void gpus_sight(struct gpus *g, const struct gpu_sighting *s);
/* gpu.c's list; zeroes with unknown memory. Borrowed until the next one is added. */
struct gpu *gpus_add(struct gpus *g);
