/* SPDX-License-Identifier: Apache-2.0 */
/* Which GPU is it that a module calls Vulkan0? llama.cpp says a name and the memory of it alone;
 * Vulkan's loader says where the card is. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "backend/gpu_vulkan.h"
#include "base/mem.h"

static const struct {
	const char *word, *vendor;
} words[] = {
	{"NVIDIA", "nvidia"}, {"GeForce", "nvidia"}, {"Tesla", "nvidia"},
	{"AMD", "amd"},       {"Radeon", "amd"},     {"Intel", "intel"},
};

static const char *vendor_of(const struct gpu_sighting *s)
{
	if (s->backend->vendor)
		return s->backend->vendor;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasestr(s->name, words[i].word))
			return words[i].vendor;
	return NULL;
}

static bool is_taken(const struct gpu *g, const struct backend *b)
{
	for (size_t i = 0; i < g->device_count; i++)
		if (g->devices[i].backend == b)
			return true;
	return false;
}

/* NVML counts what the driver keeps for itself, others do not. */
static bool is_of_size(int64_t a, int64_t b)
{
	int64_t differ = a > b ? a - b : b - a;

	return a > 0 && b > 0 && differ <= a / 10;
}

typedef bool fits_fn(const struct gpu *g, const struct gpu_sighting *s);

static bool has_name(const struct gpu *g, const struct gpu_sighting *s)
{
	return strcmp(g->name, s->name) == 0;
}

static bool has_maker(const struct gpu *g, const struct gpu_sighting *s)
{
	const char *vendor = vendor_of(s);

	return vendor && g->vendor && strcmp(vendor, g->vendor) == 0;
}

static bool has_maker_and_size(const struct gpu *g, const struct gpu_sighting *s)
{
	return has_maker(g, s) && is_of_size(g->memory_bytes, s->memory_bytes);
}

/* The first that fits and has no device of this backend yet; NULL: none. */
static struct gpu *first(struct gpus *g, const struct gpu_sighting *s, fits_fn *fits,
			 size_t *ret_count)
{
	struct gpu *found = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < g->count; i++) {
		struct gpu *each = &g->list[i];

		if ((each->kind == GPU_SOFTWARE) != s->software || is_taken(each, s->backend) ||
		    each->device_count == ARRAY_LEN(each->devices) || !fits(each, s))
			continue;
		found = found ? found : each;
		++*ret_count;
	}
	return found;
}

static bool is_it(const struct gpu_vulkan *v, const struct gpu_sighting *s)
{
	return strcmp(v->name, s->name) == 0 && is_of_size(v->memory_bytes, s->memory_bytes);
}

/* Where a module's device stands in Vulkan's own list: by llama.cpp's number, if that agrees, else
 * the only one that it could be (variables may have changed the numbers). NULL: not known. */
static const struct gpu_vulkan *in_vulkan(const struct gpus *g, const struct gpu_sighting *s)
{
	const struct gpu_vulkan *only = NULL;
	size_t count = 0;

	for (size_t i = 0; i < g->vulkan_count; i++) {
		const struct gpu_vulkan *v = &g->vulkan[i];

		if (strncmp(s->device, VULKAN_PREFIX, sizeof(VULKAN_PREFIX) - 1) != 0 ||
		    !is_it(v, s))
			continue;
		if (strcmp(v->device, s->device) == 0)
			return v;
		only = v;
		count++;
	}
	return count == 1 ? only : NULL;
}

static struct gpu *find(struct gpus *g, const struct gpu_sighting *s, const struct gpu_vulkan *v)
{
	size_t count;
	struct gpu *found = v ? vulkan_card(g, v) : NULL;

	if (found && found->device_count < ARRAY_LEN(found->devices))
		return found;
	found = first(g, s, has_name, &count);

	if (!found && !s->software)
		found = first(g, s, has_maker_and_size, &count);
	if (!found && !s->software) {
		found = first(g, s, has_maker, &count);
		if (count != 1)
			found = NULL;
	}
	return found;
}

/* What the hardware said counts more. */
static void fill(struct gpu *g, const struct gpu_sighting *s)
{
	if (!g->name[0])
		(void)snprintf(g->name, sizeof(g->name), "%s", s->name);
	if (!g->vendor && !s->software)
		g->vendor = vendor_of(s);
	if (s->software)
		g->kind = GPU_SOFTWARE;
	else if (g->kind == GPU_UNSURE && s->in_ram)
		g->kind = GPU_INTEGRATED;
	if (g->memory_bytes < 0) {
		g->memory_bytes = s->memory_bytes;
		g->free_bytes = s->free_bytes;
	}
}

void gpus_sight(struct gpus *g, const struct gpu_sighting *s)
{
	const struct gpu_vulkan *v = in_vulkan(g, s);
	struct gpu *found = find(g, s, v);
	struct gpu_device *d;

	if (!found)
		found = gpus_add(g);
	fill(found, s);
	d = &found->devices[found->device_count++];
	d->backend = s->backend;
	(void)snprintf(d->name, sizeof(d->name), "%s", s->device);
	(void)snprintf(d->driver, sizeof(d->driver), "%.*s", (int)sizeof(d->driver) - 1,
		       v && v->driver[0] ? v->driver : s->driver);
}
