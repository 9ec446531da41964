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
	ok = store_remove_stage(sw->store, digest, e);
	store_unlock(sw->store, digest, &lock);
	sw->removed += ok && stage;
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

static bool add_item(struct collect *c, const char *digest, const char *path, struct err *e)
{
	CLEANUP(manifest_free) struct manifest *m = NULL;
	struct err unreadable = {0};
	int64_t size = 0;

	if (!fs_tree_size(path, &size, e))
		return false;
	(void)!manifest_read(path, &m, &unreadable);
	c->items = mem_grow(c->items, c->count + 1, sizeof(*c->items));
	c->items[c->count++] = (struct store_item){
		.digest = mem_dup(digest),
		.kind = mem_dup(m ? m->kind : "damaged"),
		.size_bytes = size,
	};
	return true;
}

/* First out of its place at once, so that nobody ever sees half of it. Lock held. */
static bool remove_piece(struct collect *c, const char *digest, const char *path, struct err *e)
{
	CLEANUP(free) char *aside = store_stage_folder(c->store, digest);

	return store_remove_stage(c->store, digest, e) && fs_rename(path, aside, e) &&
	       fs_remove_tree(aside, e);
}

static bool collect_locked(struct collect *c, const char *digest, struct err *e)
{
	CLEANUP(free) char *path = store_path(c->store, digest);
	bool named = false;

	if (!store_has_root(c->store, digest, &named, e))
		return false;
	if (named || !fs_is_folder(path))
		return true;
	return add_item(c, digest, path, e) && (c->dry_run || remove_piece(c, digest, path, e));
}

static bool collect_one(void *arg, const char *name, struct err *e)
{
	struct collect *c = arg;
	int lock = -1;
	bool ok = false;

	if (!hash_is_hex(name))
		return true;
	if (!store_try_lock(c->store, name, &lock, e))
		return false;
	if (lock < 0)
		return true;
	ok = collect_locked(c, name, e);
	store_unlock(c->store, name, &lock);
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
