/* SPDX-License-Identifier: Apache-2.0 */
/* Several devices share a model: which of them has the least room for its share? */

#include <stdio.h>

#include "model/option.h"
#include "switch/fit_priv.h"

/* As tensor_split says, else as llama.cpp does it: by free memory. The sum of the shares; 0: nobody
 * can say. */
static double shares(const struct fit_request *r, const struct fit_room *room,
		     double ret[OPTION_DEVICES_MAX])
{
	double sum = 0;

	if (option_split(r->model->options, ret) != room->count)
		for (size_t i = 0; i < room->count; i++)
			ret[i] = (double)room->devices[i].free;
	for (size_t i = 0; i < room->count; i++) {
		if (ret[i] < 0)
			return 0;
		sum += ret[i];
	}
	return sum;
}

static int64_t part(int64_t bytes, double share)
{
	return bytes == INT64_MAX ? bytes : (int64_t)((double)bytes * share);
}

/* What the driver takes for itself it takes on each. */
static struct fit_share share_of(const struct fit_share *all, double share)
{
	const struct memory_parts *p = &all->parts;

	return (struct fit_share){
		.parts = {part(p->weights, share), part(p->cache, share), part(p->compute, share)},
		.other = all->other,
	};
}

static void name(struct fit_room *room, const struct fit_device *d)
{
	(void)snprintf(room->name, sizeof(room->name), "%s", d->name);
	room->device = d->free;
}

void fit_narrow(const struct fit_request *r, struct fit_need *need, struct fit_room *room)
{
	double share[OPTION_DEVICES_MAX], sum;
	const struct fit_share all = need->of_device;
	int64_t least = INT64_MAX;

	if (room->count < 2 || room->one_pool || room->missing)
		return;
	for (size_t i = 0; i < room->count; i++)
		if (room->devices[i].free < 0) {
			name(room, &room->devices[i]);
			return;
		}
	sum = shares(r, room, share);
	for (size_t i = 0; i < room->count && sum > 0; i++) {
		struct fit_share one = share_of(&all, share[i] / sum);
		int64_t bytes = memory_plus(memory_sum(&one.parts), one.other);
		int64_t left = room->devices[i].free - memory_plus(bytes, fit_margin(need, bytes));

		if (left >= least && i > 0)
			continue;
		least = left;
		name(room, &room->devices[i]);
		need->of_device = one;
		need->device = bytes;
	}
}
