/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What fit.c puts together: what is needed, what is free, and the decision. */

#include "base/err.h"
#include "model/option.h"
#include "switch/fit.h"

struct fit_need {            /* bytes */
	int64_t device, ram; /* one pool: all in ram */
	bool measured;
};
struct fit_device {
	char name[64]; /* CUDA0 */
	int64_t free;  /* −1: unknown */
};
struct fit_room {
	int64_t device, ram; /* free, −1: unknown */
	char name[64];       /* of that device, or the one that is missing */
	struct fit_device devices[OPTION_DEVICES_MAX]; /* all that share the model, as asked for */
	size_t count;
	bool one_pool;
	bool limited;  /* RAM: by memory_limit */
	bool missing;  /* the driver answered, and has no such device */
	char why[128]; /* unknown, because */
};

/* fit_room.c: may run a child. */
void fit_look(const struct fit_request *r, struct fit_room *ret);
/* fit_need.c: of the last load, or estimated. False: the file cannot be read. */
MUST_CHECK bool fit_need(const struct fit_request *r, bool one_pool, struct fit_need *ret,
			 struct err *e);
/* fit_devices.c: of several devices leaves in need and room the one with the least room for its
 * share. */
void fit_narrow(const struct fit_request *r, struct fit_need *need, struct fit_room *room);
/* fit_judge.c: what should stay free beside so many bytes. */
int64_t fit_margin(const struct fit_need *need, int64_t bytes);
/* The decision and its words. device: its name; old: title of the backend that serves
 * now, NULL: none. */
void fit_judge(const struct fit_need *need, const struct fit_room *room, const char *device,
	       const char *old, struct fit *ret);
