/* SPDX-License-Identifier: Apache-2.0 */
/* Who needs what: an empty file <store>/roots/<owner>/<digest> a need. */

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "store/store_priv.h"

enum { LOCK_POLL_MS = 10 };

static char *root_path(const struct store *s, const char *digest)
{
	return mem_printf("%s/roots/%s/%s", s->dir, s->owner, digest);
}

static bool not_there(const char *digest, struct err *e)
{
	(void)err_set(e, ERR_NOT_FOUND, "piece %.12s is not in the store", digest);
	return err_hint(e, "build the environment again");
}

/* Under the digest's lock, so that garbage collection cannot look before and remove after. */
bool store_root_add(struct store *s, const char *digest, struct err *e)
{
	CLEANUP(free) char *path = root_path(s, digest);
	int lock = -1;
	bool ok = false;

	while (lock < 0) {
		if (!store_has(s, digest)) /* also ends the wait for one who removes it */
			return not_there(digest, e);
		if (!store_try_lock(s, digest, &lock, e))
			return false;
		if (lock < 0)
			clock_sleep(LOCK_POLL_MS);
	}
	ok = store_has(s, digest) ? fs_replace(path, NULL, 0, 0644, e) : not_there(digest, e);
	store_unlock(s, digest, &lock);
	return ok;
}

bool store_root_remove(struct store *s, const char *digest, struct err *e)
{
	CLEANUP(free) char *path = root_path(s, digest);

	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove '%s'", path);
	return true;
}

struct keepers {
	struct store *store;
	bool (*keep)(void *arg, const char *digest);
	void *arg;
};

static bool look_at_root(void *arg, const char *digest, struct err *e)
{
	const struct keepers *k = arg;

	return !hash_is_hex(digest) || k->keep(k->arg, digest) ||
	       store_root_remove(k->store, digest, e);
}

bool store_roots_keep(struct store *s, bool (*keep)(void *arg, const char *digest), void *arg,
		      struct err *e)
{
	CLEANUP(free) char *folder = mem_printf("%s/roots/%s", s->dir, s->owner);
	struct keepers k = {.store = s, .keep = keep, .arg = arg};

	return fs_each(folder, look_at_root, &k, e);
}

struct search {
	const struct store *store;
	const char *digest;
	bool found;
};

static bool look_at_owner(void *arg, const char *owner, struct err *e)
{
	struct search *q = arg;
	CLEANUP(free)
	char *path = mem_printf("%s/roots/%s/%s", q->store->dir, owner, q->digest);

	q->found = q->found || fs_exists(path);
	return true;
}

bool store_has_root(const struct store *s, const char *digest, bool *ret_named, struct err *e)
{
	CLEANUP(free) char *roots = fs_join(s->dir, "roots");
	struct search q = {.store = s, .digest = digest};

	if (!fs_each(roots, look_at_owner, &q, e))
		return false;
	*ret_named = q.found;
	return true;
}
