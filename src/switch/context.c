/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "switch/context_priv.h"

/* What each file costs however small it is. */
#define FILE_MS 10
/* Until it is known: a disk of some years ago, there and back. */
#define BYTES_PER_MS 250000.0
/* A file takes at most so many times what was thought, and this; and longer where computing again
 * would, up to so long. A slow device may be busy with what it was asked before. */
#define LATE_TIMES 8
#define LATE_MS 2000
#define AGAIN_MS 20000.0
/* A carry of less says little about the speed of the disk. */
#define MEASURE_BYTES (INT64_C(32) << 20)

/* --- all models --------------------------------------------------------- */

bool contexts_open(const char *dir, int64_t max_bytes, struct contexts **ret, struct err *e)
{
	struct contexts *cs;

	if (!fs_mkdirs(dir, 0700, e))
		return false;
	cs = mem_alloc(sizeof(*cs));
	cs->dir = mem_dup(dir);
	cs->max_bytes = max_bytes;
	cs->bytes_per_ms = BYTES_PER_MS;
	pthread_mutex_init(&cs->lock, NULL);
	*ret = cs;
	return true;
}

void contexts_free(struct contexts *cs)
{
	if (!cs)
		return;
	speeds_free(cs);
	pthread_mutex_destroy(&cs->lock);
	free(cs->dir);
	free(cs);
}

char *contexts_folder(struct contexts *cs, const char *model_id)
{
	CLEANUP(free) char *folder = fs_join(cs->dir, model_id);
	struct err e = {0};

	if (fs_mkdirs(folder, 0700, &e))
		return STEAL(folder);
	log_warn("conversations of model=%s stay behind reason=\"%s\", continuing", model_id,
		 e.msg);
	return NULL;
}

void contexts_forget(struct contexts *cs, const char *model_id)
{
	CLEANUP(free) char *folder = fs_join(cs->dir, model_id);
	struct err e = {0};

	if (!fs_remove_tree(folder, &e))
		log_warn("conversations left reason=\"%s\", continuing", e.msg);
}

void contexts_get_totals(struct contexts *cs, struct context_totals *ret)
{
	pthread_mutex_lock(&cs->lock);
	*ret = cs->totals;
	pthread_mutex_unlock(&cs->lock);
}

static bool remove_entry(void *folder, const char *name, struct err *e)
{
	CLEANUP(free) char *path = fs_join(folder, name);
	struct err why = {0};

	(void)e;
	if (!fs_remove_tree(path, &why))
		log_warn("conversation left reason=\"%s\", continuing", why.msg);
	return true;
}

void folder_wipe(const char *folder)
{
	struct err e = {0};

	if (!fs_each(folder, remove_entry, (char *)folder, &e))
		log_warn("conversations left reason=\"%s\", continuing", e.msg);
}

/* --- one set of files --------------------------------------------------- */

void context_init(struct context *c, struct contexts *cs, const char *model_id, const char *key)
{
	*c = (struct context){.owner = cs,
			      .model_id = mem_dup(model_id),
			      .folder = fs_join(cs->dir, model_id),
			      .key = mem_dup(key)};
}

void context_done(struct context *c)
{
	if (c->folder && !c->kept)
		folder_wipe(c->folder);
	free(c->model_id);
	free(c->folder);
	free(c->key);
	free(c->files);
	*c = (struct context){0};
}

/* The first reason stays. */
void context_leave(struct context *c, const char *fmt, ...)
{
	va_list args;

	if (c->report.why_not[0])
		return;
	va_start(args, fmt);
	(void)vsnprintf(c->report.why_not, sizeof(c->report.why_not), fmt, args);
	va_end(args);
}

double context_trip_ms(struct contexts *cs, int64_t bytes)
{
	double rate;

	pthread_mutex_lock(&cs->lock);
	rate = cs->bytes_per_ms;
	pthread_mutex_unlock(&cs->lock);
	return FILE_MS + (double)bytes / rate;
}

int context_late_ms(struct contexts *cs, int64_t tokens, int64_t bytes, double tokens_per_s)
{
	double again = (double)tokens * 1000 / tokens_per_s;

	return LATE_MS + (int)(LATE_TIMES * context_trip_ms(cs, bytes)) +
	       (int)(again < AGAIN_MS ? again : AGAIN_MS);
}

bool context_pays(struct context *c, int64_t tokens, int64_t bytes, double speed, double share)
{
	double again = (double)tokens * 1000 / speed;
	double carry = context_trip_ms(c->owner, bytes) * share;

	if (again > carry)
		return true;
	context_leave(
		c, "%lld tokens are computed again in about %.0f ms, carrying them takes %.0f ms",
		(long long)tokens, again, carry);
	return false;
}

void context_count(struct context *c, bool were_some)
{
	struct context_report *r = &c->report;
	struct context_totals *t = &c->owner->totals;
	int64_t ms = r->save_ms + r->restore_ms;

	pthread_mutex_lock(&c->owner->lock);
	t->carried += r->slots > 0;
	t->left += were_some && r->slots == 0;
	t->tokens += r->tokens;
	t->bytes += r->bytes;
	t->spared_ms += r->spared_ms;
	if (r->bytes >= MEASURE_BYTES && ms > 0)
		c->owner->bytes_per_ms = (double)r->bytes / (double)ms;
	pthread_mutex_unlock(&c->owner->lock);
}

json_t *context_report_json(const struct context_report *r)
{
	return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:s?}", "slots", r->slots, "tokens",
			 (json_int_t)r->tokens, "bytes", (json_int_t)r->bytes, "save_ms",
			 (json_int_t)r->save_ms, "restore_ms", (json_int_t)r->restore_ms,
			 "spared_ms", (json_int_t)r->spared_ms, "why_not",
			 r->why_not[0] ? r->why_not : NULL);
}
