/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/pci.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/sysfs.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#define DISPLAY 0x03 /* the first byte of a PCI class; 0x0302 has no screen, as in servers */

/* An integrated one: at this address since Intel has them. */
#define INTELS_OWN "0000:00:02.0"

static const struct {
	unsigned id;
	const char *name;
} vendors[] = {{0x10de, "nvidia"}, {0x1002, "amd"}, {0x8086, "intel"}};

static const char *vendor_of(int64_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(vendors); i++)
		if ((int64_t)vendors[i].id == id)
			return vendors[i].name;
	return NULL;
}

/* The name of what the link `driver` points to. */
static void read_driver(const char *folder, char *ret, size_t size)
{
	CLEANUP(free) char *path = fs_join(folder, "driver");
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	if (len <= 0)
		return;
	target[len] = '\0';
	slash = strrchr(target, '/');
	(void)snprintf(ret, size, "%.*s", (int)size - 1, slash ? slash + 1 : target);
}

/* Most have none of their own: they are the kernel's. */
static void read_version(const char *sys, struct gpu *g)
{
	CLEANUP(free) char *module = mem_printf("%s/module/%s", sys, g->driver);

	if (g->driver[0])
		sysfs_text(module, "version", g->driver_version, sizeof(g->driver_version));
}

struct bus {
	const char *sys, *folder;
	struct gpus *gpus;
};

static bool read_device(void *arg, const char *address, struct err *e)
{
	struct bus *bus = arg;
	CLEANUP(free) char *folder = fs_join(bus->folder, address);
	int64_t class = sysfs_number(folder, "class"), vendor = sysfs_number(folder, "vendor");
	struct gpu *g;

	if (class < 0 || class >> 16 != DISPLAY || !vendor_of(vendor) ||
	    strlen(address) >= sizeof(g->pci))
		return true;
	g = gpus_add(bus->gpus);
	g->vendor = vendor_of(vendor);
	(void)snprintf(g->pci, sizeof(g->pci), "%s", address);
	(void)snprintf(g->id, sizeof(g->id), "%04x:%04x", (unsigned)vendor & 0xffff,
		       (unsigned)sysfs_number(folder, "device") & 0xffff);
	read_driver(folder, g->driver, sizeof(g->driver));
	read_version(bus->sys, g);
	if (strcmp(g->driver, "amdgpu") == 0) {
		sysfs_text(folder, "product_name", g->name, sizeof(g->name));
		pci_memory_amd(folder, g);
	} else if (strcmp(g->vendor, "intel") == 0) {
		g->kind = strcmp(address, INTELS_OWN) == 0 ? GPU_INTEGRATED : GPU_DISCRETE;
		pci_memory_intel(folder, g);
	}
	return true;
}

void pci_read(const char *sys, struct gpus *ret)
{
	CLEANUP(free) char *folder = fs_join(sys, "bus/pci/devices");
	struct bus bus = {sys, folder, ret};
	struct err e = {0};

	if (!fs_each(folder, read_device, &bus, &e)) /* a machine without PCI */
		log_debug("no PCI bus: %s, continuing", e.msg);
}
