/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/drm_clients.h"
#include "backend/gpu_vulkan.h"
#include "backend/nvml.h"
#include "base/clock.h"
#include "base/fs.h"
#include "env/env_devices.h"

/* --- this machine: a folder for sysfs, one for the library -------------- */

static void write_in(const char *dir, const char *file, const char *text)
{
	CLEANUP(free) char *path = fs_join(dir, file);

	test_write(path, text, strlen(text));
}

static void make_folder(const char *path)
{
	struct err e = {0};

	assert_true(fs_mkdirs(path, 0700, &e));
}

/* Returns its folder in sysfs, caller frees. */
static char *pci_card(void **state, const char *address, const char *class, const char *vendor,
		      const char *device, const char *driver)
{
	char *dir = mem_printf("%s/sys/bus/pci/devices/%s", (char *)*state, address);
	CLEANUP(free) char *link = fs_join(dir, "driver");
	CLEANUP(free) char *target = mem_printf("../../../bus/pci/drivers/%s", driver);

	make_folder(dir);
	write_in(dir, "class", class);
	write_in(dir, "vendor", vendor);
	write_in(dir, "device", device);
	if (driver[0])
		assert_int_equal(symlink(target, link), 0);
	return dir;
}

static void put_library(void **state, const char *name, const char *fake, const char *file,
			const char *behaviour)
{
	CLEANUP(free) char *dir = fs_join(*state, "lib");
	CLEANUP(free) char *library = fs_join(dir, name);

	make_folder(dir);
	(void)unlink(library);
	assert_int_equal(symlink(fake, library), 0);
	write_in(dir, file, behaviour);
}

static void library_says(void **state, const char *behaviour)
{
	put_library(state, "libnvidia-ml.so.1", FAKE_NVML, "nvml.fake", behaviour);
}

static void vulkan_says(void **state, const char *behaviour)
{
	put_library(state, "libvulkan.so.1", FAKE_VULKAN, "vulkan.fake", behaviour);
}

static void look(void **state, struct gpus *ret)
{
	CLEANUP(free) char *sys = fs_join(*state, "sys");
	CLEANUP(free) char *lib = fs_join(*state, "lib");
	CLEANUP(free) char *self = fs_real("/proc/self/exe");

	assert_int_equal(setenv("LD_LIBRARY_PATH", lib, 1), 0);
	gpus_read(self, sys, ret);
	assert_int_equal(unsetenv("LD_LIBRARY_PATH"), 0);
}

static int start(void **state)
{
	*state = test_dir_new();
	vulkan_says(state, "create -9\n"); /* not this machine's */
	return 0;
}

static int stop(void **state)
{
	test_dir_free(*state);
	return 0;
}

/* --- NVIDIA ------------------------------------------------------------- */

static void nvml_tells_of_each_gpu(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	const struct gpu *first;

	library_says(state, "gpus 2\n");
	look(state, &g);
	assert_int_equal(g.nvidia_why_not.kind, ERR_NONE);
	assert_string_equal(g.nvidia_driver, "580.159.04");
	assert_string_equal(g.nvidia_cuda, "13.0");
	assert_int_equal(g.count, 2);
	first = &g.list[0];
	assert_string_equal(first->vendor, "nvidia");
	assert_string_equal(first->name, "NVIDIA H200");
	assert_string_equal(first->uuid, "GPU-00000000-0000-0000-0000-000000000000");
	assert_string_equal(first->pci, "0000:0f:00.0");
	assert_string_equal(g.list[1].pci, "0000:1f:00.0");
	assert_string_equal(first->capability, "9.0");
	assert_int_equal(first->kind, GPU_DISCRETE);
	assert_true(first->memory_bytes == 143771LL << 20);
	assert_true(first->used_bytes == 771LL << 20);
	assert_true(first->free_bytes == 143000LL << 20);
}

static void a_process_is_counted_once_a_gpu(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	library_says(state, "process 0 4711 1000\nprocess 1 4711 500\nprocess 1 4712 7\n"
			    "process 0 4713 18446744073709551615\n"); /* not known */
	look(state, &g);
	assert_int_equal(gpus_process_bytes(&g, 4711), 1500);
	assert_int_equal(gpus_process_bytes(&g, 4712), 7);
	assert_int_equal(gpus_process_bytes(&g, 4713), -1);
	assert_int_equal(gpus_process_bytes(&g, 1), -1);
}

