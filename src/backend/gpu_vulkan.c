/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/gpu_vulkan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/probe.h"
#include "base/mem.h"

/* --- why not ------------------------------------------------------------ */

static bool refused(int code, struct err *e)
{
	static const int incompatible = -9; /* VK_ERROR_INCOMPATIBLE_DRIVER */

	if (code == VULKAN_TOO_OLD)
		(void)err_set(e, ERR_UNAVAILABLE, "Vulkan's loader is older than Vulkan 1.1");
	else if (code == incompatible)
		(void)err_set(e, ERR_UNAVAILABLE, "Vulkan's loader finds no driver");
	else
		(void)err_set(e, ERR_UNAVAILABLE,
			      "Vulkan's loader or a driver of it refuses to "
			      "start (VkResult %d)",
			      code);
	return err_hint(e, "shunt doctor vulkan names the driver's package");
}

static const struct probe probe = {
	.word = "probe-vulkan",
	.driver = "Vulkan's drivers",
	.library = "Vulkan's loader",
	.absent = "no Vulkan: there is no libvulkan.so.1",
	.absent_remedy = "install Vulkan's loader: shunt doctor vulkan",
	.again = "one of the drivers in /usr/share/vulkan/icd.d is broken: remove or update it",
	.hangs = "one of the drivers in /usr/share/vulkan/icd.d hangs: remove or update it, or "
		 "restart the machine",
	.refused = refused,
};

/* --- what it says ------------------------------------------------------- */

/* What decides which of two devices that are one card llama.cpp takes. */
struct candidate {
	struct gpu_vulkan is;
	int driver_id;
	bool usable;
};

static void copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%.*s", (int)size - 1, from);
}

static enum gpu_kind kind_of(const char *type)
{
	static const enum gpu_kind kinds[] = {
		[1] = GPU_INTEGRATED, [2] = GPU_DISCRETE, [4] = GPU_SOFTWARE};
	int64_t n = probe_number(type);

	return n >= 0 && n < (int64_t)ARRAY_LEN(kinds) ? kinds[n] : GPU_UNSURE;
}

/* name, type, PCI address, UUID, driver's id, name, version, memory, free of it,
 * whether it has what llama.cpp needs */
static void take_device(struct candidate *c, char *const *f)
{
	struct gpu_vulkan *v = &c->is;

	v->kind = kind_of(f[2]);
	copy(v->name, sizeof(v->name), f[1]);
	copy(v->pci, sizeof(v->pci), f[3]);
	copy(v->uuid, sizeof(v->uuid), f[4]);
	c->driver_id = (int)probe_number(f[5]);
	(void)snprintf(v->driver, sizeof(v->driver), "%.60s%s%.90s", f[6], f[7][0] ? " " : "",
		       f[7]);
	v->memory_bytes = probe_number(f[8]);
	v->free_bytes = probe_number(f[9]);
	c->usable = strcmp(f[10], "1") == 0;
}

/* --- which of them llama.cpp takes -------------------------------------- */

/* ggml_vk_instance_init()'s, by VkDriverId; others after these. */
static int rank(int driver_id)
{
	static const int mesa_first[] = {
		[1] = 3,    /* AMD, proprietary */
		[2] = 2,    /* AMD, open */
		[3] = 1,    /* RADV */
		[4] = 1,    /* NVIDIA */
		[6] = 1,    /* ANV */
		[23] = 100, /* Dozen */
		[24] = 2,   /* NVK */
	};
	int n = driver_id >= 0 && driver_id < (int)ARRAY_LEN(mesa_first) ? mesa_first[driver_id]
									 : 0;

	return n > 0 ? n : 1000;
}

