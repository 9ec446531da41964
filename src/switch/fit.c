/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/fit.h"

#include <stdio.h>
#include <string.h>

#include "switch/fit_priv.h"

void fit_check(const struct fit_request *r, struct fit *ret)
{
	const struct backend *old = r->old ? backend_find(worker_backend(r->old)) : NULL;
	struct fit_need need;
	struct fit_room room;
	struct err e = {0};

	fit_look(r, &room);
	if (fit_need(r, room.one_pool, &need, &e)) {
		fit_narrow(r, &need, &room);
		fit_judge(&need, &room, room.name, old ? old->title : NULL, ret);
	} else {
		*ret = (struct fit){.free_device = room.device, .free_ram = room.ram};
		(void)snprintf(ret->text, sizeof(ret->text),
			       "what it needs on %s is not known: %.160s", room.name, e.msg);
	}
	(void)snprintf(ret->device, sizeof(ret->device), "%s", room.name);
}
