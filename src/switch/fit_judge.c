/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/memory.h"
#include "switch/fit_priv.h"

#define MARGIN_MIN (256LL << 20)
#define MARGIN_MEASURED 20 /* a part of what is needed: 5 % */
#define MARGIN_ESTIMATED 7 /* 15 % */

/* One memory that is asked for. */
struct pool {
	const char *of; /* " of RAM" */
	int64_t need, free;
	const char *left; /* "free" */
};

int64_t fit_margin(const struct fit_need *need, int64_t bytes)
{
	int64_t part = bytes / (need->by == FIT_MEASURED ? MARGIN_MEASURED : MARGIN_ESTIMATED);

	return part > MARGIN_MIN ? part : MARGIN_MIN;
}

static bool has_room(const struct fit_need *need, const struct pool *p)
{
	return p->free >= 0 && memory_plus(p->need, fit_margin(need, p->need)) < p->free;
}

const char *fit_by_name(enum fit_by by)
{
	static const char *const names[] = {"estimated", "calibrated", "measured"};

	return names[by];
}

const char *fit_size_text(int64_t bytes, char *buf, size_t size)
{
	double mib = (double)bytes / 1048576.0;

	if (mib < 1000)
		(void)snprintf(buf, size, "%.0f MiB", mib);
	else
		(void)snprintf(buf, size, "%.1f GiB", mib / 1024);
	return buf;
}

static void say(const struct fit_need *need, const struct pool *p, const char *device,
		const char *verdict, struct fit *ret)
{
	char needs[32], free[32];

	(void)snprintf(ret->text, sizeof(ret->text), "%s needs %s%s (%s), %s %s: %s", device,
		       fit_size_text(p->need, needs, sizeof(needs)), p->of, fit_by_name(need->by),
		       fit_size_text(p->free, free, sizeof(free)), p->left, verdict);
}

struct pools {
	struct pool device, ram;
};

static struct pools pools_of(const struct fit_need *need, const struct fit_room *room)
{
	return (struct pools){
		{"", need->device, room->device, "free"},
		{" of RAM", need->ram, room->ram, room->limited ? "left of memory_limit" : "free"},
	};
}

/* The first that is too small; NULL: none is. */
static const struct pool *tight_one(const struct fit_need *need, const struct fit_room *room,
				    const struct pools *p)
{
	if (!room->one_pool && !has_room(need, &p->device))
		return &p->device;
	return has_room(need, &p->ram) ? NULL : &p->ram;
}

bool fit_has_room(const struct fit_need *need, const struct fit_room *room)
{
	struct pools pools = pools_of(need, room);

	return !tight_one(need, room, &pools);
}

void fit_judge(const struct fit_need *need, const struct fit_room *room, const char *old,
	       struct fit *ret)
{
	const char *device = room->name;
	CLEANUP(free)
	char *yes = old ? mem_printf("starting beside %s", old) : mem_dup("fits");
	CLEANUP(free)
	char *no = old ? mem_printf("%s is stopped first", old) : mem_dup("does not fit");
	struct pools pools = pools_of(need, room);
	const struct pool *first = room->one_pool ? &pools.ram : &pools.device;
	const struct pool *tight = tight_one(need, room, &pools);

	*ret = (struct fit){
		.fits = !tight,
		.missing = room->missing,
		.by = need->by,
		.one_pool = room->one_pool,
		.need_device = need->device,
		.free_device = room->device,
		.need_ram = need->ram,
		.free_ram = room->ram,
		.of_device = need->of_device,
		.of_ram = need->of_ram,
	};
	(void)snprintf(ret->device, sizeof(ret->device), "%s", device);
	if (room->missing)
		(void)snprintf(ret->text, sizeof(ret->text), "%s is not there: %s", device,
			       room->why);
	else if (ret->fits)
		say(need, first, device, yes, ret);
	else if (tight->free >= 0)
		say(need, tight, device, no, ret);
	else
		(void)snprintf(ret->text, sizeof(ret->text),
			       "free memory of %s is not known%s%s: %s", device,
			       room->why[0] ? ", " : "", room->why, no);
}
