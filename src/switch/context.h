/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Conversations move along: what a worker has computed of them (the KV cache of its idle slots) is
 * saved to files, and restored in the model's next worker. Only where that is safe (the same file,
 * engine and options; files whole by length and checksum; a worker that serves nobody yet) and
 * takes less time than computing them again there. Whatever goes wrong, it is left, and the report
 * says why.
 *
 * A conversation pays when
 *
 *   tokens / tokens per second on the target  >  bytes / bytes per second of save and restore
 *
 * The speed is what that environment showed: over the life of its last worker (/metrics), else at
 * two short prompts that a new worker is asked. Both numbers start cautious and are remembered.
 *
 * Owns <dir>/<model id>/ (0700), which holds one set of files at a time. Who calls for a model has
 * the model's slot; any thread.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "db/db.h"
#include "worker/worker.h"

struct contexts;
/* max_bytes: of one model's conversations; 0: none are carried. */
MUST_CHECK bool contexts_open(const char *dir, int64_t max_bytes, struct contexts **ret,
			      struct err *e);
void contexts_free(struct contexts *cs);
/* Makes the model's folder, for its worker. NULL (and a warning) when that fails. Caller frees. */
char *contexts_folder(struct contexts *cs, const char *model_id);
/* Deletes what there is of a model. */
void contexts_forget(struct contexts *cs, const char *model_id);
/* At start: deletes all but what was kept of models that `wanted` says still want it. */
void contexts_sweep(struct contexts *cs, bool (*wanted)(void *arg, const char *model_id),
		    void *arg);

/* What conversations of a worker fit: equal keys, and one can be restored in the other. Looks at
 * the files now, so before the worker starts. Begins with '!' and says why when none can be saved
 * at all. Caller frees. */
char *context_key(const struct db_model *m, const char *base_dir);

struct context_report {
	int slots; /* conversations carried */
	int64_t tokens, bytes;
	int64_t save_ms, restore_ms;
	int64_t spared_ms; /* estimated: so much longer it would take to compute them again */
	char why_not[256]; /* why some, or all, were left; "": nothing was */
};
json_t *context_report_json(const struct context_report *r);

struct context_file {
	int slot;
	int64_t tokens, bytes;
	char sum[HASH_HEX_SIZE];
};
/* A set of files. Zeroes are an empty one. */
struct context {
	struct contexts *owner; /* borrowed */
	char *model_id, *folder, *key;
	struct context_file *files;
	size_t count;
	bool kept;
	struct context_report report;
};

/* Saves what idle slots of `from` hold for its next worker. Slots whose requests have just left get
 * half a second to become idle. Takes seconds at most. Never fails: what was left is in
 * ret->report. */
struct context_target {
	const char *environment, *key; /* of the next worker; key NULL: the same as from's */
	int busy;                      /* requests that may still be on `from` */
	bool (*cancelled)(void *arg);  /* may be NULL */
	void *arg;
};
void context_save(struct contexts *cs, struct worker *from, const struct context_target *to,
		  struct context *ret);

/* Before requests are held, while `from` serves: warm: has `to`, on a GPU of its own, compute as
 * many answers at once as `from` does now; then finds out how fast it is, if that will be asked. */
void context_prepare(struct contexts *cs, struct worker *from, struct worker *to, bool warm,
		     bool (*cancelled)(void *), void *arg);

enum context_end {
	CONTEXT_DONE, /* the worker has what the report says; also when that is nothing */
	CONTEXT_LOST, /* the worker died or hangs: start it again, without */
};
/* Restores into a worker that serves nobody yet, and deletes the files. */
enum context_end context_restore(struct context *c, struct worker *to, bool (*cancelled)(void *),
				 void *arg);
/* Deletes the files, unless they are kept. */
void context_done(struct context *c);
static inline void context_done_p(struct context *c)
{
	context_done(c);
}

/* keep_context: the files stay, also over a restart. */
MUST_CHECK bool context_keep(struct context *c, struct err *e);
/* What was kept of a model; an empty context when there is nothing, or nothing whole. */
void context_find_kept(struct contexts *cs, const char *model_id, struct context *ret);

struct context_totals {
	int64_t carried, left; /* moves that brought saved conversations along, or none of them */
	int64_t tokens, bytes, spared_ms;
};
void contexts_get_totals(struct contexts *cs, struct context_totals *ret);
