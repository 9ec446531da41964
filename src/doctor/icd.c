/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices Vulkan's drivers show, and which GPU has none of them. */

#include <string.h>

#include "doctor/scene.h"

static const char topic[] = "vulkan";

static bool is_seen(const struct gpus *g, const struct gpu *card)
{
	for (size_t i = 0; i < g->vulkan_count; i++)
		if ((card->pci[0] && strcmp(g->vulkan[i].pci, card->pci) == 0) ||
		    (card->uuid[0] && strcmp(g->vulkan[i].uuid, card->uuid) == 0))
			return true;
	return false;
}

static void advise(const struct gpu *card, struct finding *f)
{
	if (card->vendor && strcmp(card->vendor, "nvidia") == 0)
		finding_advise(f, "a container needs NVIDIA_DRIVER_CAPABILITIES=all; elsewhere "
				  "install the driver with its Vulkan part (libnvidia-gl, "
				  "nvidia-vulkan-icd)");
	else
		finding_advise(f, "install Mesa's Vulkan drivers, and be in the group render");
}

static void look_at_card(const struct gpus *g, const struct gpu *card, enum finding_state bad,
			 struct findings *f)
{
	/* One without a kernel driver has another trouble, and one that nobody gave an address
	 * could be any. */
	if (!card->driver[0] || !card->pci[0] || card->kind == GPU_SOFTWARE || is_seen(g, card))
		return;
	advise(card, findings_add(f, bad, topic, "Vulkan has no driver for the GPU at %s (%s)",
				  card->pci, card->name[0] ? card->name : card->id));
}

void icd_look(const struct scene *s, struct findings *f)
{
	const struct gpus *g = s->d->gpus;
	const struct err *why = &g->vulkan_why_not;
	enum finding_state bad = s->d->backend ? FINDING_BAD : FINDING_WARN;
	bool cared_for = s->d->backend || scene_gpu(s, NULL);

	/* That there is no loader, toolkits.c says. */
	if (why->kind != ERR_NONE && why->kind != ERR_NOT_FOUND && cared_for)
		finding_advise(findings_add(f, bad, topic, "%s", why->msg), "%s", why->hint);
	for (size_t i = 0; i < g->vulkan_count; i++) {
		const struct gpu_vulkan *v = &g->vulkan[i];

		if (v->device[0])
			(void)findings_add(f, FINDING_OK, topic, "%s is %s%s%s: %s", v->device,
					   v->name, v->pci[0] ? ", " : "", v->pci, v->driver);
		else if (v->kind == GPU_SOFTWARE)
			(void)findings_add(f, FINDING_OK, topic,
					   "%s is a CPU that plays a GPU: llama.cpp leaves it out",
					   v->name);
	}
	for (size_t i = 0; i < g->count && g->vulkan_count > 0; i++)
		look_at_card(g, &g->list[i], bad, f);
}
