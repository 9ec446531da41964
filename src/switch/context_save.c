/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "switch/context_priv.h"

/* A greeting is computed sooner than it is told about. */
#define TOKENS_MIN 16
/* How long a slot may take to be free when its answer has moved: the server sees a closed
 * connection at the next token. */
#define SETTLE_MS 500
#define SETTLE_POLL_MS 2
/* Stays free for everyone else. */
#define FREE_BYTES (INT64_C(256) << 20)

struct saving {
	struct context *c;
	struct worker *from;
	const struct context_target *to;
	struct worker_context wc;
	double speed;
	int64_t budget;         /* bytes */
	double bytes_per_token; /* of what was saved so far, 0: nothing */
};

/* By its share of the memory, until a file has shown it. */
static int64_t guess_bytes(const struct saving *s, int64_t tokens)
{
	double share = s->wc.tokens > 0 ? (double)tokens / (double)s->wc.tokens : 1;
	double bytes = (double)s->wc.bytes * (share < 1 ? share : 1);
	double shown = s->bytes_per_token * (double)tokens;

	return (int64_t)(bytes > shown ? bytes : shown) + 4 * tokens;
}

static bool fits(struct saving *s, int64_t tokens, int64_t bytes)
{
	if (bytes <= s->budget)
		return true;
	context_leave(s->c,
		      "%lld tokens take about %lld MiB; context_bytes and the disk leave %lld MiB",
		      (long long)tokens, (long long)(bytes >> 20), (long long)(s->budget >> 20));
	return false;
}

/* The file is there, as long as the server said. */
static bool seal(struct context *c, struct context_file *f, struct err *e)
{
	CLEANUP(free) char *name = slot_file_name(f->slot);
	CLEANUP(free) char *path = fs_join(c->folder, name);

	return file_sum(path, f->bytes, f->sum, e);
}

static void drop_file(const struct context *c, int slot)
{
	CLEANUP(free) char *name = slot_file_name(slot);
	CLEANUP(free) char *path = fs_join(c->folder, name);

	(void)unlink(path);
}

/* False: nothing more can be had of this worker. */
static bool save_slot(struct saving *s, const struct context_slot *slot)
{
	int64_t bytes = guess_bytes(s, slot->tokens);
	struct context_file f = {.slot = slot->id};
	struct context *c = s->c;
	struct err e = {0};
	bool saved;

	if (!fits(s, slot->tokens, bytes) || !context_pays(c, slot->tokens, bytes, s->speed, 1))
		return true;
	struct context_patience patience = {
		.cancelled = s->to->cancelled,
		.arg = s->to->arg,
		.timeout_ms = context_late_ms(c->owner, slot->tokens, bytes, s->speed),
	};
	if (FAULT("context.save"))
		saved = err_sys(&e, errno, "save slot %d", slot->id);
	else
		saved = slot_save(s->from, slot->id, &patience, &f.tokens, &f.bytes, &e) &&
			seal(c, &f, &e);
	if (saved && f.tokens >= TOKENS_MIN && f.bytes <= s->budget) {
		s->budget -= f.bytes;
		s->bytes_per_token = (double)f.bytes / (double)f.tokens;
		c->files[c->count++] = f;
		return true;
	}
	drop_file(c, slot->id);
	if (!saved)
		context_leave(c, "slot %d could not be saved: %.160s", slot->id, e.msg);
	else
		(void)fits(s, f.tokens, f.bytes);
	return saved || e.kind == ERR_CONFLICT;
}

/* Longest first: they are worth most. */
static int by_tokens(const void *a, const void *b)
{
	int64_t x = ((const struct context_slot *)a)->tokens;
	int64_t y = ((const struct context_slot *)b)->tokens;

	return (x < y) - (x > y);
}

