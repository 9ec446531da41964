/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA's driver: a kernel module, which secure boot may refuse and a kernel's update may leave
 * behind, libraries of the same version, and devices. */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "doctor/driver.h"

static const char topic[] = "gpu";

struct remedy {
	const char *command, *advice;
};

/* clang-format off */
static const struct remedy installs[DISTRO_COUNT] = {
	[DISTRO_DEBIAN] = {"sudo apt install linux-headers-amd64 nvidia-driver", "in Debian's sections contrib, non-free and non-free-firmware; then restart"},
	[DISTRO_FEDORA] = {"sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda", "from RPM Fusion's nonfree repository; wait some minutes until the module is built, then restart"},
	[DISTRO_ARCH]   = {"sudo pacman -S nvidia-open nvidia-utils", "then restart"},
	[DISTRO_SUSE]   = {"sudo zypper install nvidia-open-driver-G06-signed-kmp nvidia-compute-utils-G06", "from NVIDIA's repository; then restart"},
};
static const struct remedy ubuntu = {"sudo ubuntu-drivers install", "then restart"};

/* What secure boot asks before it loads a module that was built on this machine. */
static const struct remedy enrolments[DISTRO_COUNT] = {
	[DISTRO_DEBIAN] = {"sudo mokutil --import /var/lib/dkms/mok.pub", NULL},
	[DISTRO_FEDORA] = {"sudo mokutil --import /etc/pki/akmods/certs/public_key.der", NULL},
	[DISTRO_ARCH]   = {NULL, "sign the module with the key that secure boot trusts"},
	[DISTRO_SUSE]   = {"sudo zypper install nvidia-open-driver-G06-signed-kmp", NULL},
};
static const char enrol_ubuntu[] = "sudo update-secureboot-policy --enroll-key";

static const char *const libraries[DISTRO_COUNT] = {
	[DISTRO_DEBIAN] = "libcuda1 libnvidia-ml1",
	[DISTRO_FEDORA] = "xorg-x11-drv-nvidia-cuda",
	[DISTRO_ARCH]   = "nvidia-utils",
	[DISTRO_SUSE]   = "nvidia-compute-utils-G06",
};
static const char *const vulkan_drivers[DISTRO_COUNT] = {
	[DISTRO_DEBIAN] = "nvidia-vulkan-icd",
	[DISTRO_FEDORA] = "xorg-x11-drv-nvidia-libs",
	[DISTRO_ARCH]   = "nvidia-utils",
	[DISTRO_SUSE]   = "nvidia-gl-G06",
};
/* clang-format on */

/* --- what is there ------------------------------------------------------ */

/* "580.65.06" of the module that is loaded; "": one is, of unknown version; NULL: none. */
static char *loaded_version(const struct scene *s)
{
	char *text = scene_text(s, "/sys/module/nvidia/version");

	if (text)
		text[strcspn(text, "\n")] = '\0';
	else if (scene_has(s, "/sys/module/nvidia"))
		text = mem_dup("");
	return text;
}

/* Does this kernel's list of modules name it? nvidia.ko, on Debian nvidia-current.ko. */
static bool kernel_has_module(const struct scene *s, const char *release)
{
	CLEANUP(free) char *path = mem_printf("/lib/modules/%s/modules.dep", release);
	CLEANUP(free) char *text = scene_text(s, path);

	return text && (strstr(text, "/nvidia.ko") || strstr(text, "/nvidia-current.ko"));
}

struct others {
	const struct scene *scene;
	char found[80];
};

static bool look_at_kernel(void *arg, const char *release, struct err *e)
{
	struct others *o = arg;

	if (!o->found[0] && strlen(release) < sizeof(o->found) &&
	    kernel_has_module(o->scene, release))
		memcpy(o->found, release, strlen(release) + 1);
	return true;
}

/* A kernel that does not run and has the module; "": none. */
static void other_kernel(const struct scene *s, struct others *o)
{
	CLEANUP(free) char *folder = scene_path(s, "/lib/modules");
	struct err ignored = {0};

	*o = (struct others){.scene = s};
	(void)!fs_each(folder, look_at_kernel, o, &ignored);
}

