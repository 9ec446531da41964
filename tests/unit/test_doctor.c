/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "doctor/machine.h"
#include "doctor/toolkits.h"
#include "doctor_fixture.h"

/* --- containers --------------------------------------------------------- */

static void a_plain_machine_is_not_worth_a_line(void **state)
{
	struct machine *m = *state;

	machine_has(m, "/proc/version", "Linux version 6.1.0-25-amd64\n");
	machine_has(m, "/proc/1/cgroup", "0::/init.scope\n");
	machine_look_with(m, container_look);
	assert_int_equal(m->found.count, 0);
}

static void a_container_is_known_by_what_it_leaves(void **state)
{
	static const struct {
		const char *path, *text, *name;
	} cases[] = {
		{"/.dockerenv", "", "a Docker container"},
		{"/run/.containerenv", "engine=\"podman-4.3.1\"\n", "a Podman container"},
		{"/proc/1/cgroup", "12:cpu:/docker/0123\n", "a Docker container"},
		{"/proc/1/cgroup", "0::/machine.slice/libpod-0123.scope/libpod-1\n",
		 "a Podman container"},
		{"/proc/1/cgroup", "0::/kubepods.slice/kubepods-pod1.slice\n", "a Kubernetes pod"},
		{"/proc/1/cgroup", "0::/lxc.payload.one\n", "an LXC container"},
		{"/run/systemd/container", "lxc\n", "an LXC container"},
		{"/run/systemd/container", "systemd-nspawn\n", "a systemd-nspawn container"},
		{"/run/systemd/container", "docker\n", "a Docker container"},
		{"/run/systemd/container", "rkt\n", "a container"},
		{"/run/secrets/kubernetes.io/token", "", "a Kubernetes pod"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(free) char *what = mem_printf("in %s that sees no GPU", cases[i].name);
		void *inner = NULL;
		struct machine *m;

		assert_int_equal(machine_start(&inner), 0);
		m = inner;
		machine_has(m, cases[i].path, cases[i].text);
		machine_look_with(m, container_look);
		assert_int_equal(m->found.count, 1);
		same(cases[i].path, m->found.list[0].what, what);
		assert_int_equal(m->found.list[0].state, FINDING_WARN);
		assert_non_null(m->found.list[0].advice);
		(void)machine_stop(&inner);
	}
}

static void a_container_with_a_gpu_is_fine(void **state)
{
	struct machine *m = *state;

	machine_has(m, "/.dockerenv", "");
	machine_has(m, "/dev/dri/renderD128", "");
	machine_look_with(m, container_look);
	only(m, FINDING_OK, "in a Docker container", NULL, NULL);
}

static void wsl_needs_windows_driver(void **state)
{
	struct machine *m = *state;

	machine_has(m, "/proc/version", "Linux version 4.4.0-19041-Microsoft\n");
	machine_look_with(m, container_look);
	only(m, FINDING_BAD, "in WSL 1, which has no GPUs", "wsl.exe --set-version NAME 2",
	     "in Windows; wsl.exe --list shows the name");

	machine_has(m, "/proc/version", "Linux version 5.15.90.1-microsoft-standard-WSL2\n");
	machine_has(m, "/run/systemd/container", "wsl\n");
	machine_look_with(m, container_look);
	only(m, FINDING_BAD, "in WSL 2, without its GPU, /dev/dxg",
	     "wsl.exe --update && wsl.exe --shutdown",
	     "in Windows, which needs a new driver of the GPU's maker");

	machine_has(m, "/dev/dxg", "");
	machine_look_with(m, container_look);
	only(m, FINDING_WARN, "in WSL 2 with a GPU, but Windows has no CUDA for it", NULL,
	     "of an NVIDIA GPU: install its driver in Windows, none in Linux, then wsl.exe "
	     "--shutdown");

	machine_has(m, "/usr/lib/wsl/lib/libcuda.so.1", "");
	machine_look_with(m, container_look);
	only(m, FINDING_OK, "in WSL 2, with Windows' CUDA driver", NULL, NULL);
}

/* --- GPUs --------------------------------------------------------------- */

static void without_nvml(struct machine *m, bool library, const char *msg, const char *hint)
{
	m->gpus.nvidia_library = library;
	err_clear(&m->gpus.nvidia_why_not);
	(void)err_set(&m->gpus.nvidia_why_not, ERR_UNAVAILABLE, "%s", msg);
	(void)err_hint(&m->gpus.nvidia_why_not, "%s", hint);
}

static void no_gpu_is_no_fault(void **state)
{
	struct machine *m = *state;

	(void)err_set(&m->gpus.nvidia_why_not, ERR_NOT_FOUND, "no NVIDIA driver");
	machine_look_with(m, driver_look);
	only(m, FINDING_OK, "no GPU here: models run on the CPU", NULL, NULL);
}

static void a_good_card_is_one_line(void **state)
{
	struct machine *m = *state;
	struct gpu *g = machine_has_gpu(m, "nvidia", "nvidia");

	g->memory_bytes = 25000000000;
	g->free_bytes = 24500000000;
	(void)snprintf(m->gpus.nvidia_driver, sizeof(m->gpus.nvidia_driver), "580.65.06");
	(void)snprintf(m->gpus.nvidia_cuda, sizeof(m->gpus.nvidia_cuda), "13.0");
	machine_has(m, "/usr/share/vulkan/icd.d/nvidia_icd.json", "{}");
	machine_look_with(m, driver_look);
	only(m, FINDING_OK,
	     "Card (0000:01:00.0): driver nvidia 580.65.06, runs CUDA up to 13.0, 25.0 GB, 24.5 "
	     "free",
	     NULL, NULL);
}

#define DEBIAN "ID=debian\n"
#define UBUNTU "ID=ubuntu\nID_LIKE=debian\n"
#define FEDORA "ID=fedora\n"
#define ARCH "ID=arch\n"
#define SUSE "ID=\"opensuse-leap\"\n"

static void a_card_without_driver_gets_the_distribution_s(void **state)
{
	static const struct {
		const char *os, *command;
	} cases[] = {
		{DEBIAN, "sudo apt install linux-headers-amd64 nvidia-driver"},
		{UBUNTU, "sudo ubuntu-drivers install"},
		{FEDORA, "sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda"},
		{ARCH, "sudo pacman -S nvidia-open nvidia-utils"},
		{SUSE, "sudo zypper install nvidia-open-driver-G06-signed-kmp "
		       "nvidia-compute-utils-G06"},
	};
	struct machine *m = *state;
	struct gpu *g = machine_has_gpu(m, "nvidia", "");

	without_nvml(m, false, "no driver", "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		machine_has(m, "/etc/os-release", cases[i].os);
		machine_look_with(m, driver_look);
		assert_int_equal(m->found.count, 1);
		same("what", m->found.list[0].what, "Card (0000:01:00.0): no NVIDIA driver");
		same("command", m->found.list[0].command, cases[i].command);
		assert_non_null(strstr(m->found.list[0].advice, "restart"));
	}
	(void)snprintf(g->driver, sizeof(g->driver), "nouveau");
	machine_look_with(m, driver_look);
	same("what", m->found.list[0].what,
	     "Card (0000:01:00.0): the driver nouveau has it, with which CUDA cannot run");
	same("command", m->found.list[0].command, cases[4].command);
}

/* As the kernel has them: attributes, then the value. */
static void secure_boot(struct machine *m, char value)
{
	const char *path = "/sys/firmware/efi/efivars/"
			   "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
	CLEANUP(free) char *full = mem_printf("%s%s", m->root, path);
	const char bytes[] = {6, 0, 0, 0, value};

	machine_has(m, path, "");
	test_write(full, bytes, sizeof(bytes));
}

static void a_module_that_is_not_loaded_may_be_unsigned(void **state)
{
	static const char unsigned_module[] =
		"Card (0000:01:00.0): NVIDIA's module is installed, not loaded, and secure boot is "
		"on: it is likely not signed with a key that this machine trusts";
	static const char enrol[] = "then restart, and choose 'Enroll MOK' before the system "
				    "starts; or turn secure boot off in the firmware's menu";
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "");
	without_nvml(m, true, "its kernel module is not loaded", "");
	machine_has(m, "/proc/sys/kernel/osrelease", "6.1.0-25-amd64\n");
	machine_has(m, "/lib/modules/6.1.0-25-amd64/modules.dep",
		    "kernel/a.ko:\nupdates/dkms/nvidia-current.ko: kernel/b.ko\n");
	secure_boot(m, 0);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, "Card (0000:01:00.0): NVIDIA's module is installed, but not loaded",
	     "sudo modprobe nvidia", "sudo dmesg | grep -i nvidia says why, if that fails");

	secure_boot(m, 1);
	machine_has(m, "/etc/os-release", DEBIAN);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, unsigned_module, "sudo mokutil --import /var/lib/dkms/mok.pub", enrol);
	machine_has(m, "/etc/os-release", UBUNTU);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, unsigned_module, "sudo update-secureboot-policy --enroll-key", enrol);
	machine_has(m, "/etc/os-release", ARCH);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, unsigned_module, NULL,
	     "sign the module with the key that secure boot trusts; or turn secure boot off in the "
	     "firmware's menu");
}