/* The context that CUDA keeps on a card beside is not the device's. */
static void a_process_is_counted_where_it_has_most(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	library_says(state, "process 0 4711 554\nprocess 1 4711 3000\nprocess 0 4712 554\n"
			    "process 1 4712 554\n");
	look(state, &g);
	assert_int_equal(gpus_process_most(&g, 4711, 1), 3000);
	assert_int_equal(gpus_process_most(&g, 4711, 2), 3554);
	assert_int_equal(gpus_process_most(&g, 4711, 3), 3554);
	assert_int_equal(gpus_process_most(&g, 4712, 1), 554);
	assert_int_equal(gpus_process_most(&g, 4712, 2), 1108);
	assert_int_equal(gpus_process_most(&g, 1, 1), -1);
}

static void the_bus_and_nvml_see_one_card(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	CLEANUP(free)
	char *a = pci_card(state, "0000:1f:00.0", "0x030200\n", "0x10de\n", "0x2335\n", "nvidia");

	library_says(state, "");
	look(state, &g);
	assert_int_equal(g.count, 2);
	assert_string_equal(g.list[0].id, "");
	assert_string_equal(g.list[1].id, "10de:2335");
	assert_string_equal(g.list[1].uuid, "GPU-00000000-0000-0000-0000-000000000001");
}

static void one_without_memory_of_its_own_has_none(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	const struct gpu_sighting in_ram = {.backend = backend_find("cuda"),
					    .device = "CUDA0",
					    .name = "NVIDIA H200",
					    .driver = "",
					    .memory_bytes = 100,
					    .free_bytes = 50,
					    .in_ram = true};

	library_says(state, "gpus 1\nown-memory no\n");
	look(state, &g);
	assert_int_equal(g.list[0].memory_bytes, -1);
	gpus_sight(&g, &in_ram);
	assert_int_equal(g.count, 1);
	assert_int_equal(g.list[0].kind, GPU_INTEGRATED);
	assert_int_equal(g.list[0].memory_bytes, 100);
}

static void why_nvml_tells_nothing(void **state)
{
	static const struct {
		const char *behaviour; /* NULL: no library */
		const char *card;      /* the kernel's driver of one; NULL: there is none */
		enum err_kind kind;
		const char *why, *remedy;
	} cases[] = {
		{NULL, NULL, ERR_NOT_FOUND, "no NVIDIA driver", "install the NVIDIA driver"},
		{NULL, "", ERR_UNAVAILABLE,
		 "the NVIDIA GPU at 0000:01:00.0 has no driver that computes",
		 "install the NVIDIA driver"},
		{NULL, "nouveau", ERR_UNAVAILABLE, "no driver that computes, only nouveau",
		 "install the NVIDIA driver"},
		{NULL, "nvidia", ERR_UNAVAILABLE,
		 "has its kernel driver, but there is no libnvidia-ml.so.1", "--gpus all"},
		{"gpus 0\n", NULL, ERR_NOT_FOUND, "works, but it finds no GPU", "lspci"},
		{"init 9\n", "nvidia", ERR_UNAVAILABLE, "kernel module is not loaded",
		 "modprobe nvidia"},
		{"init 18\n", "nvidia", ERR_UNAVAILABLE, "of two versions", "restart the machine"},
		{"init 4\n", "nvidia", ERR_UNAVAILABLE, "may not use", "/dev/nvidia*"},
		{"init 999\n", "nvidia", ERR_UNAVAILABLE, "(NVML error 999)", "dmesg"},
		{"crash\n", "nvidia", ERR_UNAVAILABLE, "SIGABRT",
		 "install the NVIDIA driver again"},
		{"hang\n", "nvidia", ERR_UNAVAILABLE, "did not answer within 2 s", "restart"},
	};
	CLEANUP(free)
	char *lib = fs_join(*state, "lib/libnvidia-ml.so.1");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(gpus_done) struct gpus g = {0};
		CLEANUP(free) char *sys = fs_join(*state, "sys");
		struct err e = {0};
		int64_t began;

		assert_true(fs_remove_tree(sys, &e));
		if (cases[i].card)
			free(pci_card(state, "0000:01:00.0", "0x030000\n", "0x10de\n", "0x2684\n",
				      cases[i].card));
		if (cases[i].behaviour)
			library_says(state, cases[i].behaviour);
		else
			(void)unlink(lib);
		began = clock_ms();
		look(state, &g);
		assert_in_range(clock_ms() - began, 0, 20000);
		assert_int_equal(g.nvidia_why_not.kind, cases[i].kind);
		if (!strstr(g.nvidia_why_not.msg, cases[i].why) ||
		    !strstr(g.nvidia_why_not.hint, cases[i].remedy))
			fail_msg("%s / %s", g.nvidia_why_not.msg, g.nvidia_why_not.hint);
		assert_int_equal(g.count, cases[i].card != NULL);
	}
}

