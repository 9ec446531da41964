/* SPDX-License-Identifier: Apache-2.0 */
/* What is free, now. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/hardware.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "env/env_devices.h"
#include "switch/fit_priv.h"

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

struct probe {
	const struct fit_request *r;
	int64_t until; /* monotonic ms */
};

static bool probe_over(void *arg)
{
	const struct probe *p = arg;

	return clock_ms() > p->until || (p->r->cancelled && p->r->cancelled(p->r->arg));
}

static const struct env_device *find_device(const struct env_device *list, size_t count,
					    const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

static void miss(struct fit_room *room, const char *why)
{
	room->missing = true;
	(void)snprintf(room->why, sizeof(room->why), "%s", why);
}

/* Each that was asked for; false: the driver does not list one. */
static bool take_devices(const char *asked, const struct env_device *list, size_t count,
			 struct fit_room *room)
{
	CLEANUP(free) char *names = mem_dup(asked);
	char *rest = names, *name;

	while ((name = strsep(&rest, ",")) && room->count < ARRAY_LEN(room->devices)) {
		const struct env_device *d = find_device(list, count, name);
		struct fit_device *one = &room->devices[room->count++];

		(void)snprintf(room->name, sizeof(room->name), "%s", name);
		if (!d)
			return false;
		*one = (struct fit_device){.free = -1};
		(void)snprintf(one->name, sizeof(one->name), "%s", name);
		room->one_pool = room->one_pool || d->in_ram;
		/* ggml-vulkan says that all is free where the driver has no budget to tell. */
		if (d->free_bytes > 0 && d->free_bytes < d->total_bytes)
			one->free = d->free_bytes;
		else
			(void)snprintf(room->why, sizeof(room->why), "the driver does not tell");
	}
	return true;
}

/* In one pool it is the same memory that all tell of. */
static void take_first(struct fit_room *room)
{
	(void)snprintf(room->name, sizeof(room->name), "%s", room->devices[0].name);
	room->device = room->devices[0].free;
}

static void probe_devices(const struct fit_request *r, struct fit_room *room)
{
	CLEANUP(free) struct env_device *list = NULL;
	int64_t wait_ms = r->probe_ms > 0 ? r->probe_ms : FIT_PROBE_MS;
	struct probe probe = {.r = r, .until = clock_ms() + wait_ms};
	struct err e = {0};
	size_t count = 0;

	(void)snprintf(room->name, sizeof(room->name), "%s", r->device);

	if (!env_devices_ask(r->run, probe_over, &probe, &list, &count, &e)) {
		if (e.kind == ERR_CANCELLED)
			(void)snprintf(room->why, sizeof(room->why),
				       "the driver did not answer within %lld s",
				       (long long)wait_ms / 1000);
		else
			(void)snprintf(room->why, sizeof(room->why), "%.120s", e.msg);
		room->missing = e.kind == ERR_UNAVAILABLE;
		return;
	}
	if (take_devices(r->device, list, count, room))
		take_first(room);
	else
		miss(room, "the driver does not list it");
}

/* Pages of files that workers use, which the kernel counts as available. */
static int64_t pages_in_use(const struct fit_request *r)
{
	int64_t sum = 0;

	for (size_t i = 0; i < r->pid_count; i++)
		sum += proc_mapped_bytes(r->pids[i]);
	return sum;
}

static int64_t left_of_limit(const struct fit_request *r)
{
	int64_t used = 0;

	for (size_t i = 0; i < r->pid_count; i++)
		used += proc_memory_bytes(r->pids[i]);
	return larger(r->memory_limit - used, 0);
}

static void look_at_ram(const struct fit_request *r, struct fit_room *room)
{
	struct hardware hw;

	hardware_read(&hw);
	if (hw.memory_bytes > 0)
		room->ram = larger(hw.memory_free_bytes - pages_in_use(r), 0);
	if (room->one_pool && room->device >= 0 && room->ram >= 0)
		room->ram = smaller(room->ram, room->device);
	if (r->memory_limit > 0 && room->ram >= 0) {
		int64_t left = left_of_limit(r);

		room->limited = left < room->ram;
		room->ram = smaller(room->ram, left);
	}
}

void fit_look(const struct fit_request *r, struct fit_room *ret)
{
	*ret = (struct fit_room){.device = -1, .ram = -1};
	(void)snprintf(ret->name, sizeof(ret->name), "%s", r->run->backend->title);
	if (!r->run->backend->device_prefix)
		ret->one_pool = true;
	else if (r->run->base_dir)
		probe_devices(r, ret);
	else
		fit_look_at_gpus(r, ret);
	look_at_ram(r, ret);
}