static void a_new_kernel_has_no_module_yet(void **state)
{
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "");
	without_nvml(m, true, "its kernel module is not loaded", "");
	machine_has(m, "/proc/sys/kernel/osrelease", "6.1.0-26-amd64\n");
	machine_has(m, "/lib/modules/6.1.0-26-amd64/modules.dep", "kernel/nvidiafb.ko:\n");
	machine_has(m, "/lib/modules/6.1.0-25-amd64/modules.dep", "updates/dkms/nvidia.ko.xz:\n");
	machine_has(m, "/etc/os-release", DEBIAN);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD,
	     "Card (0000:01:00.0): NVIDIA's module is there for the kernel 6.1.0-25-amd64, and "
	     "6.1.0-26-amd64 runs",
	     "sudo apt install linux-headers-6.1.0-26-amd64 && sudo dkms autoinstall && sudo "
	     "modprobe nvidia",
	     "or restart with the other kernel");
}

static void a_module_without_libraries_gets_them(void **state)
{
	static const char what[] = "Card (0000:01:00.0): NVIDIA's kernel module 580.65.06 is "
				   "loaded, its libraries are not here (no libnvidia-ml.so.1)";
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "nvidia");
	without_nvml(m, false, "no libnvidia-ml.so.1", "");
	machine_has(m, "/sys/module/nvidia/version", "580.65.06\n");
	machine_has(m, "/etc/os-release", DEBIAN);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, what, "sudo apt install libcuda1 libnvidia-ml1", NULL);
	machine_has(m, "/etc/os-release", UBUNTU);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, what, "sudo apt install libnvidia-compute-580", NULL);

	machine_has(m, "/.dockerenv", "");
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, what, "docker run --gpus all …",
	     "on the host, which needs nvidia-container-toolkit");
}

