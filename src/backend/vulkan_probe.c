/* SPDX-License-Identifier: Apache-2.0 */
/* The child that asks Vulkan's loader. Its types are those of vulkan_core.h, which is not needed to
 * build us. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/gpu_vulkan.h"
#include "backend/probe.h"
#include "base/mem.h"

#define LIBRARY "libvulkan.so.1"
enum { DEVICES_MAX = 64, EXTENSIONS_MAX = 1024 };
enum { SUCCESS = 0, INCOMPLETE = 5 };
enum { DEVICE_LOCAL = 1, INTEGRATED = 1 };
#define VERSION_1_0 (1U << 22)

/* VkStructureType */
enum {
	APPLICATION_INFO = 0,
	INSTANCE_CREATE_INFO = 1,
	VULKAN_1_1_FEATURES = 49,
	FEATURES_2 = 1000059000,
	PROPERTIES_2 = 1000059001,
	MEMORY_PROPERTIES_2 = 1000059006,
	ID_PROPERTIES = 1000071004,
	DRIVER_PROPERTIES = 1000196000,
	PCI_BUS_INFO = 1000212000,
	MEMORY_BUDGET = 1000237000
};

struct head {
	int type;
	void *next;
};
struct application {
	struct head head;
	const char *name;
	uint32_t version;
	const char *engine;
	uint32_t engine_version, api_version;
};
struct create {
	struct head head;
	uint32_t flags;
	const struct application *application;
	uint32_t layer_count;
	const char *const *layers;
	uint32_t extension_count;
	const char *const *extensions;
};
struct properties {
	struct head head;
	uint32_t api_version, driver_version, vendor, device, type;
	char name[256];
	uint8_t cache_uuid[16];
	uint64_t limits[66]; /* with what stands behind them */
};
struct id {
	struct head head;
	uint8_t device_uuid[16], driver_uuid[16], luid[8];
	uint32_t node_mask, luid_valid;
};
struct driver {
	struct head head;
	uint32_t id;
	char name[256], info[256];
	uint8_t conformance[4];
};
struct pci {
	struct head head;
	uint32_t domain, bus, device, function;
};
struct memory {
	struct head head;
	uint32_t type_count, types[32][2], heap_count;
	struct {
		uint64_t size;
		uint32_t flags;
	} heaps[16];
};
struct budget {
	struct head head;
	uint64_t budget[16], usage[16];
};
struct features {
	struct head head;
	uint32_t all[55];
};
struct features_11 {
	struct head head;
	uint32_t storage_16_bit, others[11];
};
struct extension {
	char name[256];
	uint32_t version;
};
_Static_assert(sizeof(struct create) == 64 && sizeof(struct application) == 48, "VkInstance…");
_Static_assert(sizeof(struct properties) == 840, "VkPhysicalDeviceProperties2");
_Static_assert(sizeof(struct id) == 64, "VkPhysicalDeviceIDProperties");
_Static_assert(sizeof(struct driver) == 536, "VkPhysicalDeviceDriverProperties");
_Static_assert(sizeof(struct pci) == 32, "VkPhysicalDevicePCIBusInfoPropertiesEXT");
_Static_assert(sizeof(struct memory) == 536, "VkPhysicalDeviceMemoryProperties2");
_Static_assert(sizeof(struct budget) == 272, "VkPhysicalDeviceMemoryBudgetPropertiesEXT");
_Static_assert(sizeof(struct extension) == 260, "VkExtensionProperties");

struct vulkan {
	int (*version)(uint32_t *version);
	int (*create)(const struct create *info, const void *allocator, void **instance);
	int (*devices)(void *instance, uint32_t *count, void **list);
	int (*extensions)(void *device, const char *layer, uint32_t *count, struct extension *list);
	void (*properties)(void *device, struct properties *properties);
	void (*memory)(void *device, struct memory *memory);
	void (*features)(void *device, struct features *features);
};

static const struct probe_function functions[] = {
	{offsetof(struct vulkan, version), "vkEnumerateInstanceVersion", NULL},
	{offsetof(struct vulkan, create), "vkCreateInstance", NULL},
	{offsetof(struct vulkan, devices), "vkEnumeratePhysicalDevices", NULL},
	{offsetof(struct vulkan, extensions), "vkEnumerateDeviceExtensionProperties", NULL},
	{offsetof(struct vulkan, properties), "vkGetPhysicalDeviceProperties2", NULL},
	{offsetof(struct vulkan, memory), "vkGetPhysicalDeviceMemoryProperties2", NULL},
	{offsetof(struct vulkan, features), "vkGetPhysicalDeviceFeatures2", NULL},
};

static bool has_extension(const struct vulkan *v, void *device, const char *name)
{
	static struct extension list[EXTENSIONS_MAX];
	uint32_t count = EXTENSIONS_MAX;
	int a = v->extensions(device, NULL, &count, list);

	for (uint32_t i = 0; (a == SUCCESS || a == INCOMPLETE) && i < count; i++)
		if (strncmp(list[i].name, name, sizeof(list[i].name)) == 0)
			return true;
	return false;
}

