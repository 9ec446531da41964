/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What fit.c puts together: what is needed, what is free, and the decision. */

#include "base/err.h"
#include "model/estimate.h"
#include "model/option.h"
#include "switch/fit.h"

struct fit_need {            /* bytes */
	int64_t device, ram; /* one pool: all in ram */
	enum fit_by by;
	struct fit_share of_device, of_ram;
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

/* What a need is worked out from. */
struct fit_source {
	struct gguf *model;
	struct option_memory options;
	struct memory beside; /* draft model, adapters, projector */
	struct estimate_tuning tuning;
	struct db_load last;                 /* in that environment */
	bool same_options;                   /* last is of this file, device and options */
	int64_t driver_bytes, process_bytes; /* beside the buffers; −1: no load has told */
};
/* fit_source.c. False: the file cannot be read. */
MUST_CHECK bool fit_source_read(const struct fit_request *r, struct fit_source *ret, struct err *e);
void fit_source_done(struct fit_source *s);
static inline void fit_source_done_p(struct fit_source *s)
{
	fit_source_done(s);
}
/* Path and size: what the same file is. Caller frees. */
char *fit_file(const struct db_model *m);

/* fit_room.c: may run a child. */
void fit_look(const struct fit_request *r, struct fit_room *ret);
/* fit_gpus.c: of a GPU that no module has seen yet, by its driver. */
void fit_look_at_gpus(const struct fit_request *r, struct fit_room *room);
/* fit_need.c. layers: on the device; −1: as the options say. Of several devices room and need are
 * left with the one that has the least room for its share. */
void fit_need(const struct fit_request *r, const struct fit_source *s, struct fit_room *room,
	      int64_t layers, struct fit_need *ret);
/* fit_devices.c: that narrowing. */
void fit_narrow(const struct fit_request *r, struct fit_need *need, struct fit_room *room);
/* fit_judge.c: what should stay free beside so many bytes. */
int64_t fit_margin(const struct fit_need *need, int64_t bytes);
/* The decision and its words. old: title of the backend that serves now, NULL: none. */
void fit_judge(const struct fit_need *need, const struct fit_room *room, const char *old,
	       struct fit *ret);
bool fit_has_room(const struct fit_need *need, const struct fit_room *room);
/* fit_layers.c: all are too many. The most that fit. */
void fit_layers(const struct fit_request *r, const struct fit_source *s,
		const struct fit_room *room, struct fit *ret);
/* "1.9 GiB", "96 MiB" */
const char *fit_size_text(int64_t bytes, char *buf, size_t size);