static void two_versions_are_told_with_the_one_that_is_loaded(void **state)
{
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "nvidia");
	without_nvml(m, true, "library and module are of two versions", "restart");
	machine_has(m, "/sys/module/nvidia/version", "575.57\n");
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD,
	     "Card (0000:01:00.0): library and module are of two versions (loaded: 575.57)", NULL,
	     "restart");
}

static void a_container_gets_its_host_s_devices(void **state)
{
	struct machine *m = *state;
	struct gpu *g = machine_has_gpu(m, "nvidia", "nvidia");

	machine_has(m, "/run/.containerenv", "");
	machine_has(m, "/sys/module/nvidia/version", "580.65.06\n");
	without_nvml(m, true, "NVIDIA's library is here, but its kernel module is not loaded", "");
	machine_look_with(m, driver_look);
	assert_int_equal(m->found.list[0].state, FINDING_BAD);
	same("command", m->found.list[0].command, "podman run --device nvidia.com/gpu=all …");

	g->vendor = "amd";
	(void)snprintf(g->driver, sizeof(g->driver), "amdgpu");
	err_clear(&m->gpus.nvidia_why_not);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, "Card (0000:01:00.0): not in this container: no /dev/dri",
	     "podman run --device /dev/kfd --device /dev/dri --group-add keep-groups …",
	     "on the host");
	machine_has(m, "/dev/dri/renderD128", "");
	machine_look_with(m, driver_look);
	only(m, FINDING_WARN, "Card (0000:01:00.0): no /dev/kfd: ROCm cannot run, Vulkan can",
	     "podman run --device /dev/kfd --device /dev/dri --group-add keep-groups …",
	     "on the host");
	g->vendor = "intel";
	machine_look_with(m, driver_look);
	only(m, FINDING_OK, "Card (0000:01:00.0): driver amdgpu", NULL, NULL);
}

