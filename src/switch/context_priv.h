/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of context share. */

#include <pthread.h>

#include "switch/context.h"

#define CONTEXT_MANIFEST "kept.json"

/* Tokens a second of a model in an environment. */
struct context_speed {
	struct context_speed *next;
	char *model_id, *environment;
	double tokens_per_s;
};

struct contexts {
	char *dir;
	int64_t max_bytes;
	pthread_mutex_t lock;
	/* guarded by lock */
	struct context_speed *speeds;
	double bytes_per_ms; /* of save, checksum, check and restore together */
	struct context_totals totals;
};

/* How long, and who may end it. */
struct context_patience {
	bool (*cancelled)(void *);
	void *arg;
	int timeout_ms;
};

/* A target of which nothing is known, and not the fastest: one that is turns out to be so before
 * the restore. */
#define CONTEXT_TOKENS_PER_S 300.0

/* context.c */
void context_init(struct context *c, struct contexts *cs, const char *model_id, const char *key);
/* Says why; the first reason stays. */
void context_leave(struct context *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What a file of so many bytes takes, there and back, as far as we know. */
double context_trip_ms(struct contexts *cs, int64_t bytes);
/* See context.h. share: of the way, that is still to go. */
bool context_pays(struct context *c, int64_t tokens, int64_t bytes, double tokens_per_s,
		  double share);
/* How long a file may take before it is given up. */
int context_late_ms(struct contexts *cs, int64_t tokens, int64_t bytes, double tokens_per_s);
/* A move has ended. were_some: conversations had been saved. */
void context_count(struct context *c, bool were_some);

/* context_slots.c: llama-server's side. */
struct context_slot {
	int id;
	bool busy;
	bool fresh; /* had no request yet: its tokens are not told */
	int64_t tokens;
};
MUST_CHECK bool slots_list(struct worker *w, struct context_slot **ret, size_t *ret_count,
			   struct err *e);
MUST_CHECK bool slot_save(struct worker *w, int slot, const struct context_patience *p,
			  int64_t *ret_tokens, int64_t *ret_bytes, struct err *e);
/* ERR_CONFLICT: it refused, and goes on. Everything else: who knows what it does. */
MUST_CHECK bool slot_restore(struct worker *w, const struct context_file *f,
			     const struct context_patience *p, struct err *e);
void slot_erase(struct worker *w, int slot);
/* "slot-3.kv", caller frees. */
char *slot_file_name(int slot);

/* context_speed.c. 0: not known. */
double speed_known(struct contexts *cs, const char *model_id, const char *environment);
/* Remembers what a worker showed in its life. */
void speed_learn(struct contexts *cs, struct worker *w);
/* Asks a worker that serves nobody, when nothing is known. */
void speed_probe(struct contexts *cs, struct worker *w, const struct context_patience *p);
/* Has a worker that serves nobody compute what it will be asked for, so many answers at once: what
 * a GPU compiles or loads at first use takes a second, in which everybody would wait. Its slots are
 * empty then. */
void speed_warm_up(struct worker *w, int together, const struct context_patience *p);
/* A slot that had no request is the first that a new conversation takes, whatever was restored into
 * it, and /slots does not tell what it holds. This is one. */
void slot_touch(struct worker *w, int slot, const struct context_patience *p);
void speeds_free(struct contexts *cs);

/* context_file.c: SHA-256 of the SHA-256 of each 8 MiB, on several cores. */
MUST_CHECK bool file_sum(const char *path, int64_t bytes, char ret_hex[static HASH_HEX_SIZE],
			 struct err *e);
/* Length and checksum are as recorded, and it is a regular file. */
MUST_CHECK bool file_check(const char *path, const struct context_file *f, struct err *e);

/* context_key.c. Why two keys differ, in words. */
const char *key_difference(const char *a, const char *b);

/* Deletes what is in a model's folder; the folder stays, for its worker. */
void folder_wipe(const char *folder);