/* Discrete and integrated ones; of those that are one card under two drivers the better one. */
static size_t choose(struct candidate *list, size_t count, size_t *ret)
{
	size_t chosen = 0;

	for (size_t i = 0; i < count; i++) {
		size_t same = 0;
		enum gpu_kind k = list[i].is.kind;

		if (!list[i].usable || (k != GPU_DISCRETE && k != GPU_INTEGRATED))
			continue;
		while (same < chosen && strcmp(list[ret[same]].is.uuid, list[i].is.uuid) != 0)
			same++;
		if (same < chosen && rank(list[i].driver_id) >= rank(list[ret[same]].driver_id))
			continue;
		if (same < chosen) { /* the better one stands at the end */
			memmove(&ret[same], &ret[same + 1], (chosen - same - 1) * sizeof(*ret));
			chosen--;
		}
		ret[chosen++] = i;
	}
	for (size_t i = 0; i < count && chosen == 0; i++)
		if (list[i].is.kind != GPU_SOFTWARE)
			ret[chosen++] = i;
	return chosen;
}

static void number(struct candidate *list, size_t count)
{
	size_t *chosen = mem_array(count + 1, sizeof(*chosen));
	size_t n = choose(list, count, chosen);

	for (size_t i = 0; i < n; i++)
		(void)snprintf(list[chosen[i]].is.device, sizeof(list[chosen[i]].is.device),
			       VULKAN_PREFIX "%zu", i);
	free(chosen);
}

/* --- all of it ---------------------------------------------------------- */

static bool nothing(struct err *e)
{
	(void)err_set(e, ERR_UNAVAILABLE, "Vulkan works, but finds no device");
	return err_hint(e, "shunt doctor vulkan names the driver's package");
}

bool vulkan_read(const char *self, struct gpus *ret, struct err *e)
{
	CLEANUP(free) char *output = NULL;
	CLEANUP(free) struct candidate *list = NULL;
	size_t count = 0;
	char *rest, *line;

	if (!probe_ask(&probe, self, &output, e))
		return false;
	for (rest = output; (line = strsep(&rest, "\n"));) {
		char *f[11];
		size_t fields = probe_fields(line, f, ARRAY_LEN(f));

		if (strcmp(f[0], "version") == 0 && fields == 2)
			copy(ret->vulkan_version, sizeof(ret->vulkan_version), f[1]);
		if (strcmp(f[0], "device") != 0 || fields != ARRAY_LEN(f))
			continue;
		list = mem_grow(list, count + 1, sizeof(*list));
		list[count] = (struct candidate){0};
		take_device(&list[count++], f);
	}
	if (count == 0)
		return nothing(e);
	number(list, count);
	ret->vulkan = mem_array(count, sizeof(*ret->vulkan));
	for (size_t i = 0; i < count; i++)
		ret->vulkan[i] = list[i].is;
	ret->vulkan_count = count;
	return true;
}

struct gpu *vulkan_card(struct gpus *g, const struct gpu_vulkan *v)
{
	for (size_t i = 0; i < g->count; i++) {
		struct gpu *each = &g->list[i];

		if ((v->pci[0] && strcmp(each->pci, v->pci) == 0) ||
		    (each->uuid[0] && strcmp(each->uuid, v->uuid) == 0))
			return each;
	}
	return NULL;
}

static void fill(struct gpu *g, const struct gpu_vulkan *v)
{
	if (!g->name[0])
		copy(g->name, sizeof(g->name), v->name);
	if (g->kind == GPU_UNSURE)
		g->kind = v->kind;
	if (g->memory_bytes < 0) {
		g->memory_bytes = v->memory_bytes;
		g->free_bytes = v->free_bytes;
	}
}

void vulkan_lay_over(struct gpus *g, struct gpus *said)
{
	g->vulkan = STEAL(said->vulkan);
	g->vulkan_count = said->vulkan_count;
	g->vulkan_why_not = said->vulkan_why_not;
	copy(g->vulkan_version, sizeof(g->vulkan_version), said->vulkan_version);
	for (size_t i = 0; i < g->vulkan_count; i++) {
		struct gpu *card = vulkan_card(g, &g->vulkan[i]);

		if (card)
			fill(card, &g->vulkan[i]);
	}
}
