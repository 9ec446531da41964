/* SPDX-License-Identifier: Apache-2.0 */
/* Containers and WSL: whether the host's GPUs come in, and how to get them in. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "doctor/scene.h"

static const char topic[] = "container";

static const char *container_name(enum container c)
{
	static const char *const names[CONTAINER_COUNT] = {
		[CONTAINER_NONE] = "no container",
		[CONTAINER_DOCKER] = "a Docker container",
		[CONTAINER_PODMAN] = "a Podman container",
		[CONTAINER_LXC] = "an LXC container",
		[CONTAINER_NSPAWN] = "a systemd-nspawn container",
		[CONTAINER_KUBERNETES] = "a Kubernetes pod",
		[CONTAINER_OTHER] = "a container",
	};

	return names[c];
}

enum maker { NVIDIA, AMD, OTHERS, ANY, MAKERS };
struct way {
	const char *command, *advice;
};

#define RENDER "--group-add $(getent group render | cut -d: -f3)"
#define HAS_TOOLKIT "on the host, which needs nvidia-container-toolkit"
#define HAS_CDI HAS_TOOLKIT "; once: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"

/* clang-format off */
static const struct way ways[CONTAINER_COUNT][MAKERS] = {
	[CONTAINER_DOCKER] = {
		[NVIDIA] = {"docker run --gpus all …", HAS_TOOLKIT},
		[AMD]    = {"docker run --device /dev/kfd --device /dev/dri " RENDER " …", "on the host"},
		[OTHERS] = {"docker run --device /dev/dri " RENDER " …", "on the host"},
		[ANY]    = {NULL, "if the host has one, docker run gives it: --gpus all (NVIDIA), --device /dev/kfd --device /dev/dri (AMD), --device /dev/dri (Intel)"}},
	[CONTAINER_PODMAN] = {
		[NVIDIA] = {"podman run --device nvidia.com/gpu=all …", HAS_CDI},
		[AMD]    = {"podman run --device /dev/kfd --device /dev/dri --group-add keep-groups …", "on the host"},
		[OTHERS] = {"podman run --device /dev/dri --group-add keep-groups …", "on the host"},
		[ANY]    = {NULL, "if the host has one, podman run gives it: --device nvidia.com/gpu=all (NVIDIA), --device /dev/kfd --device /dev/dri (AMD), --device /dev/dri (Intel)"}},
	[CONTAINER_LXC] = {
		[NVIDIA] = {"lxc config device add NAME gpu gpu && lxc config set NAME nvidia.runtime true", "on the host, and start the container again"},
		[AMD]    = {"lxc config device add NAME gpu gpu && lxc config device add NAME kfd unix-char path=/dev/kfd", "on the host, and start the container again"},
		[OTHERS] = {"lxc config device add NAME gpu gpu", "on the host, and start the container again"},
		[ANY]    = {NULL, "if the host has one: lxc config device add NAME gpu gpu"}},
	[CONTAINER_NSPAWN] = {
		[NVIDIA] = {"systemd-nspawn --bind=/dev/nvidia0 --bind=/dev/nvidiactl --bind=/dev/nvidia-uvm --property='DeviceAllow=/dev/nvidia0 rw' --property='DeviceAllow=/dev/nvidiactl rw' --property='DeviceAllow=/dev/nvidia-uvm rw' …", "on the host; the container needs the libraries of the same driver version"},
		[AMD]    = {"systemd-nspawn --bind=/dev/dri --bind=/dev/kfd --property='DeviceAllow=char-drm rw' --property='DeviceAllow=/dev/kfd rw' …", "on the host"},
		[OTHERS] = {"systemd-nspawn --bind=/dev/dri --property='DeviceAllow=char-drm rw' …", "on the host"},
		[ANY]    = {NULL, "if the host has one, systemd-nspawn gives it with --bind=/dev/dri or --bind=/dev/nvidia0 …, and --property=DeviceAllow=…"}},
	[CONTAINER_KUBERNETES] = {
		[NVIDIA] = {NULL, "resources.limits of the pod: nvidia.com/gpu: 1; the cluster needs NVIDIA's device plugin"},
		[AMD]    = {NULL, "resources.limits of the pod: amd.com/gpu: 1; the cluster needs AMD's device plugin"},
		[OTHERS] = {NULL, "resources.limits of the pod: gpu.intel.com/i915: 1, or gpu.intel.com/xe: 1; the cluster needs Intel's device plugin"},
		[ANY]    = {NULL, "if the node has one, resources.limits of the pod gives it: nvidia.com/gpu: 1 (NVIDIA), amd.com/gpu: 1 (AMD)"}},
	[CONTAINER_OTHER] = {
		[NVIDIA] = {NULL, "give the container the host's /dev/nvidia* and the libraries of its driver"},
		[AMD]    = {NULL, "give the container the host's /dev/kfd and /dev/dri"},
		[OTHERS] = {NULL, "give the container the host's /dev/dri"},
		[ANY]    = {NULL, "if the host has one, give the container its /dev/nvidia* or /dev/dri"}},
};
/* clang-format on */

