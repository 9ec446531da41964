/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/evict.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/option.h"
#include "switch/idle.h"

#define MARGIN (256LL << 20) /* less left than this is short for certain */

/* A loaded model, as it stood when we looked. */
struct holder {
	struct entry *entry;
	struct worker *worker; /* a reference */
	int64_t idle_since;    /* monotonic ms */
	bool in_use, pinned;
};

struct holders {
	struct holder *list;
	size_t count;
};

static void holders_done_p(struct holders *h)
{
	for (size_t i = 0; i < h->count; i++)
		worker_unref(h->list[i].worker);
	free(h->list);
}

static bool is_pinned(struct switcher *sw, const char *id)
{
	struct db_model m = {0};
	struct err ignored = {0};
	bool pinned = !db_model_get(sw->s.db, id, &m, &ignored) || /* when in doubt */
		      option_flag(m.options, "pinned", false);

	db_model_done(&m);
	return pinned;
}

static int by_idleness(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->idle_since < y->idle_since ? -1 : x->idle_since > y->idle_since;
}

/* Lock held. */
static void add(struct holders *h, struct entry *en)
{
	struct route_stats stats;

	route_get_stats(en->route, &stats);
	h->list = mem_grow(h->list, h->count + 1, sizeof(*h->list));
	h->list[h->count++] = (struct holder){
		.entry = en,
		.worker = worker_ref(en->worker),
		.idle_since = idle_since(en),
		.in_use = en->busy || en->task[0] || stats.running > 0 || stats.waiting > 0,
	};
}

/* The workers of other models, the least recently used first; none when this one has a worker: it
 * starts beside that, which was decided with the same figures. */
static void find_holders(struct switcher *sw, const char *model, struct holders *ret)
{
	const struct entry *own;

	pthread_mutex_lock(&sw->lock);
	own = entry_find(sw, model);
	for (struct entry *en = sw->entries; en && !(own && own->worker); en = en->next)
		if (en->worker)
			add(ret, en);
	pthread_mutex_unlock(&sw->lock);
	for (size_t i = 0; i < ret->count; i++)
		ret->list[i].pinned = is_pinned(sw, ret->list[i].entry->id);
	if (ret->count > 1)
		qsort(ret->list, ret->count, sizeof(*ret->list), by_idleness);
}

enum shortage { SHORT_OF_NOTHING, SHORT_OF_RAM, SHORT_OF_DEVICE };

static int64_t left(int64_t free_bytes, int64_t need)
{
	return free_bytes < 0 ? INT64_MAX : free_bytes - need;
}

/* What does not fit because something is unknown is no reason to unload anything. */
static enum shortage shortage(const struct fit *f)
{
	int64_t ram = left(f->free_ram, f->need_ram);
	int64_t device = f->one_pool ? INT64_MAX : left(f->free_device, f->need_device);
	bool known = f->free_ram >= 0 && (f->one_pool || f->free_device >= 0);

	if (f->fits || (!known && ram >= MARGIN && device >= MARGIN))
		return SHORT_OF_NOTHING;
	return ram < device ? SHORT_OF_RAM : SHORT_OF_DEVICE;
}

static bool is_on(const struct worker *w, const char *device)
{
	CLEANUP(free) char *names = mem_dup(worker_device(w));
	char *rest = names, *name;

	while ((name = strsep(&rest, ",")))
		if (strcmp(name, device) == 0)
			return true;
	return false;
}

/* Would its end give memory where it is short? */
static bool would_help(const struct holder *h, const struct fit *f)
{
	bool same_device = is_on(h->worker, f->device);

	if (shortage(f) == SHORT_OF_DEVICE)
		return same_device;
	return is_on(h->worker, "none") || (f->one_pool && same_device);
}

/* The longest idle one that helps. */
static bool evict_one(struct switcher *sw, const struct holders *h, const char *model,
		      const struct fit *f, struct task *t)
{
	CLEANUP(free) char *why = mem_printf("room for %s", model);

	for (size_t i = 0; i < h->count; i++) {
		const struct holder *one = &h->list[i];

		if (one->in_use || one->pinned || !would_help(one, f) ||
		    !idle_unload(sw, one->entry, why))
			continue;
		if (t)
			task_logf(t, "unloaded %s, which was idle", one->entry->id);
		return true;
	}
	return false;
}

/* Who has the memory, and what can be done. */
static void warn(const struct holders *h, const char *model, const struct fit *f, struct task *t)
{
	CLEANUP(buf_done) struct buf names = {0};

	for (size_t i = 0; i < h->count; i++)
		buf_printf(&names, "%s%s%s", i > 0 ? ", " : "", h->list[i].entry->id,
			   h->list[i].pinned   ? " (pinned)"
			   : h->list[i].in_use ? " (in use)"
					       : "");
	log_warn("memory may be short model=%s reason=\"%s\" loaded=\"%s\", continuing", model,
		 f->text, names.data);
	if (t)
		task_message(t,
			     "Tried though memory may be short (%s). Loaded: %s; shunt unload "
			     "frees what one of them has",
			     f->text, names.data);
}

void evict_for(struct switcher *sw, const struct db_model *m, const char *environment,
	       struct task *t)
{
	bool again = true;

	while (again) {
		CLEANUP(holders_done) struct holders h = {0};
		struct fit fit = {0};

		find_holders(sw, m->id, &h);
		if (h.count == 0)
			return; /* nobody could make room */
		change_fit(sw, m, environment, NULL, t, &fit);
		if (t)
			task_log_line(t, fit.text);
		if (shortage(&fit) == SHORT_OF_NOTHING)
			return;
		again = evict_one(sw, &h, m->id, &fit, t);
		if (!again && !fit.fewer)
			warn(&h, m->id, &fit, t);
	}
}
