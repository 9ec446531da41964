/* SPDX-License-Identifier: Apache-2.0 */
/* Each GPU and its driver: all of it, half of it, another one, or none, and why. */

#include "doctor/driver.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "doctor/scene.h"

static const char topic[] = "gpu";

struct finding *driver_finding(struct findings *f, enum finding_state state, const struct gpu *g,
			       const char *what, ...)
{
	CLEANUP(free) char *made = mem_printf("%s %s", g->vendor ? g->vendor : "GPU", g->id);
	CLEANUP(free) char *text = NULL;
	va_list args;

	va_start(args, what);
	text = mem_vprintf(what, args);
	va_end(args);
	return findings_add(f, state, topic, "%s%s%s%s: %s", g->name[0] ? g->name : made,
			    g->pci[0] ? " (" : "", g->pci, g->pci[0] ? ")" : "", text);
}

static void good(struct findings *f, const struct gpu *g, const char *version, const char *cuda)
{
	CLEANUP(buf_done) struct buf b = {0};

	buf_printf(&b, "driver %s%s%s", g->driver, version[0] ? " " : "", version);
	if (cuda[0])
		buf_printf(&b, ", runs CUDA up to %s", cuda);
	if (g->memory_bytes >= 0)
		buf_printf(&b, ", %.1f GB", (double)g->memory_bytes / 1e9);
	if (g->free_bytes >= 0)
		buf_printf(&b, ", %.1f free", (double)g->free_bytes / 1e9);
	for (size_t i = 0; i < g->device_count; i++)
		buf_printf(&b, ", %s", g->devices[i].name);
	(void)driver_finding(f, FINDING_OK, g, "%s", b.data);
}

/* Taken on purpose, to be handed to a virtual machine. */
bool driver_is_passed_on(const struct gpu *g, struct findings *f)
{
	struct finding *new;

	if (strncmp(g->driver, "vfio", 4) != 0)
		return false;
	new = driver_finding(f, FINDING_WARN, g, "kept for virtual machines (vfio-pci)");
	finding_advise(new, "to use it here: take its id out of vfio-pci's options in "
			    "/etc/modprobe.d, then restart");
	return true;
}

/* --- AMD and Intel ------------------------------------------------------ */

/* clang-format off */
static const char *const firmware[][DISTRO_COUNT] = {
	/* Debian's are in non-free-firmware */
	{"firmware-amd-graphics", "amd-gpu-firmware", "linux-firmware", "kernel-firmware-amdgpu"},
	{"firmware-misc-nonfree", "linux-firmware",   "linux-firmware", "kernel-firmware-i915"},
};
/* clang-format on */

static void without_driver(const struct scene *s, const struct gpu *g, bool amd, struct findings *f)
{
	const char *module = amd ? "amdgpu" : "i915";
	CLEANUP(free) char *cmdline = scene_text(s, "/proc/cmdline");
	char install[160];
	struct finding *new;

	if (cmdline && strstr(cmdline, "nomodeset")) {
		new = driver_finding(f, FINDING_BAD, g,
				     "no driver: the kernel was started with nomodeset");
		finding_advise(new, "take nomodeset out of GRUB_CMDLINE_LINUX in "
				    "/etc/default/grub, run sudo update-grub (or grub2-mkconfig), "
				    "and restart");
		return;
	}
	distro_install_command(s->distro, s->ubuntu ? "linux-firmware" : firmware[!amd][s->distro],
			       install, sizeof(install));
	new = driver_finding(f, FINDING_BAD, g, "the kernel has no driver for it");
	finding_run(new, "%s && sudo modprobe %s", install, module);
	finding_advise(new,
		       "sudo dmesg | grep %s says why, if it stays so; a new card needs a "
		       "new kernel",
		       module);
}

static void without_nodes(const struct scene *s, const struct gpu *g, bool amd, struct findings *f)
{
	bool render = scene_glob(s, "/dev/dri/renderD*");
	struct finding *new;

	if (!render && s->container != CONTAINER_NONE) {
		new = driver_finding(f, FINDING_BAD, g, "not in this container: no /dev/dri");
		container_advise(s, g->vendor, new);
	} else if (!render) {
		new = driver_finding(f, FINDING_BAD, g,
				     "no /dev/dri/renderD*, though it has a driver");
		finding_run(new, "sudo udevadm trigger --subsystem-match=drm");
		finding_advise(new, "sudo dmesg | grep drm says why, if it stays so");
	} else if (amd && !scene_has(s, "/dev/kfd")) {
		new = driver_finding(f, FINDING_WARN, g,
				     "no /dev/kfd: ROCm cannot run, Vulkan can");
		if (s->container != CONTAINER_NONE)
			container_advise(s, g->vendor, new);
		else
			finding_advise(new, "sudo dmesg | grep kfd says why; ROCm needs a card of "
					    "2017 or later");
	} else {
		good(f, g, "", "");
	}
}

static void look_at_open(const struct scene *s, const struct gpu *g, struct findings *f)
{
	bool amd = g->vendor && strcmp(g->vendor, "amd") == 0;
	struct finding *new;

	if (driver_is_passed_on(g, f))
		return;
	if (strcmp(g->driver, "radeon") == 0) {
		new = driver_finding(f, FINDING_WARN, g,
				     "the old driver radeon, with which nothing "
				     "computes");
		finding_advise(new, "add radeon.si_support=0 radeon.cik_support=0 "
				    "amdgpu.si_support=1 amdgpu.cik_support=1 to the kernel's "
				    "parameters, and restart");
	} else if (!g->driver[0]) {
		without_driver(s, g, amd, f);
	} else {
		without_nodes(s, g, amd, f);
	}
}

void driver_look(const struct scene *s, struct findings *f)
{
	const struct gpus *g = s->d->gpus;

	for (size_t i = 0; i < g->count; i++) {
		const struct gpu *card = &g->list[i];

		if (!card->vendor || strcmp(card->vendor, "nvidia") != 0)
			look_at_open(s, card, f);
		else if (g->nvidia_why_not.kind != ERR_NONE)
			nvidia_explain(s, card, f);
		else
			good(f, card, g->nvidia_driver, g->nvidia_cuda);
	}
	nvidia_look(s, f);
	if (g->count == 0)
		(void)findings_add(f, FINDING_OK, topic, "no GPU here: models run on the CPU%s",
				   s->wsl ? ", unless "
					    "Windows' driver shows one"
					  : "");
}