static enum maker maker_of(const char *vendor)
{
	if (!vendor)
		return ANY;
	return strcmp(vendor, "nvidia") == 0 ? NVIDIA : strcmp(vendor, "amd") == 0 ? AMD : OTHERS;
}

void container_advise(const struct scene *s, const char *vendor, struct finding *f)
{
	const struct way *way = &ways[s->container][maker_of(vendor)];

	if (way->command)
		finding_run(f, "%s", way->command);
	if (way->advice)
		finding_advise(f, "%s", way->advice);
}

static void look_inside(const struct scene *s, struct findings *f)
{
	const char *name = container_name(s->container);

	if (scene_gpu(s, NULL) || scene_glob(s, "/dev/dri/renderD*") ||
	    scene_glob(s, "/dev/nvidia[0-9]*"))
		(void)findings_add(f, FINDING_OK, topic, "in %s", name);
	else
		container_advise(
			s, NULL,
			findings_add(f, FINDING_WARN, topic, "in %s that sees no GPU", name));
}

/* Windows' own driver computes, through /dev/dxg; one of Linux must not be installed. */
static void look_at_windows(const struct scene *s, struct findings *f)
{
	CLEANUP(free) char *version = scene_text(s, "/proc/version");
	struct finding *new;

	if (!strcasestr(version, "wsl2") && !strstr(version, "microsoft-standard")) {
		new = findings_add(f, FINDING_BAD, topic, "in WSL 1, which has no GPUs");
		finding_run(new, "wsl.exe --set-version %s 2", "NAME");
		finding_advise(new, "in Windows; wsl.exe --list shows the name");
	} else if (!scene_has(s, "/dev/dxg")) {
		new = findings_add(f, FINDING_BAD, topic, "in WSL 2, without its GPU, /dev/dxg");
		finding_run(new, "wsl.exe --update && wsl.exe --shutdown");
		finding_advise(new, "in Windows, which needs a new driver of the GPU's maker");
	} else if (!scene_has(s, "/usr/lib/wsl/lib/libcuda.so.1")) {
		new = findings_add(f, FINDING_WARN, topic,
				   "in WSL 2 with a GPU, but Windows has no CUDA for it");
		finding_advise(new, "of an NVIDIA GPU: install its driver in Windows, none in "
				    "Linux, then wsl.exe --shutdown");
	} else {
		(void)findings_add(f, FINDING_OK, topic, "in WSL 2, with Windows' CUDA driver");
	}
}

void container_look(const struct scene *s, struct findings *f)
{
	if (s->wsl)
		look_at_windows(s, f);
	if (s->container != CONTAINER_NONE)
		look_inside(s, f);
}
