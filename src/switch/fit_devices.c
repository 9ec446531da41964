/* SPDX-License-Identifier: Apache-2.0 */
/* Several devices share a model: which of them has the least room for its share? */

#include <stdio.h>

#include "model/estimate.h"
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

/* What the driver takes for itself it takes on each. */
static int64_t need_of(const struct fit_request *r, int64_t device, double share)
{
	int64_t extra = r->run->backend->device_extra_bytes;

	if (device == INT64_MAX)
		return device;
	return estimate_sum((int64_t)((double)(device - extra) * share), extra);
}

static void name(struct fit_room *room, const struct fit_device *d)
{
	(void)snprintf(room->name, sizeof(room->name), "%s", d->name);
	room->device = d->free;
}

void fit_narrow(const struct fit_request *r, struct fit_need *need, struct fit_room *room)
{
	double share[OPTION_DEVICES_MAX], sum;
	int64_t all = need->device, least = INT64_MAX;

	if (room->count < 2 || room->one_pool || room->missing)
		return;
	for (size_t i = 0; i < room->count; i++)
		if (room->devices[i].free < 0) {
			name(room, &room->devices[i]);
			return;
		}
	sum = shares(r, room, share);
	for (size_t i = 0; i < room->count && sum > 0; i++) {
		int64_t one = need_of(r, all, share[i] / sum);
		int64_t left = room->devices[i].free - estimate_sum(one, fit_margin(need, one));

		if (left >= least && i > 0)
			continue;
		least = left;
		name(room, &room->devices[i]);
		need->device = one;
	}
}
