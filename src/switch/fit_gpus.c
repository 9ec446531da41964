/* SPDX-License-Identifier: Apache-2.0 */
/* What is free on a GPU that no module has seen yet: NVML and sysfs tell. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu.h"
#include "switch/fit_priv.h"

static bool is_for(const struct gpu *g, const struct backend *b)
{
	return g->kind != GPU_SOFTWARE && g->vendor &&
	       (!b->vendor || strcmp(b->vendor, g->vendor) == 0);
}

/* The nth that the backend can use: in the order of the bus, as modules mostly count. */
static const struct gpu *find(const struct gpus *g, const struct backend *b, const char *device)
{
	unsigned long n = strtoul(device + strcspn(device, "0123456789"), NULL, 10);

	for (size_t i = 0; i < g->count; i++)
		if (is_for(&g->list[i], b) && n-- == 0)
			return &g->list[i];
	return NULL;
}

void fit_look_at_gpus(const struct fit_request *r, struct fit_room *room)
{
	const char *sys = getenv("SYSFS_PATH"); /* as libsysfs has it */
	CLEANUP(gpus_done) struct gpus g = {0};
	const struct gpu *found;

	(void)snprintf(room->name, sizeof(room->name), "%s", r->device);
	gpus_read(r->self, sys ? sys : "/sys", &g);
	found = find(&g, r->run->backend, r->device);
	if (!found) {
		(void)snprintf(room->why, sizeof(room->why), "no GPU is seen that it could be");
		return;
	}
	room->one_pool = found->kind == GPU_INTEGRATED;
	room->device = found->free_bytes;
	if (found->free_bytes < 0)
		(void)snprintf(room->why, sizeof(room->why), "its driver does not tell");
}
