/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine is made of, and what of a GPU a worker has. */

#include <stdlib.h>

#include "api/handlers.h"
#include "backend/gpu_watch.h"
#include "backend/hardware.h"
#include "backend/sysfs.h"

static json_t *text_or_null(const char *s)
{
	return answer_text(s && s[0] ? s : NULL);
}

static json_t *known(int64_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static void set(json_t *j, const char *name, json_t *value)
{
	json_object_set_new(j, name, value);
}

/* --- a worker's memory -------------------------------------------------- */

/* The driver counts its own part of a process too, so less than the worker's buffers is of another
 * one: in a container, pids may be the host's. */
int64_t worker_device_bytes(struct api *a, const struct worker *w)
{
	struct worker_took took = {0};
	int64_t measured, said;

	worker_took(w, &took);
	said = memory_sum(&took.memory.device);
	if (said == 0)
		return 0;
	measured = gpu_watch_process_bytes(a->s.gpus, worker_pid(w));
	return measured >= said ? measured : said;
}

/* --- GPUs --------------------------------------------------------------- */

static json_t *gpu_devices_json(const struct gpu *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->device_count; i++) {
		const struct gpu_device *d = &g->devices[i];
		json_t *j = json_object();

		set(j, "backend", answer_text(d->backend->name));
		set(j, "device", answer_text(d->name));
		set(j, "driver", text_or_null(d->driver));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *gpu_name(const struct gpu *g)
{
	CLEANUP(free) char *made = mem_printf("%s %s", g->vendor ? g->vendor : "GPU", g->id);

	return answer_text(g->name[0] ? g->name : made);
}

static json_t *gpu_json(const struct gpu *g)
{
	json_t *j = json_object();

	set(j, "name", gpu_name(g));
	set(j, "kind", answer_text(gpu_kind_name(g->kind)));
	set(j, "vendor", text_or_null(g->vendor));
	set(j, "pci", text_or_null(g->pci));
	set(j, "uuid", text_or_null(g->uuid));
	set(j, "compute_capability", text_or_null(g->capability));
	set(j, "driver", text_or_null(g->driver));
	set(j, "driver_version", text_or_null(g->driver_version));
	set(j, "memory_bytes", known(g->memory_bytes));
	set(j, "memory_used_bytes", known(g->used_bytes));
	set(j, "memory_free_bytes", known(g->free_bytes));
	set(j, "devices", gpu_devices_json(g));
	return j;
}

static json_t *nvidia_json(const struct gpus *g)
{
	json_t *j = json_object();

	set(j, "driver", text_or_null(g->nvidia_driver));
	set(j, "cuda", text_or_null(g->nvidia_cuda));
	set(j, "why_not", text_or_null(g->nvidia_why_not.msg));
	set(j, "hint", text_or_null(g->nvidia_why_not.hint));
	return j;
}

static json_t *vulkan_device_json(const struct gpu_vulkan *v)
{
	json_t *j = json_object();

	set(j, "name", answer_text(v->name));
	set(j, "kind", answer_text(gpu_kind_name(v->kind)));
	set(j, "device", text_or_null(v->device));
	set(j, "pci", text_or_null(v->pci));
	set(j, "uuid", answer_text(v->uuid));
	set(j, "driver", text_or_null(v->driver));
	set(j, "memory_bytes", known(v->memory_bytes));
	set(j, "memory_free_bytes", known(v->free_bytes));
	return j;
}

static json_t *vulkan_json(const struct gpus *g)
{
	json_t *j = json_object(), *list = json_array();

	for (size_t i = 0; i < g->vulkan_count; i++)
		json_array_append_new(list, vulkan_device_json(&g->vulkan[i]));
	set(j, "version", text_or_null(g->vulkan_version));
	set(j, "devices", list);
	set(j, "why_not", text_or_null(g->vulkan_why_not.msg));
	set(j, "hint", text_or_null(g->vulkan_why_not.hint));
	return j;
}

static void sight(struct gpus *g, const struct backend *b, const struct env_device *d,
		  const char *driver)
{
	const struct gpu_sighting s = {
		.backend = b,
		.device = d->name,
		.name = d->title,
		.driver = driver,
		.memory_bytes = d->total_bytes,
		.free_bytes = d->free_bytes,
		.in_ram = d->in_ram,
		.software = d->software,
	};

	gpus_sight(g, &s);
}

/* Lays what the modules list over the GPUs; why some list nothing. */
static json_t *sight_all(struct api *a, struct gpus *g)
{
	json_t *why_not = json_object();

	for (const struct backend *const *b = backend_all(); *b; b++) {
		struct backend_devices devices;

		backend_devices(a, *b, &devices);
		for (size_t i = 0; i < devices.count; i++)
			sight(g, *b, &devices.list[i], devices.driver);
		if (devices.why_not[0])
			set(why_not, (*b)->name, answer_text(devices.why_not));
		free(devices.list);
	}
	return why_not;
}

json_t *gpus_seen(struct api *a, struct gpus *ret)
{

	gpus_read(a->s.self, sysfs_root(), ret);
	return sight_all(a, ret);
}

static void set_gpus(struct call *c)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	json_t *list = json_array();

	call_set(c, "gpus_why_not", gpus_seen(c->api, &g));
	for (size_t i = 0; i < g.count; i++)
		json_array_append_new(list, gpu_json(&g.list[i]));
	call_set(c, "gpus", list);
	call_set(c, "nvidia", nvidia_json(&g));
	call_set(c, "vulkan", vulkan_json(&g));
}

bool hardware_detect(struct call *c, struct err *e)
{
	json_t *cpu = json_object(), *memory = json_object();
	struct hardware hw = {0};

	hardware_read(&hw);
	set(cpu, "name", answer_text(hw.cpu_name));
	set(cpu, "cores", json_integer(hw.cores));
	set(cpu, "avx2", json_boolean(hw.avx2));
	set(cpu, "avx512", json_boolean(hw.avx512));
	set(memory, "total_bytes", json_integer(hw.memory_bytes));
	set(memory, "free_bytes", json_integer(hw.memory_free_bytes));
	call_set(c, "cpu", cpu);
	call_set(c, "memory", memory);
	set_gpus(c);
	return true;
}
