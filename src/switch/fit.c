/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/fit.h"

#include <stdio.h>

#include "switch/fit_priv.h"

/* What n_gpu_layers asks for. */
static void count_layers(const struct fit_request *r, const struct fit_source *s, struct fit *ret)
{
	int64_t asked = s->options.gpu_layers;

	if (!r->run->backend->device_prefix)
		return;
	ret->layers = estimate_layers(s->model);
	ret->layers_on = asked < ret->layers ? asked : ret->layers;
}

/* Unknown is no reason for fewer. */
static bool may_be_fewer(const struct fit_source *s, const struct fit *f)
{
	bool known = f->free_ram >= 0 && (f->one_pool || f->free_device >= 0);

	return s->options.auto_layers && known && !f->fits && !f->missing;
}

static void check(const struct fit_request *r, const struct fit_room *room, struct fit *ret)
{
	const struct backend *old = r->old ? backend_find(worker_backend(r->old)) : NULL;
	CLEANUP(fit_source_done) struct fit_source s = {0};
	struct fit_room tight = *room;
	struct fit_need need;
	struct err e = {0};

	if (!fit_source_read(r, &s, &e)) {
		*ret = (struct fit){.free_device = room->device, .free_ram = room->ram};
		(void)snprintf(ret->text, sizeof(ret->text),
			       "what it needs on %s is not known: %.160s", room->name, e.msg);
		return;
	}
	fit_need(r, &s, &tight, -1, &need);
	fit_judge(&need, &tight, old ? old->title : NULL, ret);
	count_layers(r, &s, ret);
	if (may_be_fewer(&s, ret))
		fit_layers(r, &s, room, ret);
}

void fit_check(const struct fit_request *r, struct fit *ret)
{
	struct fit_room room;

	fit_look(r, &room);
	check(r, &room, ret);
	if (!ret->device[0])
		(void)snprintf(ret->device, sizeof(ret->device), "%s", room.name);
}
