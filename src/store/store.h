/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Compiled pieces by digest: <store>/<digest>/, never edited after rename published them. A piece
 * carries manifest.json (kind, inputs, files with size, link target and SHA-256), so a folder
 * without a row can be adopted. <store>/.stage-<digest>/ is a piece being made, held by a lock on
 * <store>/.lock-<digest>: whoever has the lock may build, others (also other daemons) wait or take
 * the result. <store>/roots/<owner>/<digest> names who needs a piece. Any thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct store;
struct store_stage;

/* Opens or makes the folder. `owner` names this daemon's roots (16 hex digits kept in its state
 * folder). */
MUST_CHECK bool store_open(const char *dir, const char *owner, struct store **ret_store,
			   struct err *e);
void store_free(struct store *s);
CLEANUP_DEFINE(store_free, struct store)

const char *store_dir(const struct store *s);
/* True when a piece with a whole manifest is there (sizes and names checked, not hashes). */
bool store_has(struct store *s, const char *digest);
/* Every file against its SHA-256 too; names the first that differs. */
MUST_CHECK bool store_check(struct store *s, const char *digest, struct err *e);
/* <store>/<digest>, caller frees. The digest must be 64 hex digits (assert). */
char *store_path(const struct store *s, const char *digest);
MUST_CHECK bool store_size(struct store *s, const char *digest, int64_t *ret_bytes, struct err *e);

/* Begins a piece: waits for the lock of the digest (asks `cancelled` each second or sooner). When
 * meanwhile someone else has published it, succeeds with *ret_stage NULL. The stage is empty, or
 * what a dead builder left with a note in it. */
MUST_CHECK bool store_stage_begin(struct store *s, const char *digest, bool (*cancelled)(void *),
				  void *arg, struct store_stage **ret_stage, struct err *e);
/* The folder to fill: files for the piece go into <path>/out, anything else in <path> is scratch.
 * Borrowed. */
const char *store_stage_path(const struct store_stage *st);
const char *store_stage_out(const struct store_stage *st);
/* What an earlier builder noted in this stage; NULL: the stage is empty. Borrowed. */
const char *store_stage_note(const struct store_stage *st);
/* From now on a later builder finds the stage as it is, with this note, should we die: for three
 * days, until the machine dies, until store_gc(). */
MUST_CHECK bool store_stage_set_note(struct store_stage *st, const char *note, struct err *e);
/* Empties it. */
MUST_CHECK bool store_stage_clear(struct store_stage *st, struct err *e);
/* As store_stage_abort(), but a stage with a note stays, for after the machine's restart too. */
void store_stage_leave(struct store_stage *st);
/* Writes the manifest (kind: "base", "module", "source", "toolkit"; inputs: the text whose hash is
 * the digest), makes files read-only, syncs, renames out/ to <store>/<digest>, removes the scratch,
 * and lets the lock go. Frees the stage also on failure (then removed). */
MUST_CHECK bool store_stage_publish(struct store_stage *st, const char *kind, const char *inputs,
				    struct err *e);
/* Removes the stage folder and lets the lock go. NULL is fine. */
void store_stage_abort(struct store_stage *st);
CLEANUP_DEFINE(store_stage_abort, struct store_stage)

/* Roots of this owner. Adding makes sure that the piece is there. */
MUST_CHECK bool store_root_add(struct store *s, const char *digest, struct err *e);
/* Removes those that `keep` does not want. */
MUST_CHECK bool store_roots_keep(struct store *s, bool (*keep)(void *arg, const char *digest),
				 void *arg, struct err *e);
MUST_CHECK bool store_root_remove(struct store *s, const char *digest, struct err *e);

/* Removes stages whose lock nobody holds and which nobody can take up. At start. */
MUST_CHECK bool store_sweep(struct store *s, int *ret_removed, struct err *e);

struct store_item {
	char *digest;
	char *kind;
	int64_t size_bytes;
};
/* Pieces no root of any owner names, and stages (kind "stage") that nobody works in; removed unless
 * dry_run. Caller frees with store_items_free. */
MUST_CHECK bool store_gc(struct store *s, bool dry_run, struct store_item **ret_items,
			 size_t *ret_count, struct err *e);
void store_items_free(struct store_item *items, size_t count);
