/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/estimate.h"
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
	int64_t part = bytes / (need->measured ? MARGIN_MEASURED : MARGIN_ESTIMATED);

	return part > MARGIN_MIN ? part : MARGIN_MIN;
}

static bool has_room(const struct fit_need *need, const struct pool *p)
{
	return p->free >= 0 && estimate_sum(p->need, fit_margin(need, p->need)) < p->free;
}

/* "1.9 GiB", "96 MiB" */
static const char *size_text(int64_t bytes, char *buf, size_t size)
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
		       size_text(p->need, needs, sizeof(needs)), p->of,
		       need->measured ? "measured" : "estimated",
		       size_text(p->free, free, sizeof(free)), p->left, verdict);
}

void fit_judge(const struct fit_need *need, const struct fit_room *room, const char *device,
	       const char *old, struct fit *ret)
{
	CLEANUP(free)
	char *yes = old ? mem_printf("starting beside %s", old) : mem_dup("fits");
	CLEANUP(free)
	char *no = old ? mem_printf("%s is stopped first", old) : mem_dup("does not fit");
	struct pool pools[] = {
		{"", need->device, room->device, "free"},
		{" of RAM", need->ram, room->ram, room->limited ? "left of memory_limit" : "free"},
	};
	const struct pool *first = room->one_pool ? &pools[1] : &pools[0], *tight = first;

	while (tight < pools + ARRAY_LEN(pools) && has_room(need, tight))
		tight++;
	*ret = (struct fit){
		.fits = tight == pools + ARRAY_LEN(pools),
		.missing = room->missing,
		.measured = need->measured,
		.one_pool = room->one_pool,
		.need_device = need->device,
		.free_device = room->device,
		.need_ram = need->ram,
		.free_ram = room->ram,
	};
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
