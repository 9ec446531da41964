/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "store/store_priv.h"

/* A name that is safe as a folder's. */
static bool owner_ok(const char *owner)
{
	size_t len = strlen(owner);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)owner[i]) && owner[i] != '-' && owner[i] != '_')
			return false;
	}
	return len > 0 && len <= 64;
}

bool store_open(const char *dir, const char *owner, struct store **ret_store, struct err *e)
{
	CLEANUP(store_free) struct store *s = mem_alloc(sizeof(*s));
	CLEANUP(free) char *roots = NULL;

	if (!owner_ok(owner))
		return err_set(e, ERR_INVALID, "'%s' is no owner of a store", owner);
	roots = mem_printf("%s/roots/%s", dir, owner);
	if (!fs_mkdirs(roots, 0755, e) || access(roots, W_OK) < 0) {
		if (!e || e->kind == ERR_NONE)
			(void)err_set(e, ERR_SYSTEM, "folder '%s' cannot be written", roots);
		(void)err_wrap(e, "store");
		return err_hint(e, "choose a folder that you may write with --store-dir");
	}
	s->dir = fs_real(dir);
	s->owner = mem_dup(owner);
	assert(s->dir != NULL);
	*ret_store = STEAL(s);
	return true;
}

void store_free(struct store *s)
{
	if (s == NULL)
		return;
	free(s->dir);
	free(s->owner);
	free(s);
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

char *store_path(const struct store *s, const char *digest)
{
	assert(hash_is_hex(digest));
	return fs_join(s->dir, digest);
}

static bool verify(const struct store *s, const char *digest, bool hashes, struct err *e)
{
	CLEANUP(free) char *path = store_path(s, digest);
	CLEANUP(manifest_free) struct manifest *m = NULL;

	if (!fs_is_folder(path))
		return err_set(e, ERR_NOT_FOUND, "piece %.12s is not in the store", digest);
	if (!manifest_read(path, &m, e))
		return false;
	if (strcmp(m->digest, digest) != 0)
		return err_set(e, ERR_INVALID, "'%s' holds the piece %.12s", path, m->digest);
	return manifest_verify(m, path, hashes, e);
}

bool store_has(struct store *s, const char *digest)
{
	struct err e = {0};

	return verify(s, digest, false, &e);
}

bool store_check(struct store *s, const char *digest, struct err *e)
{
	return verify(s, digest, true, e);
}

bool store_size(struct store *s, const char *digest, int64_t *ret_bytes, struct err *e)
{
	CLEANUP(free) char *path = store_path(s, digest);

	return fs_tree_size(path, ret_bytes, e);
}

char *store_stage_folder(const struct store *s, const char *digest)
{
	return mem_printf("%s/" STAGE_PREFIX "%s", s->dir, digest);
}

static char *lock_path(const struct store *s, const char *digest)
{
	return mem_printf("%s/" LOCK_PREFIX "%s", s->dir, digest);
}

bool store_try_lock(const struct store *s, const char *digest, int *ret_fd, struct err *e)
{
	CLEANUP(free) char *path = lock_path(s, digest);

	return fs_lock(path, FS_LOCK_TRY, ret_fd, e);
}

void store_unlock(const struct store *s, const char *digest, int *fd)
{
	CLEANUP(free) char *path = lock_path(s, digest);

	if (*fd < 0)
		return;
	(void)unlink(path); /* who waits on this file notices that it is the lock of nothing */
	close_p(fd);
	*fd = -1;
}
