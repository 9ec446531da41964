/* SPDX-License-Identifier: Apache-2.0 */
/* What amdgpu, xe and i915 tell of a card's memory in sysfs. */

#include <stdio.h>
#include <string.h>

#include "backend/pci.h"
#include "backend/sysfs.h"
#include "base/fs.h"
#include "base/mem.h"

enum { TILES = 8 };

/* Unknown as soon as one of them is. */
static int64_t plus(int64_t a, int64_t b)
{
	int64_t sum;

	return a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum) ? -1 : sum;
}

static void set_used(struct gpu *g, int64_t used)
{
	g->used_bytes = used;
	if (g->memory_bytes >= 0 && used >= 0 && used <= g->memory_bytes)
		g->free_bytes = g->memory_bytes - used;
}

/* An integrated one has a small part of the RAM for itself and as much as it likes of the rest
 * (GTT), and no maker of its memory's chips is known: what it may use is both. */
void pci_memory_amd(const char *folder, struct gpu *g)
{
	int64_t own = sysfs_number(folder, "mem_info_vram_total");
	int64_t shared = sysfs_number(folder, "mem_info_gtt_total");
	int64_t used = sysfs_number(folder, "mem_info_vram_used");
	char maker[32];

	sysfs_text(folder, "mem_info_vram_vendor", maker, sizeof(maker));
	if (maker[0] && strcmp(maker, "unknown") != 0)
		g->kind = GPU_DISCRETE;
	else if (shared >= 0 && own >= 0 && shared >= own)
		g->kind = GPU_INTEGRATED;
	g->memory_bytes = own;
	if (g->kind == GPU_INTEGRATED) {
		g->memory_bytes = plus(own, shared);
		used = plus(used, sysfs_number(folder, "mem_info_gtt_used"));
	}
	set_used(g, used);
}

/* xe: what is built in, a file a tile. */
static int64_t tiles(const char *folder)
{
	int64_t sum = -1;

	for (int i = 0; i < TILES; i++) {
		char file[64];
		int64_t one;

		(void)snprintf(file, sizeof(file), "tile%d/physical_vram_size_bytes", i);
		one = sysfs_number(folder, file);
		if (one < 0)
			break;
		sum = sum < 0 ? one : plus(sum, one);
	}
	return sum;
}

struct cards {
	const char *folder;
	struct gpu *gpu;
};

/* i915: only Intel's own release of it, in the folder of the card. */
static bool read_local(void *arg, const char *name, struct err *e)
{
	const struct cards *at = arg;
	CLEANUP(free) char *card = fs_join(at->folder, name);
	int64_t left = sysfs_number(card, "lmem_avail_bytes");

	if (strncmp(name, "card", 4) != 0 || strchr(name, '-') || at->gpu->memory_bytes >= 0)
		return true;
	at->gpu->memory_bytes = sysfs_number(card, "lmem_total_bytes");
	if (left >= 0 && left <= at->gpu->memory_bytes)
		set_used(at->gpu, at->gpu->memory_bytes - left);
	return true;
}

void pci_memory_intel(const char *folder, struct gpu *g)
{
	CLEANUP(free) char *cards = fs_join(folder, "drm");
	struct cards at = {cards, g};
	struct err ignored = {0};

	if (g->kind != GPU_DISCRETE)
		return;
	g->memory_bytes = tiles(folder);
	if (g->memory_bytes < 0)
		(void)!fs_each(cards, read_local, &at, &ignored);
}