/* A driver's text between our tabs, and one more. */
static void print_text(const char *text, size_t size)
{
	for (size_t i = 0; i < size && text[i]; i++)
		(void)putchar((unsigned char)text[i] < ' ' ? ' ' : text[i]);
	(void)putchar('\t');
}

/* As NVML writes the same bytes: GPU-00112233-4455-6677-8899-aabbccddeeff */
static void print_uuid(const uint8_t *bytes)
{
	(void)fputs("GPU", stdout);
	for (int i = 0; i < 16; i++)
		printf("%s%02x", i == 0 || (i >= 4 && i <= 10 && i % 2 == 0) ? "-" : "", bytes[i]);
	(void)putchar('\t');
}

/* As ggml-vulkan adds it up; what is free is not known where the driver has no budget. */
static void print_memory(const struct vulkan *v, void *device, bool integrated)
{
	struct budget b = {.head = {.type = MEMORY_BUDGET}};
	struct memory m = {.head = {.type = MEMORY_PROPERTIES_2}};
	bool has_budget = has_extension(v, device, "VK_EXT_memory_budget");
	uint64_t total = 0, free_now = 0;

	m.head.next = has_budget ? &b : NULL;
	v->memory(device, &m);
	for (uint32_t i = 0; i < m.heap_count && i < 16; i++) {
		if (!integrated && !(m.heaps[i].flags & DEVICE_LOCAL))
			continue;
		total += m.heaps[i].size;
		free_now += b.budget[i] > b.usage[i] ? b.budget[i] - b.usage[i] : 0;
	}
	printf("%llu\t", (unsigned long long)total);
	if (has_budget)
		printf("%llu", (unsigned long long)free_now);
	(void)putchar('\t');
}

static bool has_16_bit(const struct vulkan *v, void *device)
{
	struct features_11 one = {.head = {.type = VULKAN_1_1_FEATURES}};
	struct features all = {.head = {.type = FEATURES_2, .next = &one}};

	v->features(device, &all);
	return one.storage_16_bit;
}

static void print_device(const struct vulkan *v, void *device)
{
	struct pci pci = {.head = {.type = PCI_BUS_INFO}};
	struct id id = {.head = {.type = ID_PROPERTIES}};
	struct driver driver = {.head = {.type = DRIVER_PROPERTIES, .next = &id}};
	struct properties p = {.head = {.type = PROPERTIES_2, .next = &driver}};
	bool on_bus = has_extension(v, device, "VK_EXT_pci_bus_info");

	id.head.next = on_bus ? &pci : NULL;
	v->properties(device, &p);
	printf("device\t");
	print_text(p.name, sizeof(p.name));
	printf("%u\t", p.type);
	if (on_bus)
		printf("%04x:%02x:%02x.%x", pci.domain, pci.bus, pci.device, pci.function);
	(void)putchar('\t');
	print_uuid(id.device_uuid);
	printf("%u\t", driver.id);
	print_text(driver.name, sizeof(driver.name));
	print_text(driver.info, sizeof(driver.info));
	print_memory(v, device, p.type == INTEGRATED);
	printf("%d\n", has_16_bit(v, device));
}

static int print_all(const struct vulkan *v, uint32_t version)
{
	struct application app = {
		.head = {.type = APPLICATION_INFO}, .name = "shunt", .api_version = version};
	struct create info = {.head = {.type = INSTANCE_CREATE_INFO}, .application = &app};
	static void *list[DEVICES_MAX];
	uint32_t count = DEVICES_MAX;
	void *instance = NULL;
	int a = v->create(&info, NULL, &instance);

	if (a != SUCCESS)
		return probe_refuse(a);
	a = v->devices(instance, &count, list);
	if (a != SUCCESS && a != INCOMPLETE)
		return probe_refuse(a);
	printf("version\t%u.%u.%u\n", version >> 22 & 0x7f, version >> 12 & 0x3ff, version & 0xfff);
	for (uint32_t i = 0; i < count && i < DEVICES_MAX; i++)
		print_device(v, list[i]);
	return 0;
}

int vulkan_probe_main(void)
{
	struct vulkan v = {0};
	void *library = probe_open(LIBRARY, functions, ARRAY_LEN(functions), &v);
	uint32_t version = VERSION_1_0;
	int status;

	if (!library)
		return PROBE_NO_LIBRARY;
	if (v.version)
		(void)v.version(&version);
	if (!v.create || !v.devices || !v.extensions || !v.properties || !v.memory || !v.features)
		status = probe_refuse(VULKAN_TOO_OLD);
	else
		status = print_all(&v, version);
	/* Some drivers crash at the end of who used them: what they said is out before. */
	(void)fflush(stdout);
	_exit(status);
}