static void a_library_that_is_broken_is_named(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	CLEANUP(free) char *lib = fs_join(*state, "lib");

	make_folder(lib);
	write_in(lib, "libnvidia-ml.so.1", "no library");
	look(state, &g);
	assert_non_null(strstr(g.nvidia_why_not.msg, "cannot be loaded: "));
	assert_non_null(strstr(g.nvidia_why_not.msg, "libnvidia-ml.so.1"));
}

/* --- AMD, Intel --------------------------------------------------------- */

static void amd_card(void **state, const char *address, const char *total, const char *used,
		     const char *shared, const char *maker)
{
	CLEANUP(free)
	char *dir = pci_card(state, address, "0x030000\n", "0x1002\n", "0x744c\n", "amdgpu");

	write_in(dir, "mem_info_vram_total", total);
	write_in(dir, "mem_info_vram_used", used);
	write_in(dir, "mem_info_gtt_total", shared);
	write_in(dir, "mem_info_gtt_used", "100000000\n");
	write_in(dir, "mem_info_vram_vendor", maker);
}

static void the_bus_tells_of_amd_and_intel(void **state)
{
	static const struct {
		const char *pci, *vendor, *id, *driver;
		enum gpu_kind kind;
		int64_t total, used, free;
	} expected[] = {
		{"0000:00:02.0", "intel", "8086:9a49", "i915", GPU_INTEGRATED, -1, -1, -1},
		{"0000:03:00.0", "amd", "1002:744c", "amdgpu", GPU_DISCRETE, 25753026560, 753026560,
		 25000000000},
		{"0000:04:00.0", "amd", "1002:744c", "amdgpu", GPU_INTEGRATED, 8536870912,
		 136870912, 8400000000},
		{"0000:05:00.0", "intel", "8086:56a0", "xe", GPU_DISCRETE, -1, -1, -1},
		{"0000:06:00.0", "nvidia", "10de:2684", "", GPU_UNSURE, -1, -1, -1},
	};
	CLEANUP(gpus_done) struct gpus g = {0};

	free(pci_card(state, "0000:00:01.0", "0x060000\n", "0x8086\n", "0x1237\n", ""));
	free(pci_card(state, "0000:00:02.0", "0x030000\n", "0x8086\n", "0x9a49\n", "i915"));
	free(pci_card(state, "0000:00:03.0", "0x030000\n", "0x1af4\n", "0x1050\n", "virtio-pci"));
	amd_card(state, "0000:03:00.0", "25753026560\n", "753026560\n", "33000000000\n",
		 "samsung\n");
	amd_card(state, "0000:04:00.0", "536870912\n", "36870912\n", "8000000000\n", "unknown\n");
	free(pci_card(state, "0000:05:00.0", "0x030000\n", "0x8086\n", "0x56a0\n", "xe"));
	free(pci_card(state, "0000:06:00.0", "0x030000\n", "0x10de\n", "0x2684\n", ""));
	free(pci_card(state, "0000:07:00.0", "nonsense\n", "\n", "", ""));
	look(state, &g);
	assert_int_equal(g.count, ARRAY_LEN(expected));
	for (size_t i = 0; i < g.count; i++) {
		assert_string_equal(g.list[i].pci, expected[i].pci);
		assert_string_equal(g.list[i].vendor, expected[i].vendor);
		assert_string_equal(g.list[i].id, expected[i].id);
		assert_string_equal(g.list[i].driver, expected[i].driver);
		assert_int_equal(g.list[i].kind, expected[i].kind);
		assert_true(g.list[i].memory_bytes == expected[i].total);
		assert_true(g.list[i].used_bytes == expected[i].used);
		assert_true(g.list[i].free_bytes == expected[i].free);
	}
}

