/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "switch/context_priv.h"

/* A slower device would make requests wait for a token of each slot. */
#define TOUCH_TOKENS_PER_S 20.0

/* False: the worker is lost. */
static bool restore_file(struct context *c, const struct context_file *f, struct worker *to,
			 double speed, const struct context_patience *p)
{
	CLEANUP(free) char *name = slot_file_name(f->slot);
	CLEANUP(free) char *path = fs_join(c->folder, name);
	struct err e = {0};

	if (f->slot >= worker_slots(to) || !context_pays(c, f->tokens, f->bytes, speed, 0.5))
		return true;
	if (!file_check(path, f, &e)) {
		context_leave(c, "%s", e.msg);
		return true;
	}
	if (!slot_restore(to, f, p, &e)) {
		context_leave(c, "slot %d could not be restored: %.160s", f->slot, e.msg);
		return e.kind == ERR_CONFLICT;
	}
	c->report.slots++;
	c->report.tokens += f->tokens;
	c->report.bytes += f->bytes;
	return true;
}

/* See slot_touch. */
static void touch_slots(const struct context *c, struct worker *to,
			const struct context_patience *p)
{
	CLEANUP(free) struct context_slot *slots = NULL;
	struct err ignored = {0};
	size_t count = 0;

	if (!slots_list(to, &slots, &count, &ignored))
		return;
	for (size_t i = 0; i < c->count; i++)
		if (c->files[i].slot < (int)count && slots[c->files[i].slot].fresh)
			slot_touch(to, c->files[i].slot, p);
}

static bool restore_files(struct context *c, struct worker *to, bool (*cancelled)(void *),
			  void *arg)
{
	struct context_patience p = {.cancelled = cancelled, .arg = arg};
	double speed;
	bool alive = true;

	speed_probe(c->owner, to, &p);
	speed = speed_known(c->owner, worker_model(to), worker_environment(to));
	if (!(speed > 0))
		speed = CONTEXT_TOKENS_PER_S;
	if (speed > TOUCH_TOKENS_PER_S)
		touch_slots(c, to, &p);
	for (size_t i = 0; i < c->count && alive; i++) {
		p.timeout_ms =
			context_late_ms(c->owner, c->files[i].tokens, c->files[i].bytes, speed);
		alive = restore_file(c, &c->files[i], to, speed, &p);
	}
	c->report.spared_ms = (int64_t)((double)c->report.tokens * 1000 / speed);
	return alive;
}

enum context_end context_restore(struct context *c, struct worker *to, bool (*cancelled)(void *),
				 void *arg)
{
	struct context_report *r = &c->report;
	bool were_some = c->count > 0, alive = true;
	int64_t began = clock_ms();
	struct worker_context wc;

	if (!c->owner)
		return CONTEXT_DONE;
	worker_get_context(to, &wc);
	if (were_some && strcmp(c->key, wc.key) != 0)
		context_leave(c, "%s", key_difference(c->key, wc.key));
	else if (were_some && (!wc.dir || strcmp(wc.dir, c->folder) != 0))
		context_leave(c, "the new worker has no folder for conversations");
	else if (were_some)
		alive = restore_files(c, to, cancelled, arg);
	c->kept = false;
	folder_wipe(c->folder);
	c->count = 0;
	r->restore_ms = were_some ? clock_ms() - began : 0;
	if (!alive)
		r->slots = 0, r->tokens = r->bytes = r->spared_ms = 0;
	r->spared_ms -= r->slots ? r->save_ms + r->restore_ms : 0;
	context_count(c, were_some);
	return alive ? CONTEXT_DONE : CONTEXT_LOST;
}
