/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about this machine: backends, toolkits, the doctor, CPU, memory and GPUs. */

#include "api/shapes_priv.h"

/* clang-format off */

static const struct field item_fields[] = {
	FIELD("name", TEXT, true, "what is needed"),
	FIELD("found", TEXT, true, "its version or path; empty: missing"),
	FIELD("needed", TEXT, true, "the version"),
	FIELD("packages", TEXT, true, "that have it, on this distribution"),
	FIELD("ok", BOOL, true, "it will do"),
	FIELD("at_run_time", BOOL, true, "needed to run, not to build"),
	{0},
};
static const struct shape item_shape = {"ToolkitItem", "One requirement", item_fields, false};
#define CAN_FIELDS                                                   \
	FIELD("can_build", BOOL, true, "all that a build needs is there"), \
	FIELD("can_run", BOOL, true, "a driver is there"),                 \
	FIELD("why_not", TEXT, true, "empty: both can")
static const struct field toolkit_fields[] = {
	FIELD("backend", TEXT, true, "whose", .choices = BACKENDS),
	CAN_FIELDS,
	FIELD("compiler", TEXT, true, "version of the toolkit"),
	FIELD("install", TEXT_NULL, true, "the command that installs what is missing"),
	LIST_FIELD("items", "each requirement", item_shape),
	{0},
};
static const struct shape toolkit_shape = {"Toolkit", "What a backend needs and what was found", toolkit_fields, false};
static const struct field device_fields[] = {
	FIELD("backend", TEXT, true, "which sees it", .choices = BACKENDS),
	FIELD("device", TEXT, true, "as llama.cpp names it: Vulkan0"),
	FIELD("name", TEXT, true, "as people name it"),
	FIELD("driver", TEXT_NULL, true, "its version, where the toolkit check finds one"),
	FIELD("memory_bytes", INT, true, "all"),
	FIELD("memory_free_bytes", INT, true, "free now"),
	{0},
};
static const struct shape device_shape = {"Device", "A GPU", device_fields, false};
static const struct field backend_fields[] = {
	FIELD("name", TEXT, true, "cpu, vulkan, cuda, rocm", .choices = BACKENDS),
	FIELD("title", TEXT, true, "for people"),
	FIELD("aliases", TEXT, true, "other names, separated by spaces"),
	CAN_FIELDS,
	OBJECT_FIELD("toolkit", true, "in detail", toolkit_shape),
	LIST_FIELD("devices", "that its module lists; of Vulkan also those that it will list", device_shape),
	FIELD("devices_why_not", TEXT_NULL, true, "why none are listed"),
	{0},
};
static const struct shape backend_shape = {"Backend", "What can compute", backend_fields, false};
const struct field answers_backends[] = {LIST_FIELD("backends", "all that Shunt knows", backend_shape), {0}};
const struct field answers_toolkit[] = {OBJECT_FIELD("toolkit", true, "what was found", toolkit_shape), {0}};

static const struct field finding_fields[] = {
	FIELD("state", TEXT, true, "warn: works, but not all of it; bad: in the way", .choices = "ok|warn|bad"),
	FIELD("topic", TEXT, true, "container, machine, build, python, gpu, access, or a backend's name"),
	FIELD("what", TEXT, true, "for people"),
	FIELD("command", TEXT_NULL, true, "that mends it"),
	FIELD("advice", TEXT_NULL, true, "what else to do, or where to run the command"),
	{0},
};
static const struct shape finding_shape = {"Finding", "One check of the doctor", finding_fields, false};
const struct field answers_doctor[] = {
	FIELD("state", TEXT, true, "the worst of all", .choices = "ok|warn|bad"),
	LIST_FIELD("findings", "in the order to read them", finding_shape),
	FIELD("install", TEXT_NULL, true, "one command for all packages that are missing"),
	{0},
};

