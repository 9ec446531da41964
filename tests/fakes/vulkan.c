/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vulkan's loader, libvulkan.so.1, as far as Shunt asks it. Beside the library a file `vulkan.fake`
 * says what it has, a line each: `device TYPE PCI UUID DRIVER TOTAL FREE NAME` (TYPE 1 integrated,
 * 2 discrete, 4 a CPU; PCI as domain:bus:device.function in hexadecimal, or -; UUID: its last byte;
 * DRIVER: VkDriverId; MiB, FREE - where the driver has no budget), `create CODE` (what
 * vkCreateInstance answers), `hang`, `crash`, `crash-at-end`.
 */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEVICES = 16, HEAPS = 16 };
enum { ID = 1000071004, DRIVER = 1000196000, PCI = 1000212000, BUDGET = 1000237000 };

struct device {
	unsigned type, pci[4], uuid, driver;
	int on_bus;
	long long total, left; /* MiB; left −1: no budget */
	char name[128];
};
static struct {
	int create, crash_at_end;
	unsigned count;
	struct device list[DEVICES];
} fake;

/* A structure of Vulkan: what it is, the next of a chain, its fields. */
struct chain {
	int type;
	struct chain *next;
};

int vkEnumerateInstanceVersion(uint32_t *version);
int vkCreateInstance(const void *info, const void *allocator, void **instance);
int vkEnumeratePhysicalDevices(void *instance, uint32_t *count, void **list);
int vkEnumerateDeviceExtensionProperties(void *device, const char *layer, uint32_t *count,
					 char (*list)[260]);
void vkGetPhysicalDeviceProperties2(void *device, struct chain *properties);
void vkGetPhysicalDeviceMemoryProperties2(void *device, struct chain *memory);
void vkGetPhysicalDeviceFeatures2(void *device, struct chain *features);

/* The number that *text begins with, in that base, and the sign or space after it. */
static unsigned take_number(char **text, int base)
{
	unsigned long n = strtoul(*text, text, base);

	*text += **text != '\0';
	return (unsigned)n;
}

static char *take_word(char **text)
{
	char *word = strsep(text, " ");

	if (!word || !*text)
		abort();
	return word;
}

static void add_device(const char *line)
{
	struct device *d = &fake.list[fake.count];
	char text[256], *rest = text, *pci, *left;

	if (fake.count == DEVICES)
		abort();
	(void)snprintf(text, sizeof(text), "%s", line);
	text[strcspn(text, "\n")] = '\0';
	d->type = take_number(&rest, 10);
	pci = take_word(&rest);
	d->on_bus = pci[0] != '-';
	for (int i = 0; d->on_bus && i < 4; i++)
		d->pci[i] = take_number(&pci, 16);
	d->uuid = take_number(&rest, 10);
	d->driver = take_number(&rest, 10);
	d->total = take_number(&rest, 10);
	left = take_word(&rest);
	d->left = left[0] == '-' ? -1 : strtoll(left, NULL, 10);
	(void)snprintf(d->name, sizeof(d->name), "%s", rest);
	fake.count++;
}

static void obey(const char *line)
{
	if (strncmp(line, "device ", 7) == 0)
		add_device(line + 7);
	else if (strncmp(line, "create ", 7) == 0)
		fake.create = (int)strtol(line + 7, NULL, 10);
	else if (strncmp(line, "crash-at-end", 12) == 0)
		fake.crash_at_end = 1;
	else if (strncmp(line, "crash", 5) == 0)
		abort();
	while (strncmp(line, "hang", 4) == 0)
		(void)pause();
}

__attribute__((destructor)) static void end(void)
{
	if (fake.crash_at_end)
		abort();
}

int vkEnumerateInstanceVersion(uint32_t *version)
{
	*version = 1U << 22 | 3U << 12 | 239;
	return 0;
}

int vkCreateInstance(const void *info, const void *allocator, void **instance)
{
	Dl_info self;
	char path[4096], line[256];
	const char *slash;
	FILE *f;

	(void)info;
	(void)allocator;
	if (!dladdr((void *)&fake, &self) || !(slash = strrchr(self.dli_fname, '/')))
		return -3;
	(void)snprintf(path, sizeof(path), "%.*s/vulkan.fake", (int)(slash - self.dli_fname),
		       self.dli_fname);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		obey(line);
	if (f)
		(void)fclose(f);
	*instance = &fake;
	return fake.create;
}

int vkEnumeratePhysicalDevices(void *instance, uint32_t *count, void **list)
{
	(void)instance;
	for (unsigned i = 0; i < fake.count && i < *count; i++)
		list[i] = &fake.list[i];
	*count = fake.count < *count ? fake.count : *count;
	return 0;
}

int vkEnumerateDeviceExtensionProperties(void *device, const char *layer, uint32_t *count,
					 char (*list)[260])
{
	const struct device *d = device;

	(void)layer;
	*count = 0;
	if (d->on_bus)
		(void)snprintf(list[(*count)++], 256, "VK_EXT_pci_bus_info");
	if (d->left >= 0)
		(void)snprintf(list[(*count)++], 256, "VK_EXT_memory_budget");
	return 0;
}

/* At this offset of a structure: as vulkan_core.h has it. */
static void put(struct chain *c, size_t offset, const void *from, size_t size)
{
	memcpy((char *)c + offset, from, size);
}

static void put_driver(struct chain *c, const struct device *d)
{
	static const char *const names[] = {[3] = "radv", [4] = "NVIDIA", [13] = "llvmpipe"};
	const char *name = d->driver < 14 && names[d->driver] ? names[d->driver] : "other";

	put(c, 16, &d->driver, sizeof(d->driver));
	put(c, 20, name, strlen(name) + 1);
	put(c, 276, "1.2.3", sizeof("1.2.3"));
}

void vkGetPhysicalDeviceProperties2(void *device, struct chain *properties)
{
	const struct device *d = device;

	put(properties, 16 + 16, &d->type, sizeof(d->type));
	put(properties, 16 + 20, d->name, sizeof(d->name));
	for (struct chain *c = properties->next; c; c = c->next) {
		if (c->type == DRIVER)
			put_driver(c, d);
		else if (c->type == ID)
			((uint8_t *)c)[16 + 15] = (uint8_t)d->uuid;
		else if (c->type == PCI)
			put(c, 16, d->pci, sizeof(d->pci));
	}
}

/* Its own memory, then as much of the machine's. */
void vkGetPhysicalDeviceMemoryProperties2(void *device, struct chain *memory)
{
	const struct device *d = device;
	uint32_t count = 2, local = 1;
	uint64_t total = (uint64_t)d->total << 20, used = 0;
	uint64_t left = d->left < 0 ? 0 : (uint64_t)d->left << 20;

	put(memory, 16 + 260, &count, sizeof(count));
	put(memory, 16 + 264, &total, sizeof(total));
	put(memory, 16 + 272, &local, sizeof(local));
	if (d->type == 2)
		put(memory, 16 + 280, &total, sizeof(total));
	for (struct chain *c = memory->next; c; c = c->next)
		if (c->type == BUDGET) {
			put(c, 16, &left, sizeof(left));
			put(c, 16 + 8 * HEAPS, &used, sizeof(used));
		}
}

void vkGetPhysicalDeviceFeatures2(void *device, struct chain *features)
{
	uint32_t yes = 1;

	(void)device;
	put(features->next, 16, &yes, sizeof(yes));
}