/* --- why ---------------------------------------------------------------- */

static void install(const struct scene *s, struct finding *f)
{
	const struct remedy *r = s->ubuntu ? &ubuntu : &installs[s->distro];

	finding_run(f, "%s", r->command);
	finding_advise(f, "%s", r->advice);
}

static void not_signed(const struct scene *s, struct finding *f)
{
	const struct remedy *r = &enrolments[s->distro];
	const char *command = s->ubuntu ? enrol_ubuntu : r->command;

	if (command)
		finding_run(f, "%s", command);
	finding_advise(f, "%s; or turn secure boot off in the firmware's menu",
		       r->advice ? r->advice
				 : "then restart, and choose 'Enroll MOK' before the system "
				   "starts");
}

static void for_this_kernel(const struct scene *s, struct finding *f)
{
	if (s->distro == DISTRO_DEBIAN)
		finding_run(f,
			    "sudo apt install linux-headers-%s && sudo dkms autoinstall && sudo "
			    "modprobe nvidia",
			    s->kernel);
	else if (s->distro == DISTRO_FEDORA)
		finding_run(f, "sudo akmods --force --kernels %s && sudo modprobe nvidia",
			    s->kernel);
	else
		finding_run(f, "sudo reboot");
	finding_advise(f, "or restart with the other kernel");
}

static void no_module(const struct scene *s, const struct gpu *card, struct findings *f)
{
	struct others others;
	struct finding *new;

	other_kernel(s, &others);
	if (kernel_has_module(s, s->kernel) && s->secure_boot) {
		new = driver_finding(f, FINDING_BAD, card,
				     "NVIDIA's module is installed, not loaded, and secure boot is "
				     "on: it is likely not signed with a key that this machine "
				     "trusts");
		not_signed(s, new);
	} else if (kernel_has_module(s, s->kernel)) {
		new = driver_finding(f, FINDING_BAD, card,
				     "NVIDIA's module is installed, but not loaded");
		finding_run(new, "sudo modprobe nvidia");
		finding_advise(new, "sudo dmesg | grep -i nvidia says why, if that fails");
	} else if (others.found[0]) {
		new = driver_finding(f, FINDING_BAD, card,
				     "NVIDIA's module is there for the kernel %s, and %s runs",
				     others.found, s->kernel);
		for_this_kernel(s, new);
	} else {
		new = driver_finding(f, FINDING_BAD, card, "no NVIDIA driver");
		install(s, new);
	}
}

/* The number before the first dot, which Ubuntu's packages are named by. */
static int major_digits(const char *version)
{
	return (int)strspn(version, "0123456789");
}

static void no_library(const struct scene *s, const struct gpu *card, const char *loaded,
		       struct findings *f)
{
	struct finding *new =
		driver_finding(f, FINDING_BAD, card,
			       "NVIDIA's kernel module%s%s is loaded, its libraries are not "
			       "here (no libnvidia-ml.so.1)",
			       loaded[0] ? " " : "", loaded);
	char command[160];

	if (s->container != CONTAINER_NONE) {
		container_advise(s, "nvidia", new);
		return;
	}
	distro_install_command(s->distro, libraries[s->distro], command, sizeof(command));
	if (s->ubuntu && loaded[0])
		finding_run(new, "sudo apt install libnvidia-compute-%.*s", major_digits(loaded),
			    loaded);
	else
		finding_run(new, "%s", command);
}

/* As the host is, so is the container. */
static void no_driver_on_host(const struct gpu *card, struct findings *f)
{
	struct finding *new = driver_finding(f, FINDING_BAD, card,
					     "the container's host has no NVIDIA driver loaded");

	finding_advise(new, "install it on the host; shunt doctor cuda there says how");
}