static void intel_s_own_memory_is_told_by_some_drivers(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	CLEANUP(free)
	char *xe = pci_card(state, "0000:03:00.0", "0x030000\n", "0x8086\n", "0xe20b\n", "xe");
	CLEANUP(free)
	char *i915 = pci_card(state, "0000:04:00.0", "0x030000\n", "0x8086\n", "0x56a0\n", "i915");
	CLEANUP(free)
	char *own = pci_card(state, "0000:00:02.0", "0x030000\n", "0x8086\n", "0x9a49\n", "xe");
	CLEANUP(free) char *sys = fs_join(*state, "sys/module/i915");

	make_folder(test_path(xe, "tile0"));
	make_folder(test_path(xe, "tile1"));
	write_in(xe, "tile0/physical_vram_size_bytes", "8000000000\n");
	write_in(xe, "tile1/physical_vram_size_bytes", "4000000000\n");
	make_folder(test_path(i915, "drm/card1"));
	make_folder(test_path(i915, "drm/card1-HDMI-A-1"));
	make_folder(test_path(i915, "drm/renderD129"));
	write_in(i915, "drm/card1/lmem_total_bytes", "16000000000\n");
	write_in(i915, "drm/card1/lmem_avail_bytes", "15000000000\n");
	make_folder(test_path(own, "tile0"));
	write_in(own, "tile0/physical_vram_size_bytes", "0\n");
	make_folder(sys);
	write_in(sys, "version", "1.24\n");
	look(state, &g);
	assert_int_equal(g.count, 3);
	assert_true(g.list[0].memory_bytes == -1);
	assert_true(g.list[1].memory_bytes == 12000000000 && g.list[1].free_bytes == -1);
	assert_string_equal(g.list[1].driver_version, "");
	assert_true(g.list[2].memory_bytes == 16000000000);
	assert_true(g.list[2].used_bytes == 1000000000 && g.list[2].free_bytes == 15000000000);
	assert_string_equal(g.list[2].driver_version, "1.24");
}

/* --- what a process has there ------------------------------------------- */

static void open_device(void **state, int fd, const char *text)
{
	CLEANUP(free) char *dir = fs_join(*state, "proc/4711/fdinfo");
	CLEANUP(free) char *name = mem_printf("%d", fd);

	make_folder(dir);
	write_in(dir, name, text);
}

static void a_process_s_memory_is_in_its_descriptors(void **state)
{
	static const char head[] = "pos:\t0\nflags:\t02100002\n";
	CLEANUP(gpus_done) struct gpus g = {0};
	CLEANUP(free) char *proc = fs_join(*state, "proc");

	gpus_add(&g)->kind = GPU_DISCRETE;
	(void)snprintf(g.list[0].pci, sizeof(g.list[0].pci), "0000:03:00.0");
	gpus_add(&g)->kind = GPU_INTEGRATED;
	(void)snprintf(g.list[1].pci, sizeof(g.list[1].pci), "0000:00:02.0");
	assert_int_equal(drm_process_bytes(proc, 4711, &g), -1);
	open_device(state, 0, head);
	open_device(state, 1, "drm-driver:\tnouveau\n");
	assert_int_equal(drm_process_bytes(proc, 4711, &g), -1);
	/* xe, twice the same client */
	open_device(state, 5,
		    "drm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\n"
		    "drm-total-vram0:\t99 MiB\ndrm-resident-vram0:\t23992 KiB\n"
		    "drm-resident-gtt:\t192 KiB\ndrm-resident-stolen:\t0\n");
	open_device(state, 6,
		    "drm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\n"
		    "drm-resident-vram0:\t23992 KiB\n");
	assert_int_equal(drm_process_bytes(proc, 4711, &g), 23992 << 10);
	/* amdgpu of today says it twice, of old once */
	open_device(
		state, 7,
		"drm-driver:\tamdgpu\ndrm-client-id:\t9\ndrm-pdev:\t0000:03:00.0\n"
		"drm-memory-vram:\t8 KiB\ndrm-resident-vram:\t8 KiB\ndrm-memory-cpu: \t1 KiB\n");
	open_device(state, 8,
		    "drm-driver:\tamdgpu\ndrm-client-id:\t10\ndrm-pdev:\t0000:03:00.0\n"
		    "drm-memory-vram:\t100\ndrm-memory-gtt: \t7 MiB\n");
	assert_int_equal(drm_process_bytes(proc, 4711, &g), (24000 << 10) + 100);
	/* integrated: all of it */
	open_device(state, 9,
		    "drm-driver:\ti915\ndrm-client-id:\t3\ndrm-pdev:\t0000:00:02.0\n"
		    "drm-resident-system0:\t5 MiB\ndrm-resident-stolen-system0:\t3 MiB\n");
	assert_int_equal(drm_process_bytes(proc, 4711, &g), (24000 << 10) + 100 + (5 << 20));
	/* nonsense */
	open_device(
		state, 10,
		"drm-pdev:\t0000:03:00.0\ndrm-client-id:\t77\ndrm-resident-vram:\t-5 KiB\n"
		"drm-resident-vram0:\t9223372036854775807 MiB\ndrm-resident-local0:\tmuch\nx\n:\n");
	assert_int_equal(drm_process_bytes(proc, 4711, &g), (24000 << 10) + 100 + (5 << 20));
}

