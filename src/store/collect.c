/* SPDX-License-Identifier: Apache-2.0 */
/* What may go: stages nobody makes any more, pieces nobody needs. */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "store/store_priv.h"

struct sweep {
	struct store *store;
	int removed;
};

/* The digest's lock is held, so nobody works there. */
static bool sweep_stage(struct sweep *sw, const char *digest, struct err *e)
{
	CLEANUP(free) char *path = store_stage_folder(sw->store, digest);
	CLEANUP(free) char *note = stage_note_read(path);

	if (note != NULL && !store_has(sw->store, digest)) {
		strays_kill(path);
		return true;
	}
	sw->removed += fs_is_folder(path);
	return store_remove_stage(sw->store, digest, e);
}

static bool sweep_one(void *arg, const char *name, struct err *e)
{
	struct sweep *sw = arg;
	bool stage = strncmp(name, STAGE_PREFIX, strlen(STAGE_PREFIX)) == 0;
	const char *digest = name + strlen(stage ? STAGE_PREFIX : LOCK_PREFIX);
	int lock = -1;
	bool ok = false;

	if ((!stage && strncmp(name, LOCK_PREFIX, strlen(LOCK_PREFIX)) != 0) ||
	    !hash_is_hex(digest))
		return true;
	if (!store_try_lock(sw->store, digest, &lock, e))
		return false;
	if (lock < 0) /* alive */
		return true;
	ok = sweep_stage(sw, digest, e);
	store_unlock(sw->store, digest, &lock);
	return ok;
}

bool store_sweep(struct store *s, int *ret_removed, struct err *e)
{
	struct sweep sw = {.store = s};

	if (!fs_each(s->dir, sweep_one, &sw, e))
		return err_wrap(e, "sweeping the store");
	*ret_removed = sw.removed;
	return true;
}

/* --- garbage collection ----------------------------------------------------------------------- */

struct collect {
	struct store *store;
	bool dry_run;
	struct store_item *items;
	size_t count;
};

static bool add_item(struct collect *c, const char *digest, const char *path, const char *kind,
		     struct err *e)
{
	int64_t size = 0;

	if (!fs_tree_size(path, &size, e))
		return false;
	c->items = mem_grow(c->items, c->count + 1, sizeof(*c->items));
	c->items[c->count++] = (struct store_item){
		.digest = mem_dup(digest), .kind = mem_dup(kind), .size_bytes = size};
	return true;
}

static bool add_piece(struct collect *c, const char *digest, const char *path, struct err *e)
{
	CLEANUP(manifest_free) struct manifest *m = NULL;
	struct err unreadable = {0};

	(void)!manifest_read(path, &m, &unreadable);
	return add_item(c, digest, path, m ? m->kind : "damaged", e);
}

/* First out of its place at once, so that nobody ever sees half of it. Lock held. */
static bool remove_piece(struct collect *c, const char *digest, const char *path, struct err *e)
{
	CLEANUP(free) char *aside = store_stage_folder(c->store, digest);

	return store_remove_stage(c->store, digest, e) && fs_rename(path, aside, e) &&
	       fs_remove_tree(aside, e);
}

static bool collect_piece(struct collect *c, const char *digest, struct err *e)
{
	CLEANUP(free) char *path = store_path(c->store, digest);
	bool named = false;

	if (!store_has_root(c->store, digest, &named, e))
		return false;
	if (named || !fs_is_folder(path))
		return true;
	return add_piece(c, digest, path, e) && (c->dry_run || remove_piece(c, digest, path, e));
}

static bool collect_stage(struct collect *c, const char *digest, struct err *e)
{
	CLEANUP(free) char *path = store_stage_folder(c->store, digest);

	if (!fs_is_folder(path)) /* it was made into a piece meanwhile */
		return true;
	return add_item(c, digest, path, "stage", e) &&
	       (c->dry_run || store_remove_stage(c->store, digest, e));
}

static bool collect_one(void *arg, const char *name, struct err *e)
{
	struct collect *c = arg;
	bool stage = strncmp(name, STAGE_PREFIX, strlen(STAGE_PREFIX)) == 0;
	const char *digest = stage ? name + strlen(STAGE_PREFIX) : name;
	int lock = -1;
	bool ok = false;

	if (!hash_is_hex(digest))
		return true;
	if (!store_try_lock(c->store, digest, &lock, e))
		return false;
	if (lock < 0)
		return true;
	ok = stage ? collect_stage(c, digest, e) : collect_piece(c, digest, e);
	store_unlock(c->store, digest, &lock);
	return ok;
}

bool store_gc(struct store *s, bool dry_run, struct store_item **ret_items, size_t *ret_count,
	      struct err *e)
{
	struct collect c = {.store = s, .dry_run = dry_run};

	if (!fs_each(s->dir, collect_one, &c, e)) {
		store_items_free(c.items, c.count);
		return err_wrap(e, "collecting garbage");
	}
	*ret_items = c.items;
	*ret_count = c.count;
	return true;
}

void store_items_free(struct store_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(items[i].digest);
		free(items[i].kind);
	}
	free(items);
}
