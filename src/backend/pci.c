/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/pci.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Text of a file of the device, without the line's end; "" when there is none. */
static void read_text(const char *folder, const char *file, char *ret, size_t size)
{
	CLEANUP(free) char *path = fs_join(folder, file);
	CLEANUP(free) char *text = NULL;
	struct err ignored = {0};

	ret[0] = '\0';
	if (!fs_read(path, 1 << 16, &text, NULL, &ignored))
		return;
	text[strcspn(text, "\n")] = '\0';
	for (char *c = text; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	(void)snprintf(ret, size, "%s", text);
}

/* A number as sysfs writes it, "0x10de" or "17163091968"; −1: none. */
static int64_t read_number(const char *folder, const char *file)
{
	char text[32];
	char *end;
	long long n;

	read_text(folder, file, text, sizeof(text));
	n = strtoll(text, &end, 0);
	return end == text || *end || n < 0 ? -1 : (int64_t)n;
}

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

/* amdgpu's. An integrated one has a small part of the RAM for itself and as much as it likes of
 * the rest (GTT), and no maker of its memory's chips is known. */
static void read_amd(const char *folder, struct gpu *g)
{
	int64_t shared = read_number(folder, "mem_info_gtt_total");
	char maker[32];

	read_text(folder, "mem_info_vram_vendor", maker, sizeof(maker));
	read_text(folder, "product_name", g->name, sizeof(g->name));
	g->memory_bytes = read_number(folder, "mem_info_vram_total");
	g->used_bytes = read_number(folder, "mem_info_vram_used");
	if (g->memory_bytes >= 0 && g->used_bytes >= 0 && g->used_bytes <= g->memory_bytes)
		g->free_bytes = g->memory_bytes - g->used_bytes;
	if (maker[0] && strcmp(maker, "unknown") != 0)
		g->kind = GPU_DISCRETE;
	else if (shared >= 0 && g->memory_bytes >= 0 && shared >= g->memory_bytes)
		g->kind = GPU_INTEGRATED;
}

struct bus {
	const char *folder;
	struct gpus *gpus;
};

static bool read_device(void *arg, const char *address, struct err *e)
{
	struct bus *bus = arg;
	CLEANUP(free) char *folder = fs_join(bus->folder, address);
	int64_t class = read_number(folder, "class"), vendor = read_number(folder, "vendor");
	struct gpu *g;

	if (class < 0 || class >> 16 != DISPLAY || !vendor_of(vendor) ||
	    strlen(address) >= sizeof(g->pci))
		return true;
	g = gpus_add(bus->gpus);
	g->vendor = vendor_of(vendor);
	(void)snprintf(g->pci, sizeof(g->pci), "%s", address);
	(void)snprintf(g->id, sizeof(g->id), "%04x:%04x", (unsigned)vendor & 0xffff,
		       (unsigned)read_number(folder, "device") & 0xffff);
	read_driver(folder, g->driver, sizeof(g->driver));
	if (strcmp(g->driver, "amdgpu") == 0)
		read_amd(folder, g);
	else if (strcmp(g->vendor, "intel") == 0)
		g->kind = strcmp(address, INTELS_OWN) == 0 ? GPU_INTEGRATED : GPU_DISCRETE;
	return true;
}

void pci_read(const char *sys, struct gpus *ret)
{
	CLEANUP(free) char *folder = fs_join(sys, "bus/pci/devices");
	struct bus bus = {folder, ret};
	struct err e = {0};

	if (!fs_each(folder, read_device, &bus, &e)) /* a machine without PCI */
		log_debug("no PCI bus: %s, continuing", e.msg);
}