static void numbers_that_cannot_be_are_unknown(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	amd_card(state, "0000:03:00.0", "1000\n", "2000\n", "-5\n", "samsung\n");
	amd_card(state, "0000:04:00.0", "12 apples\n", "\n", "99999999999999999999999\n", "");
	look(state, &g);
	assert_int_equal(g.count, 2);
	assert_int_equal(g.list[0].free_bytes, -1);
	assert_int_equal(g.list[1].memory_bytes, -1);
	assert_int_equal(g.list[1].used_bytes, -1);
}

/* --- one card, two names ------------------------------------------------ */

#define GIB(n) ((int64_t)(n) << 30)

static struct gpu *card(struct gpus *g, const char *vendor, const char *name, const char *pci,
			int64_t bytes)
{
	struct gpu *new = gpus_add(g);

	new->vendor = vendor;
	(void)snprintf(new->name, sizeof(new->name), "%s", name);
	(void)snprintf(new->pci, sizeof(new->pci), "%s", pci);
	new->memory_bytes = bytes;
	return new;
}

static void see(struct gpus *g, const char *backend, const char *device, const char *name,
		int64_t bytes)
{
	const struct gpu_sighting s = {.backend = backend_find(backend),
				       .device = device,
				       .name = name,
				       .driver = "1",
				       .memory_bytes = bytes,
				       .free_bytes = bytes / 2,
				       .software = strstr(name, "llvmpipe") != NULL,
				       .in_ram = strstr(name, "llvmpipe") != NULL};

	gpus_sight(g, &s);
}

/* "CUDA0 Vulkan0" */
static void has_devices(const struct gpu *gpu, const char *expected)
{
	CLEANUP(buf_done) struct buf text = {0};

	for (size_t i = 0; i < gpu->device_count; i++)
		buf_printf(&text, "%s%s", i > 0 ? " " : "", gpu->devices[i].name);
	assert_string_equal(text.data, expected);
}

static void a_card_has_a_name_in_each_backend(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	(void)card(&g, "nvidia", "NVIDIA H200", "0000:0f:00.0", GIB(140));
	(void)card(&g, "nvidia", "NVIDIA H200", "0000:1f:00.0", GIB(140));
	(void)card(&g, "amd", "", "0000:2f:00.0", GIB(24));
	(void)card(&g, "amd", "", "0000:3f:00.0", GIB(8));
	see(&g, "vulkan", "Vulkan0", "AMD Radeon RX 7600 (RADV NAVI33)", GIB(8));
	see(&g, "vulkan", "Vulkan1", "NVIDIA H200", GIB(141));
	see(&g, "vulkan", "Vulkan2", "NVIDIA H200", GIB(141));
	see(&g, "vulkan", "Vulkan3", "llvmpipe (LLVM 15.0.6, 256 bits)", GIB(16));
	see(&g, "cuda", "CUDA0", "NVIDIA H200", GIB(139));
	see(&g, "cuda", "CUDA1", "NVIDIA H200", GIB(139));
	see(&g, "rocm", "ROCm0", "Radeon RX 7900 XTX", GIB(24));
	assert_int_equal(g.count, 5);
	has_devices(&g.list[0], "Vulkan1 CUDA0");
	has_devices(&g.list[1], "Vulkan2 CUDA1");
	has_devices(&g.list[2], "ROCm0");
	has_devices(&g.list[3], "Vulkan0");
	has_devices(&g.list[4], "Vulkan3");
	assert_int_equal(g.list[4].kind, GPU_SOFTWARE);
	assert_null(g.list[4].vendor);
	assert_string_equal(g.list[2].name, "Radeon RX 7900 XTX");
	assert_string_equal(gpu_kind_name(g.list[0].kind), "discrete");
}

static void two_that_could_be_it_are_not_guessed(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	(void)card(&g, "intel", "", "0000:00:02.0", -1);
	(void)card(&g, "intel", "", "0000:05:00.0", -1);
	see(&g, "vulkan", "Vulkan0", "Intel(R) Arc(tm) A770 Graphics (DG2)", GIB(16));
	assert_int_equal(g.count, 3);
	has_devices(&g.list[2], "Vulkan0");
	/* another backend knows it by that name */
	see(&g, "cuda", "CUDA0", "NVIDIA X", GIB(16));
	assert_int_equal(g.count, 4);
}

