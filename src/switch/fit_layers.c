/* SPDX-License-Identifier: Apache-2.0 */
/* n_gpu_layers auto: how many layers fit. */

#include <inttypes.h>
#include <stdio.h>

#include "switch/fit_priv.h"

#define LAYERS_MAX 1000 /* as the option has it */

static void say(const struct fit_need *need, const struct fit_room *room, struct fit *ret)
{
	char needs[32], free[32];
	bool ram = room->one_pool;

	if (ret->layers_on == 0) {
		(void)snprintf(ret->text, sizeof(ret->text),
			       "none of %" PRId64 " layers fits on %s, %s free: the CPU computes",
			       ret->layers, room->name,
			       fit_size_text(ram ? room->ram : room->device, free, sizeof(free)));
		return;
	}
	(void)snprintf(ret->text, sizeof(ret->text),
		       "%" PRId64 " of %" PRId64 " layers fit on %s: %s%s (%s), %s %s",
		       ret->layers_on, ret->layers, room->name,
		       fit_size_text(ram ? need->ram : need->device, needs, sizeof(needs)),
		       ram ? " of RAM" : "", fit_by_name(need->by),
		       fit_size_text(ram ? room->ram : room->device, free, sizeof(free)),
		       ram && room->limited ? "left of memory_limit" : "free");
}

void fit_layers(const struct fit_request *r, const struct fit_source *s,
		const struct fit_room *room, struct fit *ret)
{
	int64_t on = ret->layers < LAYERS_MAX ? ret->layers : LAYERS_MAX;
	struct fit_room tight;
	struct fit_need need;

	/* One after the other: what the CPU has grows as the device's shrinks. */
	do {
		tight = *room;
		fit_need(r, s, &tight, --on, &need);
	} while (on > 0 && !fit_has_room(&need, &tight));
	ret->layers_on = on;
	ret->fewer = fit_has_room(&need, &tight);
	ret->by = need.by;
	ret->need_device = need.device;
	ret->free_device = tight.device;
	ret->need_ram = need.ram;
	ret->of_device = need.of_device;
	ret->of_ram = need.of_ram;
	(void)snprintf(ret->device, sizeof(ret->device), "%s", tight.name);
	say(&need, &tight, ret);
}