static void cuda_needs_its_memory_s_device(void **state)
{
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "nvidia");
	machine_has(m, "/etc/vulkan/icd.d/nvidia_icd.json", "{}");
	machine_has(m, "/dev/nvidiactl", "");
	machine_look_with(m, driver_look);
	assert_int_equal(m->found.count, 2);
	same("command", m->found.list[1].command,
	     "sudo modprobe nvidia-uvm && sudo nvidia-modprobe -u");
	machine_has(m, "/dev/nvidia-uvm", "");
	machine_look_with(m, driver_look);
	assert_int_equal(m->found.count, 1);
}

static void a_card_may_compute_with_cuda_alone(void **state)
{
	static const char what[] = "NVIDIA's driver for Vulkan (nvidia_icd.json) is not here: CUDA "
				   "can use the card, Vulkan cannot";
	static const char *const files[] = {"VK_DRIVER_FILES=/somewhere.json", NULL};
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "nvidia");
	(void)snprintf(m->gpus.nvidia_driver, sizeof(m->gpus.nvidia_driver), "580.65.06");
	machine_has(m, "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "{}");
	machine_has(m, "/etc/os-release", DEBIAN);
	machine_look_with(m, driver_look);
	assert_int_equal(m->found.count, 2);
	same("what", m->found.list[1].what, what);
	assert_int_equal(m->found.list[1].state, FINDING_WARN);
	same("command", m->found.list[1].command, "sudo apt install nvidia-vulkan-icd");
	machine_has(m, "/etc/os-release", UBUNTU);
	machine_look_with(m, driver_look);
	same("command", m->found.list[1].command, "sudo apt install libnvidia-gl-580");
	machine_has(m, "/.dockerenv", "");
	machine_look_with(m, driver_look);
	same("command", m->found.list[1].command, "docker run -e NVIDIA_DRIVER_CAPABILITIES=all …");
	m->doctor.worker_env = files;
	machine_look_with(m, driver_look);
	assert_int_equal(m->found.count, 1);
}

static void root_without_sudo_needs_none(void **state)
{
	char command[] = "sudo fallocate x && sudo swapon x";

	doctor_without_sudo(command);
	assert_string_equal(command, "fallocate x && swapon x");
	doctor_without_sudo(command);
	assert_string_equal(command, "fallocate x && swapon x");
	doctor_without_sudo(NULL);
}

static void an_amd_card_without_driver(void **state)
{
	struct machine *m = *state;
	struct gpu *g = machine_has_gpu(m, "amd", "");

	machine_has(m, "/etc/os-release", FEDORA);
	machine_look_with(m, driver_look);
	only(m, FINDING_BAD, "Card (0000:01:00.0): the kernel has no driver for it",
	     "sudo dnf install amd-gpu-firmware && sudo modprobe amdgpu",
	     "sudo dmesg | grep amdgpu says why, if it stays so; a new card needs a new kernel");
	machine_has(m, "/proc/cmdline", "root=/dev/sda1 nomodeset quiet\n");
	machine_look_with(m, driver_look);
	same("what", m->found.list[0].what,
	     "Card (0000:01:00.0): no driver: the kernel was started with nomodeset");
	(void)snprintf(g->driver, sizeof(g->driver), "radeon");
	machine_look_with(m, driver_look);
	assert_non_null(strstr(m->found.list[0].advice, "amdgpu.si_support=1"));
	(void)snprintf(g->driver, sizeof(g->driver), "vfio-pci");
	machine_look_with(m, driver_look);
	assert_int_equal(m->found.list[0].state, FINDING_WARN);
	same("what", m->found.list[0].what,
	     "Card (0000:01:00.0): kept for virtual machines (vfio-pci)");
}

/* --- machine ------------------------------------------------------------ */

static void memory_is_judged_by_one_compiler(void **state)
{
	struct machine *m = *state;
	const int64_t gib = 1LL << 30;

	machine_judge_memory(16 * gib, 8 * gib, 0, 2 * gib, &m->found);
	only(m, FINDING_OK, "memory: 16.0 GiB, 8.0 free; one compiler takes up to 2.0", NULL, NULL);
	findings_done(&m->found);
	machine_judge_memory(16 * gib, gib, 0, 2 * gib, &m->found);
	only(m, FINDING_WARN, "memory: 16.0 GiB, 1.0 free, and one compiler takes up to 2.0", NULL,
	     "unload models before a build: shunt status, shunt unload");
	findings_done(&m->found);
	machine_judge_memory(gib, gib, 0, 2 * gib, &m->found);
	assert_int_equal(m->found.list[0].state, FINDING_BAD);
	assert_non_null(strstr(m->found.list[0].command, "swapon"));
	findings_done(&m->found);
	machine_judge_memory(gib, gib, 4 * gib, 2 * gib, &m->found);
	assert_int_equal(m->found.list[0].state, FINDING_OK);
}