static void the_only_one_of_its_maker_is_it(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	card(&g, "intel", "", "0000:00:02.0", -1)->kind = GPU_INTEGRATED;
	see(&g, "vulkan", "Vulkan0", "Intel(R) UHD Graphics 620 (KBL GT2)", GIB(12));
	assert_int_equal(g.count, 1);
	assert_true(g.list[0].memory_bytes == GIB(12));
	assert_string_equal(g.list[0].name, "Intel(R) UHD Graphics 620 (KBL GT2)");
	assert_string_equal(gpu_kind_name(g.list[0].kind), "integrated");
}

/* --- Vulkan ------------------------------------------------------------- */

/* What llama-server lists of a backend. */
static void see_all(struct gpus *g, const char *backend, const char *text)
{
	CLEANUP(free) struct env_device *list = NULL;
	size_t count = env_devices_parse(text, backend_find(backend), 0, &list);

	assert_int_not_equal(count, 0);
	for (size_t i = 0; i < count; i++)
		see(g, backend, list[i].name, list[i].title, list[i].total_bytes);
}

static void see_vulkan(struct gpus *g, const char *device, const char *name, int64_t mib)
{
	see(g, "vulkan", device, name, mib << 20);
}

static void the_address_tells_which_card_it_is(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	library_says(state, "gpus 2\n");
	vulkan_says(state, "device 2 0000:1f:00.0 1 4 143771 143000 NVIDIA H200\n"
			   "device 2 0000:0f:00.0 0 4 143771 - NVIDIA H200\n");
	look(state, &g);
	assert_int_equal(g.vulkan_why_not.kind, ERR_NONE);
	assert_string_equal(g.vulkan_version, "1.3.239");
	assert_int_equal(g.vulkan_count, 2);
	assert_string_equal(g.vulkan[0].device, "Vulkan0");
	assert_string_equal(g.vulkan[0].driver, "NVIDIA 1.2.3");
	assert_int_equal(g.vulkan[0].kind, GPU_DISCRETE);
	assert_true(g.vulkan[0].memory_bytes == 143771LL << 20);
	assert_true(g.vulkan[0].free_bytes == 143000LL << 20);
	assert_int_equal(g.vulkan[1].free_bytes, -1);
	see_vulkan(&g, "Vulkan0", "NVIDIA H200", 143771);
	see_vulkan(&g, "Vulkan1", "NVIDIA H200", 143771);
	see(&g, "cuda", "CUDA0", "NVIDIA H200", 143771LL << 20);
	assert_int_equal(g.count, 2);
	has_devices(&g.list[0], "Vulkan1 CUDA0");
	has_devices(&g.list[1], "Vulkan0");
	assert_string_equal(g.list[1].devices[0].driver, "NVIDIA 1.2.3");
}

static void without_an_address_the_uuid_does(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	library_says(state, "gpus 2\n");
	vulkan_says(state, "device 2 - 1 4 143771 143000 NVIDIA H200\n");
	look(state, &g);
	see_vulkan(&g, "Vulkan0", "NVIDIA H200", 143771);
	assert_int_equal(g.count, 2);
	has_devices(&g.list[1], "Vulkan0");
}

/* Variables of its environment may have changed them. */
static void numbers_that_do_not_agree_are_not_believed(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	library_says(state, "gpus 2\n");
	vulkan_says(state, "device 2 0000:1f:00.0 1 4 143771 143000 NVIDIA H200\n"
			   "device 2 0000:0f:00.0 0 4 143771 143000 NVIDIA H200\n"
			   "device 2 0000:03:00.0 3 3 24576 20000 AMD X\n");
	free(pci_card(state, "0000:03:00.0", "0x030000\n", "0x1002\n", "0x744c\n", "amdgpu"));
	free(pci_card(state, "0000:04:00.0", "0x030000\n", "0x1002\n", "0x744c\n", "amdgpu"));
	look(state, &g);
	see_vulkan(&g, "Vulkan0", "AMD X", 24576);
	see_vulkan(&g, "Vulkan7", "NVIDIA H200", 143771);
	assert_int_equal(g.count, 4);
	has_devices(&g.list[0], "Vulkan0");
	assert_int_equal(g.list[1].device_count, 0);
	has_devices(&g.list[2], "Vulkan7"); /* by name, the first */
}