void nvidia_explain(const struct scene *s, const struct gpu *card, struct findings *f)
{
	CLEANUP(free) char *loaded = loaded_version(s);
	const struct err *why = &s->d->gpus->nvidia_why_not;
	struct finding *new;

	if (driver_is_passed_on(card, f))
		return;
	if (strcmp(card->driver, "nouveau") == 0) {
		new = driver_finding(f, FINDING_BAD, card,
				     "the driver nouveau has it, with which CUDA cannot run");
		install(s, new);
	} else if (!loaded && strcmp(card->driver, "nvidia") != 0) {
		if (s->container == CONTAINER_NONE)
			no_module(s, card, f);
		else
			no_driver_on_host(card, f);
	} else if (!s->d->gpus->nvidia_library) {
		no_library(s, card, loaded ? loaded : "", f);
	} else {
		new = driver_finding(f, FINDING_BAD, card, "%s%s%s%s", why->msg,
				     loaded && loaded[0] ? " (loaded: " : "", loaded ? loaded : "",
				     loaded && loaded[0] ? ")" : "");
		if (s->container != CONTAINER_NONE && !scene_has(s, "/dev/nvidiactl"))
			container_advise(s, "nvidia", new);
		else if (why->hint[0])
			finding_advise(new, "%s", why->hint);
	}
}

/* --- beside CUDA -------------------------------------------------------- */

/* A container gets the driver's parts for CUDA, those for Vulkan only when it is told. */
static void no_vulkan(const struct scene *s, struct findings *f)
{
	struct finding *new = findings_add(f, FINDING_WARN, topic,
					   "NVIDIA's driver for Vulkan (nvidia_icd.json) is not "
					   "here: CUDA can use the card, Vulkan cannot");
	const char *version = s->d->gpus->nvidia_driver;
	char command[160];

	if (s->container == CONTAINER_DOCKER || s->container == CONTAINER_PODMAN) {
		finding_run(new, "%s run -e NVIDIA_DRIVER_CAPABILITIES=all …",
			    s->container == CONTAINER_DOCKER ? "docker" : "podman");
		finding_advise(new, "on the host, beside what gives it the GPU");
	} else if (s->container != CONTAINER_NONE) {
		finding_advise(new, "set NVIDIA_DRIVER_CAPABILITIES=all for the container");
	} else if (s->ubuntu) {
		finding_run(new, "sudo apt install libnvidia-gl-%.*s", major_digits(version),
			    version);
	} else {
		distro_install_command(s->distro, vulkan_drivers[s->distro], command,
				       sizeof(command));
		finding_run(new, "%s", command);
	}
}

static bool has_vulkan(const struct scene *s)
{
	static const char *const files[] = {"/usr/share/vulkan/icd.d/nvidia*.json",
					    "/usr/local/share/vulkan/icd.d/nvidia*.json",
					    "/etc/vulkan/icd.d/nvidia*.json"};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (scene_glob(s, files[i]))
			return true;
	for (const char *const *v = s->d->worker_env; v && *v; v++)
		if (strncmp(*v, "VK_DRIVER_FILES=", 16) == 0 ||
		    strncmp(*v, "VK_ICD_FILENAMES=", 17) == 0)
			return true; /* somebody knows better */
	return false;
}

void nvidia_look(const struct scene *s, struct findings *f)
{
	const struct err *why = &s->d->gpus->nvidia_why_not;
	struct finding *new;

	if (scene_gpu(s, "nvidia") && why->kind == ERR_NONE && !s->wsl && !has_vulkan(s))
		no_vulkan(s, f);

	if (scene_has(s, "/dev/nvidiactl") && !scene_has(s, "/dev/nvidia-uvm")) {
		new = findings_add(f, FINDING_BAD, topic,
				   "no /dev/nvidia-uvm, without which CUDA does not start");
		if (s->container != CONTAINER_NONE)
			container_advise(s, "nvidia", new);
		else
			finding_run(new, "sudo modprobe nvidia-uvm && sudo nvidia-modprobe -u");
	}
	/* a library that complains, and no card that it could be about */
	if (!scene_gpu(s, "nvidia") && why->kind != ERR_NONE && why->kind != ERR_NOT_FOUND) {
		new = findings_add(f, FINDING_WARN, topic, "%s", why->msg);
		if (why->hint[0])
			finding_advise(new, "%s", why->hint);
	}
}