static void disk_is_judged_by_one_build(void **state)
{
	struct machine *m = *state;
	const int64_t gib = 1LL << 30;

	machine_judge_disk("builds, and one", "store_dir", "/s", 9 * gib, 2 * gib, true, &m->found);
	only(m, FINDING_OK, "disk: 9.0 GiB free for builds, and one takes up to 2.0 (/s)", NULL,
	     NULL);
	findings_done(&m->found);
	machine_judge_disk("builds, and one", "store_dir", "/s", gib, 2 * gib, true, &m->found);
	only(m, FINDING_BAD, "disk: 1.0 GiB free for builds, and one takes up to 2.0 (/s)",
	     "shunt env gc",
	     "it removes builds that nobody uses; or choose another disk: store_dir in the "
	     "configuration");
	findings_done(&m->found);
	machine_judge_disk("builds, and one", "store_dir", "/s", gib, 2 * gib, false, &m->found);
	assert_int_equal(m->found.list[0].state, FINDING_WARN);
}

/* --- toolkits ----------------------------------------------------------- */

static void what_is_missing_comes_with_its_packages(void **state)
{
	const struct toolkit_item old = {
		.name = "glue", .found = "1.5", .needed = "2.0", .packages = "glue"};
	const struct toolkit_item gone = {.name = "tape", .needed = "any", .packages = "tape glue"};
	const struct toolkit_item good = {.name = "saw", .found = "3", .needed = "any", .ok = true};
	struct machine *m = *state;
	CLEANUP(free) char *install = NULL;
	char command[200];

	toolkit_finding(&good, "build", FINDING_BAD, &m->found);
	only(m, FINDING_OK, "saw 3", NULL, NULL);
	assert_null(doctor_install(&m->found));
	toolkit_finding(&old, "build", FINDING_WARN, &m->found);
	toolkit_finding(&gone, "build", FINDING_BAD, &m->found);
	same("what", m->found.list[1].what, "glue: 1.5, needs 2.0 or newer");
	assert_int_equal(m->found.list[1].state, FINDING_WARN);
	same("what", m->found.list[2].what, "tape: missing");
	distro_install_command(distro_here(), "glue", command, sizeof(command));
	same("command", m->found.list[1].command, command);
	distro_install_command(distro_here(), "glue tape", command, sizeof(command));
	install = doctor_install(&m->found);
	same("install", install, command);
	m->found.no_sudo = true;
	free(install);
	install = doctor_install(&m->found);
	assert_null(strstr(install, "sudo"));
}

static void backend_of_another_maker(const struct scene *s, struct findings *f)
{
	toolkits_look(s, backend_find("rocm"), f);
}

static void a_backend_for_another_maker_s_gpu_is_no_fault_unless_asked_for(void **state)
{
	struct machine *m = *state;

	machine_look_with(m, backend_of_another_maker);
	only(m, FINDING_OK, "ROCm is not for this machine: no AMD GPU", NULL, NULL);
	m->doctor.backend = backend_find("rocm");
	machine_look_with(m, backend_of_another_maker);
	same("what", m->found.list[0].what, "no AMD GPU here");
	assert_int_equal(m->found.list[0].state, FINDING_BAD);
	assert_true(m->found.count > 1);
}

static void cuda_after_something_else(const struct scene *s, struct findings *f)
{
	finding_advise(findings_add(f, FINDING_BAD, "access", "something else"), "earlier");
	toolkits_look(s, backend_find("cuda"), f);
}

static void a_remedy_is_of_its_own_backend(void **state)
{
	struct machine *m = *state;
	struct gpu *g = machine_has_gpu(m, "nvidia", "nvidia");
	bool said = false;

	(void)snprintf(g->capability, sizeof(g->capability), "9.0");
	(void)snprintf(m->gpus.nvidia_driver, sizeof(m->gpus.nvidia_driver), "535.129.03");
	(void)snprintf(m->gpus.nvidia_cuda, sizeof(m->gpus.nvidia_cuda), "12.2");
	m->doctor.ask = (struct toolkit_ask){.gpus = &m->gpus, .offer = "13.0.88"};
	machine_look_with(m, cuda_after_something_else);
	same("advice", m->found.list[0].advice, "earlier");
	for (size_t i = 1; i < m->found.count; i++)
		said = said || (m->found.list[i].advice &&
				strstr(m->found.list[i].advice, "or a CUDA toolkit 12.x"));
	assert_true(said);
}