/* A machine with two NVIDIA H200, word for word (tests/fixtures/two-h200). */
static void two_h200_are_two_gpus_with_two_devices_each(void **state)
{
	static const char program[] =
		"#!/bin/sh\nexec cat '" SOURCE_DIR "/tests/fixtures/two-h200/'\"$1\"\n";
	CLEANUP(free)
	char *first =
		pci_card(state, "0000:00:06.0", "0x030200\n", "0x10de\n", "0x2335\n", "nvidia");
	CLEANUP(free)
	char *second =
		pci_card(state, "0000:00:07.0", "0x030200\n", "0x10de\n", "0x2335\n", "nvidia");
	CLEANUP(free) char *sys = fs_join(*state, "sys");
	CLEANUP(free) char *self = fs_join(*state, "shunt");
	CLEANUP(free) char *text = NULL;
	CLEANUP(gpus_done) struct gpus g = {0};
	struct err e = {0};

	test_write(self, program, strlen(program));
	assert_int_equal(chmod(self, 0700), 0);
	gpus_read(self, sys, &g);
	assert_int_equal(g.nvidia_why_not.kind, ERR_NONE);
	assert_string_equal(g.nvidia_driver, "580.159.04");
	assert_int_equal(g.count, 2);
	assert_int_equal(g.vulkan_count, 2);
	assert_true(
		fs_read(SOURCE_DIR "/tests/fixtures/two-h200/list-devices", 4096, &text, NULL, &e));
	see_all(&g, "cuda", text);
	see_all(&g, "vulkan", text);
	assert_int_equal(g.count, 2);
	for (size_t i = 0; i < g.count; i++) {
		char number = (char)('0' + i);

		assert_string_equal(g.list[i].pci, i ? "0000:00:07.0" : "0000:00:06.0");
		assert_memory_equal(g.list[i].uuid, i ? "GPU-c7b10d88" : "GPU-eb696b50", 12);
		assert_int_equal(g.list[i].kind, GPU_DISCRETE);
		assert_true(g.list[i].memory_bytes == 150754820096);
		assert_true(g.list[i].free_bytes == 150109880320);
		assert_int_equal(g.list[i].device_count, 2);
		assert_int_equal(g.list[i].devices[0].name[strlen("CUDA")], number);
		assert_int_equal(g.list[i].devices[1].name[strlen("Vulkan")], number);
	}
}

static void llama_cpp_s_numbers(void **state)
{
	static const struct {
		const char *devices, *numbers;
	} cases[] = {
		{"device 4 - 9 13 2048 - llvmpipe\n"
		 "device 2 0000:01:00.0 1 4 8 8 A\n"
		 "device 1 0000:02:00.0 2 6 8 8 B\n",
		 "- Vulkan0 Vulkan1 "},
		/* one card under two drivers: RADV is taken, and stands last */
		{"device 2 0000:01:00.0 1 2 8 8 A\n"
		 "device 2 0000:02:00.0 2 4 8 8 B\n"
		 "device 2 0000:01:00.0 1 3 8 8 A\n",
		 "- Vulkan0 Vulkan1 "},
		{"device 2 0000:01:00.0 1 3 8 8 A\n"
		 "device 2 0000:01:00.0 1 1 8 8 A\n",
		 "Vulkan0 - "},
		/* no GPU: the first that is no CPU */
		{"device 4 - 9 13 2048 - llvmpipe\n"
		 "device 3 - 1 0 8 8 virtual\n",
		 "- Vulkan0 "},
		{"device 4 - 9 13 2048 - llvmpipe\n", "- "},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(gpus_done) struct gpus g = {0};
		CLEANUP(buf_done) struct buf numbers = {0};

		vulkan_says(state, cases[i].devices);
		look(state, &g);
		for (size_t n = 0; n < g.vulkan_count; n++)
			buf_printf(&numbers, "%s ",
				   g.vulkan[n].device[0] ? g.vulkan[n].device : "-");
		assert_string_equal(numbers.data, cases[i].numbers);
	}
}

static void vulkan_fills_in_what_nobody_else_tells(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	free(pci_card(state, "0000:05:00.0", "0x030000\n", "0x8086\n", "0x56a0\n", "xe"));
	vulkan_says(state, "device 2 0000:05:00.0 1 6 16384 15000 Intel Arc A770\n"
			   "device 4 - 9 13 2048 - llvmpipe\n");
	look(state, &g);
	assert_int_equal(g.count, 1);
	assert_string_equal(g.list[0].name, "Intel Arc A770");
	assert_true(g.list[0].memory_bytes == 16384LL << 20);
	assert_true(g.list[0].free_bytes == 15000LL << 20);
	assert_int_equal(g.vulkan[1].kind, GPU_SOFTWARE);
}

