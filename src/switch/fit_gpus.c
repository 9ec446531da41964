/* SPDX-License-Identifier: Apache-2.0 */
/* What is free on a GPU that no module has seen yet: NVML and sysfs tell. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu_vulkan.h"
#include "backend/sysfs.h"
#include "base/mem.h"
#include "switch/fit_priv.h"

static bool is_for(const struct gpu *g, const struct backend *b)
{
	return g->kind != GPU_SOFTWARE && g->vendor &&
	       (!b->vendor || strcmp(b->vendor, g->vendor) == 0);
}

/* The one that Vulkan's loader says it is; else the nth that the backend can use, in the order of
 * the bus, as modules mostly count. */
static const struct gpu *find(struct gpus *g, const struct backend *b, const char *device)
{
	unsigned long n = strtoul(device + strcspn(device, "0123456789"), NULL, 10);

	for (size_t i = 0; i < g->vulkan_count; i++) {
		const struct gpu_vulkan *v = &g->vulkan[i];

		if (strcmp(v->device, device) == 0 && vulkan_card(g, v))
			return vulkan_card(g, v);
	}
	for (size_t i = 0; i < g->count; i++)
		if (is_for(&g->list[i], b) && n-- == 0)
			return &g->list[i];
	return NULL;
}

static bool take(struct gpus *g, const struct backend *b, const char *name, struct fit_room *room)
{
	const struct gpu *found = find(g, b, name);
	struct fit_device *one = &room->devices[room->count];

	(void)snprintf(room->name, sizeof(room->name), "%s", name);
	if (!found) {
		(void)snprintf(room->why, sizeof(room->why), "no GPU is seen that it could be");
		return false;
	}
	if (found->free_bytes < 0)
		(void)snprintf(room->why, sizeof(room->why), "its driver does not tell");
	room->one_pool = room->one_pool || found->kind == GPU_INTEGRATED;
	*one = (struct fit_device){.free = found->free_bytes};
	(void)snprintf(one->name, sizeof(one->name), "%s", name);
	room->count++;
	return true;
}

void fit_look_at_gpus(const struct fit_request *r, struct fit_room *room)
{
	CLEANUP(free) char *names = mem_dup(r->device);
	CLEANUP(gpus_done) struct gpus g = {0};
	char *rest = names, *name;

	gpus_read(r->self, sysfs_root(), &g);
	while ((name = strsep(&rest, ",")) && room->count < ARRAY_LEN(room->devices))
		if (!take(&g, r->run->backend, name, room))
			return;
	(void)snprintf(room->name, sizeof(room->name), "%s", room->devices[0].name);
	room->device = room->devices[0].free;
}