/* --- ROCm --------------------------------------------------------------- */

static void of_amd(const struct scene *s, struct findings *f)
{
	amd_look(s, FINDING_BAD, f);
}

static void has_amd(struct machine *m, const char *version)
{
	CLEANUP(free) char *text = mem_printf("simd_count 4\ngfx_target_version %s\n", version);

	machine_has(m, "/sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 8\n");
	machine_has(m, "/sys/class/kfd/kfd/topology/nodes/1/properties", text);
}

static void rocblas_has_code_for_some(void **state)
{
	static const char *const override[] = {"A=1", "HSA_OVERRIDE_GFX_VERSION=10.3.0", NULL};
	struct machine *m = *state;

	has_amd(m, "110000");
	machine_look_with(m, of_amd);
	assert_int_equal(m->found.count, 0); /* no rocBLAS: its items say that */

	machine_has(m,
		    "/usr/lib/x86_64-linux-gnu/rocblas/4.4.1/library/"
		    "Kernels.so-000-gfx1100.hsaco",
		    "");
	machine_has(m,
		    "/usr/lib/x86_64-linux-gnu/rocblas/4.4.1/library/"
		    "TensileLibrary_Type_4xi8BS_HPA_fallback_gfx1030.hsaco",
		    "");
	machine_has(m,
		    "/usr/lib/x86_64-linux-gnu/rocblas/4.4.1/library/"
		    "Kernels.so-000-gfx90a-xnack+.hsaco",
		    "");
	machine_look_with(m, of_amd);
	only(m, FINDING_OK, "gfx1100: rocBLAS has code for it", NULL, NULL);

	has_amd(m, "100306");
	machine_look_with(m, of_amd);
	only(m, FINDING_BAD, "gfx1036: rocBLAS has no code for it, but for its relative gfx1030",
	     NULL,
	     "worker_env = HSA_OVERRIDE_GFX_VERSION=10.3.0 in the configuration makes it pass as "
	     "that one, which builds are made for; or use Vulkan");
	m->doctor.worker_env = override;
	machine_look_with(m, of_amd);
	only(m, FINDING_OK, "gfx1036: passes as gfx1030 (HSA_OVERRIDE_GFX_VERSION=10.3.0)", NULL,
	     NULL);

	has_amd(m, "80003");
	machine_look_with(m, of_amd);
	only(m, FINDING_BAD, "gfx803: rocBLAS has code only for gfx1100;gfx90a;gfx1030", NULL,
	     "use Vulkan on it: shunt switch MODEL vulkan");
}

static void all_of_it_on_this_machine(void **state)
{
	struct machine *m = *state;

	m->doctor.root = "";
	doctor_look(&m->doctor, &m->found);
	assert_true(m->found.count > 10);
	for (size_t i = 0; i < m->found.count; i++)
		assert_true(m->found.list[i].what[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_start, machine_stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_machine_is_not_worth_a_line),
		TEST(a_container_is_known_by_what_it_leaves),
		TEST(a_container_with_a_gpu_is_fine),
		TEST(wsl_needs_windows_driver),
		TEST(no_gpu_is_no_fault),
		TEST(a_good_card_is_one_line),
		TEST(a_card_without_driver_gets_the_distribution_s),
		TEST(a_module_that_is_not_loaded_may_be_unsigned),
		TEST(a_new_kernel_has_no_module_yet),
		TEST(a_module_without_libraries_gets_them),
		TEST(two_versions_are_told_with_the_one_that_is_loaded),
		TEST(a_container_gets_its_host_s_devices),
		TEST(cuda_needs_its_memory_s_device),
		TEST(a_card_may_compute_with_cuda_alone),
		TEST(root_without_sudo_needs_none),
		TEST(an_amd_card_without_driver),
		TEST(memory_is_judged_by_one_compiler),
		TEST(disk_is_judged_by_one_build),
		TEST(what_is_missing_comes_with_its_packages),
		TEST(a_backend_for_another_maker_s_gpu_is_no_fault_unless_asked_for),
		TEST(a_remedy_is_of_its_own_backend),
		TEST(rocblas_has_code_for_some),
		TEST(all_of_it_on_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