static void why_vulkan_tells_nothing(void **state)
{
	static const struct {
		const char *behaviour, *why, *remedy;
	} cases[] = {
		{"create -9\n", "finds no driver", "shunt doctor vulkan"},
		{"create -3\n", "(VkResult -3)", "shunt doctor vulkan"},
		{"\n", "finds no device", "shunt doctor vulkan"},
		{"crash\n", "SIGABRT", "/usr/share/vulkan/icd.d is broken"},
		{"hang\n", "did not answer within 2 s", "/usr/share/vulkan/icd.d hangs"},
		{NULL, "Vulkan's loader cannot be loaded: ", "is broken"},
	};
	CLEANUP(free) char *lib = fs_join(*state, "lib");

	library_says(state, "gpus 1\n");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(gpus_done) struct gpus g = {0};

		if (cases[i].behaviour) {
			vulkan_says(state, cases[i].behaviour);
		} else {
			assert_int_equal(unlinkat(AT_FDCWD, test_path(lib, "libvulkan.so.1"), 0),
					 0);
			write_in(lib, "libvulkan.so.1", "no library");
		}
		look(state, &g);
		assert_int_equal(g.vulkan_why_not.kind, ERR_UNAVAILABLE);
		if (!strstr(g.vulkan_why_not.msg, cases[i].why) ||
		    !strstr(g.vulkan_why_not.hint, cases[i].remedy))
			fail_msg("%s / %s", g.vulkan_why_not.msg, g.vulkan_why_not.hint);
		assert_int_equal(g.count, 1); /* NVML's is there all the same */
		assert_int_equal(g.vulkan_count, 0);
	}
}

static void a_driver_that_crashes_when_it_leaves_has_said_all(void **state)
{
	CLEANUP(gpus_done) struct gpus g = {0};

	vulkan_says(state, "crash-at-end\ndevice 2 0000:01:00.0 1 4 8 8 A\n");
	look(state, &g);
	assert_int_equal(g.vulkan_why_not.kind, ERR_NONE);
	assert_int_equal(g.vulkan_count, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nvml_tells_of_each_gpu, start, stop),
		cmocka_unit_test_setup_teardown(a_process_is_counted_once_a_gpu, start, stop),
		cmocka_unit_test_setup_teardown(a_process_is_counted_where_it_has_most, start,
						stop),
		cmocka_unit_test_setup_teardown(the_bus_and_nvml_see_one_card, start, stop),
		cmocka_unit_test_setup_teardown(one_without_memory_of_its_own_has_none, start,
						stop),
		cmocka_unit_test_setup_teardown(why_nvml_tells_nothing, start, stop),
		cmocka_unit_test_setup_teardown(a_library_that_is_broken_is_named, start, stop),
		cmocka_unit_test_setup_teardown(the_bus_tells_of_amd_and_intel, start, stop),
		cmocka_unit_test_setup_teardown(intel_s_own_memory_is_told_by_some_drivers, start,
						stop),
		cmocka_unit_test_setup_teardown(a_process_s_memory_is_in_its_descriptors, start,
						stop),
		cmocka_unit_test_setup_teardown(numbers_that_cannot_be_are_unknown, start, stop),
		cmocka_unit_test_setup_teardown(the_address_tells_which_card_it_is, start, stop),
		cmocka_unit_test_setup_teardown(without_an_address_the_uuid_does, start, stop),
		cmocka_unit_test_setup_teardown(numbers_that_do_not_agree_are_not_believed, start,
						stop),
		cmocka_unit_test_setup_teardown(two_h200_are_two_gpus_with_two_devices_each, start,
						stop),
		cmocka_unit_test_setup_teardown(llama_cpp_s_numbers, start, stop),
		cmocka_unit_test_setup_teardown(vulkan_fills_in_what_nobody_else_tells, start,
						stop),
		cmocka_unit_test_setup_teardown(why_vulkan_tells_nothing, start, stop),
		cmocka_unit_test_setup_teardown(a_driver_that_crashes_when_it_leaves_has_said_all,
						start, stop),
		cmocka_unit_test(a_card_has_a_name_in_each_backend),
		cmocka_unit_test(two_that_could_be_it_are_not_guessed),
		cmocka_unit_test(the_only_one_of_its_maker_is_it),
	};

	if (argc == 2 && strcmp(argv[1], "probe-nvml") == 0)
		return nvml_probe_main();
	if (argc == 2 && strcmp(argv[1], "probe-vulkan") == 0)
		return vulkan_probe_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
