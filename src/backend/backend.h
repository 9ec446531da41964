/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What can compute: cpu, cuda, vulkan, rocm. One file and one vtable each, one line in the
 * registry. All functions may be called from any thread; checks run programs and take up to
 * seconds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum distro { DISTRO_DEBIAN, DISTRO_FEDORA, DISTRO_ARCH, DISTRO_SUSE, DISTRO_COUNT };
/* From /etc/os-release (ID, ID_LIKE); Debian when unknown. */
enum distro distro_here(void);
/* "sudo apt install a b", for the distribution. */
void distro_install_command(enum distro d, const char *packages, char *buf, size_t size);

/* One requirement and what was found. */
struct toolkit_item {
	char name[64];      /* "glslc" */
	char found[96];     /* version or path, "" when missing */
	char needed[48];    /* minimum version, "any" */
	char packages[128]; /* on this distribution */
	bool ok;
	bool at_run_time; /* needed to run, not to build */
};

struct toolkit {
	struct toolkit_item items[24];
	int count;
	bool can_build;
	bool can_run;       /* driver or device looks present; the proof is verification */
	char why_not[256];  /* "" when both can */
	char remedy[256];   /* what helps, where packages of the distribution do not; "" */
	char compiler[128]; /* toolkit version that goes into the digest, "" for none */
	char root[256];     /* folder of the system's toolkit, "": none, or not asked for */
	char arch[192];     /* CMake's list of architectures, "": the backend has none */
	bool fetched;       /* not the system's toolkit but the one on offer */
};

struct gpus;
/* What a check is told. Zeroes will do: then less is known. */
struct toolkit_ask {
	const struct gpus *gpus; /* NULL: they are asked for */
	const char *self;        /* our program, which does that in a child */
	const char *arch;     /* architectures to build for, as arch_parse() has them; NULL: those
				 of the GPUs that are here */
	const char *compiler; /* the C++ compiler: "gcc 12.2.0 x86_64-linux-gnu" */
	const char *offer;    /* version of the CUDA toolkit that can be fetched */
	int64_t offer_bytes;  /* to fetch */
};

struct backend {
	const char *name;          /* "vulkan" */
	const char *title;         /* "Vulkan" */
	const char *aliases;       /* "vk" separated by spaces */
	const char *device_prefix; /* "Vulkan", "CUDA", "ROCm"; NULL: no device (cpu) */
	const char *vendor;        /* whose GPUs alone it uses: "nvidia", "amd"; NULL: any */
	const char *module;        /* "libggml-vulkan.so", NULL: base only */
	const char *target;        /* ninja target, "ggml-vulkan"; NULL */
	const char *cmake_flag;    /* "-DGGML_VULKAN=ON"; NULL */
	int64_t build_disk_bytes,
		build_memory_bytes; /* per known build: needed in the stage; for one compiler job */
	/* What a worker takes beside its buffers: the driver's context on the device, and of the
	 * process, with its vocabulary and code. */
	int64_t device_extra_bytes, host_extra_bytes;
	void (*check)(const struct toolkit_ask *ask, struct toolkit *ret);
	/* More cmake arguments from what the check found (architectures, toolkit root). May be
	 * NULL. */
	void (*cmake_args)(const struct toolkit *tk, struct strv *args);
	/* A user's list of architectures ("90, 86") in its one form ("86,90"); ERR_INVALID. NULL:
	 * it is built for none in particular. */
	bool (*arch_parse)(const char *text, char *ret, size_t size, struct err *e);
};

/* By name or alias, any case; NULL: unknown. */
const struct backend *backend_find(const char *name);
/* NULL-ended registry. */
const struct backend *const *backend_all(void);
/* As backend_find; ERR_INVALID that lists the known ones. */
MUST_CHECK bool backend_require(const char *name, const struct backend **ret, struct err *e);
/* Appends the packages of all that is missing to build, or also to run, each once. */
void toolkit_packages(const struct toolkit *tk, bool to_run, struct buf *b);
/* ERR_TOOLKIT naming all missing items and the install command. */
MUST_CHECK bool toolkit_require(const struct backend *b, const struct toolkit *tk, struct err *e);
/* Is this device name one of the backend's ("Vulkan0" of vulkan)? */
bool backend_owns_device(const struct backend *b, const char *device);