static const struct field cpu_fields[] = {
	FIELD("name", TEXT, true, "for people"),
	FIELD("cores", INT, true, "how many"),
	FIELD("avx2", BOOL, true, "it has it"),
	FIELD("avx512", BOOL, true, "it has it"),
	{0},
};
static const struct shape cpu_shape = {"Cpu", "The CPU", cpu_fields, false};
static const struct field memory_fields[] = {
	FIELD("total_bytes", INT, true, "all"),
	FIELD("free_bytes", INT, true, "free now"),
	{0},
};
static const struct shape memory_shape = {"Memory", "RAM", memory_fields, false};
static const struct field gpu_device_fields[] = {
	FIELD("backend", TEXT, true, "which sees it", .choices = BACKENDS),
	FIELD("device", TEXT, true, "as llama.cpp names it: Vulkan0"),
	FIELD("driver", TEXT_NULL, true, "its version, where the toolkit check finds one"),
	{0},
};
static const struct shape gpu_device_shape = {"GpuDevice", "What a backend calls a GPU", gpu_device_fields, false};
static const struct field gpu_fields[] = {
	FIELD("name", TEXT, true, "as people name it, or vendor:device of PCI"),
	FIELD("kind", TEXT, true, "software: a CPU that plays one", .choices = "discrete|integrated|software"),
	FIELD("vendor", TEXT_NULL, true, "null: unknown", .choices = "nvidia|amd|intel"),
	FIELD("pci", TEXT_NULL, true, "its address: 0000:0f:00.0"),
	FIELD("uuid", TEXT_NULL, true, "NVIDIA's"),
	FIELD("compute_capability", TEXT_NULL, true, "NVIDIA's: 9.0"),
	FIELD("driver", TEXT_NULL, true, "the kernel's: nvidia, amdgpu, i915; null: none is seen"),
	FIELD("driver_version", TEXT_NULL, true, "null: it has none of its own, as those that come with the kernel"),
	FIELD("memory_bytes", INT | FIELD_NULL, true, "all"),
	FIELD("memory_used_bytes", INT | FIELD_NULL, true, "of all programs"),
	FIELD("memory_free_bytes", INT | FIELD_NULL, true, "free now"),
	LIST_FIELD("devices", "what ready environments' modules call it", gpu_device_shape),
	{0},
};
static const struct shape gpu_shape = {"Gpu", "A GPU of this machine", gpu_fields, false};
static const struct field nvidia_fields[] = {
	FIELD("driver", TEXT_NULL, true, "its version"),
	FIELD("cuda", TEXT_NULL, true, "the newest CUDA that it runs"),
	FIELD("why_not", TEXT_NULL, true, "why it tells nothing; null: it does"),
	FIELD("hint", TEXT_NULL, true, "the remedy"),
	{0},
};
static const struct shape nvidia_shape = {"NvidiaDriver", "What NVIDIA's driver is", nvidia_fields, false};
static const struct field vulkan_device_fields[] = {
	FIELD("name", TEXT, true, "as people name it"),
	FIELD("kind", TEXT, true, "software: a CPU that plays one", .choices = "discrete|integrated|software"),
	FIELD("device", TEXT_NULL, true, "as llama.cpp calls it, Vulkan0; null: it leaves it out"),
	FIELD("pci", TEXT_NULL, true, "its address: 0000:0f:00.0"),
	FIELD("uuid", TEXT, true, "of NVIDIA's the same as in gpus"),
	FIELD("driver", TEXT_NULL, true, "name and version of Vulkan's driver"),
	FIELD("memory_bytes", INT | FIELD_NULL, true, "all"),
	FIELD("memory_free_bytes", INT | FIELD_NULL, true, "free now"),
	{0},
};
static const struct shape vulkan_device_shape = {"VulkanDevice", "A physical device of Vulkan", vulkan_device_fields, false};
static const struct field vulkan_fields[] = {
	FIELD("version", TEXT_NULL, true, "of its loader"),
	LIST_FIELD("devices", "in Vulkan's order", vulkan_device_shape),
	FIELD("why_not", TEXT_NULL, true, "why it tells nothing; null: it does"),
	FIELD("hint", TEXT_NULL, true, "the remedy"),
	{0},
};
static const struct shape vulkan_shape = {"VulkanLoader", "What Vulkan's loader tells", vulkan_fields, false};
const struct field answers_hardware[] = {
	OBJECT_FIELD("cpu", true, "the CPU", cpu_shape),
	OBJECT_FIELD("memory", true, "RAM", memory_shape),
	LIST_FIELD("gpus", "one a card, by PCI address", gpu_shape),
	FIELD("gpus_why_not", FIELD_OBJECT, true, "why a backend lists none, by its name"),
	OBJECT_FIELD("nvidia", true, "NVIDIA's driver", nvidia_shape),
	OBJECT_FIELD("vulkan", true, "Vulkan's loader and drivers", vulkan_shape),
	{0},
};