static void save_slots(struct saving *s, struct context_slot *slots, size_t count)
{
	struct context *c = s->c;
	bool more = true, found = false;

	qsort(slots, count, sizeof(*slots), by_tokens);
	for (size_t i = 0; i < count && more; i++) {
		if (slots[i].tokens < TOKENS_MIN)
			continue;
		found = true;
		if (slots[i].busy)
			context_leave(c, "slot %d was still answering", slots[i].id);
		else
			more = save_slot(s, &slots[i]);
		more = more && !(s->to->cancelled && s->to->cancelled(s->to->arg));
	}
	if (!found)
		context_leave(c, "there was no conversation");
}

/* The slots, once those whose requests have gone are free. Caller frees. */
static bool list_settled(const struct saving *s, struct context_slot **ret, size_t *ret_count,
			 struct err *e)
{
	int64_t until = clock_ms() + SETTLE_MS;

	for (;;) {
		int busy = 0;

		if (!slots_list(s->from, ret, ret_count, e))
			return false;
		for (size_t i = 0; i < *ret_count; i++)
			busy += (*ret)[i].busy;
		if (busy <= s->to->busy || clock_ms() >= until)
			return true;
		free(STEAL(*ret));
		clock_sleep(SETTLE_POLL_MS);
	}
}

/* What may be written: what the setting leaves, and the disk. */
static bool find_budget(struct saving *s, struct err *e)
{
	int64_t disk = 0;

	if (!fs_free_bytes(s->c->folder, &disk, e))
		return false;
	disk -= FREE_BYTES;
	s->budget = s->c->owner->max_bytes < disk ? s->c->owner->max_bytes : disk;
	return true;
}

static bool may_save(struct saving *s)
{
	const char *key = s->to->key;
	struct context *c = s->c;

	if (c->owner->max_bytes == 0)
		context_leave(c, "context_bytes is 0");
	else if (c->key[0] == '!')
		context_leave(c, "%s", c->key + 1);
	else if (!s->wc.dir || strcmp(s->wc.dir, c->folder) != 0)
		context_leave(c, "its worker has no folder for conversations");
	else if (key && strcmp(key, c->key) != 0)
		context_leave(c, "%s", key_difference(c->key, key));
	return !c->report.why_not[0];
}

void context_save(struct contexts *cs, struct worker *from, const struct context_target *to,
		  struct context *ret)
{
	struct saving s = {.c = ret, .from = from, .to = to};
	CLEANUP(free) struct context_slot *slots = NULL;
	int64_t began = clock_ms();
	struct err e = {0};
	size_t count = 0;

	worker_get_context(from, &s.wc);
	context_init(ret, cs, worker_model(from), s.wc.key);
	if (!may_save(&s))
		return;
	folder_wipe(ret->folder);
	if (!find_budget(&s, &e) || !list_settled(&s, &slots, &count, &e)) {
		context_leave(ret, "%s", e.msg);
		return;
	}
	speed_learn(cs, from);
	s.speed = speed_known(cs, ret->model_id, to->environment);
	if (!(s.speed > 0))
		s.speed = CONTEXT_TOKENS_PER_S;
	ret->files = mem_array(count, sizeof(*ret->files));
	save_slots(&s, slots, count);
	ret->report.save_ms = clock_ms() - began;
}

/* How many `to` will give: at least the one that somebody may ask for. */
static int answers_now(struct worker *from, const struct worker *to)
{
	int running = atomic_load(&worker_traffic(from)->running);

	if (running < 1)
		return 1;
	return running < worker_slots(to) ? running : worker_slots(to);
}

void context_prepare(struct contexts *cs, struct worker *from, struct worker *to, bool warm,
		     bool (*cancelled)(void *), void *arg)
{
	struct context_patience patience = {.cancelled = cancelled, .arg = arg};
	CLEANUP(free) struct context_slot *slots = NULL;
	struct worker_context wc;
	struct err ignored = {0};
	bool some = false;
	size_t count = 0;

	if (warm)
		speed_warm_up(to, answers_now(from, to), &patience);
	worker_get_context(from, &wc);
	if (cs->max_bytes == 0 || !wc.dir || !slots_list(from, &slots, &count, &ignored))
		return;
	for (size_t i = 0; i < count; i++)
		some = some || slots[i].tokens >= TOKENS_MIN;
	if (some)
		speed_probe(cs, to, &patience);
}
