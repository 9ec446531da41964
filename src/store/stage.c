/* SPDX-License-Identifier: Apache-2.0 */
/* A piece being made: its lock, its folder, and the rename that publishes it. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "store/store_priv.h"

enum { LOCK_POLL_MS = 100 };

struct store_stage {
	struct store *store;
	char *digest;
	char *path; /* <store>/.stage-<digest> */
	char *out;  /* <path>/out */
	char *note; /* NULL: nothing that a later builder could use */
	int lock;
};

bool store_remove_stage(const struct store *s, const char *digest, struct err *e)
{
	CLEANUP(free) char *path = store_stage_folder(s, digest);

	if (!fs_is_folder(path))
		return true;
	strays_kill(path);
	stage_note_remove(path); /* first: half a stage is of no use */
	return fs_remove_tree(path, e);
}

static void free_stage(struct store_stage *st)
{
	store_unlock(st->store, st->digest, &st->lock);
	free(st->digest);
	free(st->path);
	free(st->out);
	free(st->note);
	free(st);
}

/* Until the lock is ours, or someone else has published (then *ret_fd stays −1). */
static bool wait_for_lock(struct store *s, const char *digest, bool (*cancelled)(void *), void *arg,
			  int *ret_fd, struct err *e)
{
	for (;;) {
		if (!store_try_lock(s, digest, ret_fd, e))
			return false;
		if (*ret_fd >= 0 || store_has(s, digest))
			return true;
		if (cancelled && cancelled(arg))
			return err_set(e, ERR_CANCELLED, "cancelled while another builds %.12s",
				       digest);
		clock_sleep(LOCK_POLL_MS);
	}
}

bool store_stage_clear(struct store_stage *st, struct err *e)
{
	free(STEAL(st->note));
	if (!store_remove_stage(st->store, st->digest, e))
		return err_wrap(e, "removing what a dead builder left");
	return fs_mkdirs(st->out, 0755, e);
}

/* Its note holds for this boot alone from now on: we are going to write. */
static bool take_up(struct store_stage *st, struct err *e)
{
	strays_kill(st->path);
	return stage_note_write(st->path, st->note, false, e) && fs_remove_tree(st->out, e) &&
	       fs_mkdirs(st->out, 0755, e);
}

bool store_stage_begin(struct store *s, const char *digest, bool (*cancelled)(void *), void *arg,
		       struct store_stage **ret_stage, struct err *e)
{
	CLEANUP(free) char *path = store_path(s, digest); /* also checks the digest */
	CLEANUP(store_stage_abort) struct store_stage *st = NULL;
	int fd = -1;

	if (!store_has(s, digest) && !wait_for_lock(s, digest, cancelled, arg, &fd, e))
		return false;
	if (fd < 0 || store_has(s, digest)) { /* published meanwhile */
		store_unlock(s, digest, &fd);
		*ret_stage = NULL;
		return true;
	}
	st = mem_alloc(sizeof(*st));
	*st = (struct store_stage){.store = s, .lock = fd, .digest = mem_dup(digest)};
	st->path = store_stage_folder(s, digest);
	st->out = fs_join(st->path, "out");
	st->note = stage_note_read(st->path);
	if (st->note != NULL ? !take_up(st, e) : !store_stage_clear(st, e))
		return false;
	*ret_stage = STEAL(st);
	return true;
}

const char *store_stage_path(const struct store_stage *st)
{
	return st->path;
}

const char *store_stage_out(const struct store_stage *st)
{
	return st->out;
}

const char *store_stage_note(const struct store_stage *st)
{
	return st->note;
}

bool store_stage_set_note(struct store_stage *st, const char *note, struct err *e)
{
	if (!stage_note_write(st->path, note, false, e))
		return err_wrap(e, "noting how far the build is");
	free(st->note);
	st->note = mem_dup(note);
	return true;
}

void store_stage_leave(struct store_stage *st)
{
	struct err e = {0};

	if (st == NULL || st->note == NULL) {
		store_stage_abort(st);
		return;
	}
	strays_kill(st->path);
	if (!fs_sync_tree(st->path, &e) || !stage_note_write(st->path, st->note, true, &e))
		log_warn("stage of no use after a restart of the machine, continuing error=\"%s\"",
			 e.msg);
	free_stage(st);
}

void store_stage_abort(struct store_stage *st)
{
	struct err e = {0};

	if (st == NULL)
		return;
	if (!store_remove_stage(st->store, st->digest, &e))
		log_warn("stage not removed, continuing error=\"%s\"", e.msg);
	free_stage(st);
}

/* --- publishing ------------------------------------------------------------------------------- */

static bool lock_files(const char *folder, struct err *e);

/* Read-only, also for us; a folder only after what is in it. */
static bool make_read_only(void *arg, const char *name, struct err *e)
{
	CLEANUP(free) char *path = fs_join(arg, name);
	struct stat st = {0};

	if (lstat(path, &st) < 0)
		return err_sys(e, errno, "look at '%s'", path);
	if (S_ISLNK(st.st_mode))
		return true;
	if (S_ISDIR(st.st_mode) && !lock_files(path, e))
		return false;
	if (chmod(path, S_ISDIR(st.st_mode) || (st.st_mode & 0100) ? 0555 : 0444) < 0)
		return err_sys(e, errno, "make '%s' read-only", path);
	return true;
}

static bool lock_files(const char *folder, struct err *e)
{
	return fs_each(folder, make_read_only, (void *)folder, e);
}

/* What lies at the piece's place has no whole manifest, or we would not have built: damaged. */
static bool move_damaged(struct store_stage *st, const char *final, struct err *e)
{
	CLEANUP(free) char *aside = fs_join(st->path, "damaged");

	if (!fs_exists(final))
		return true;
	log_warn("replacing a damaged piece, continuing path=%s", final);
	(void)chmod(final, 0755); /* a folder that moves must be writable: its ".." changes */
	return fs_rename(final, aside, e);
}

static bool publish(struct store_stage *st, const char *kind, const char *inputs, struct err *e)
{
	CLEANUP(free) char *final = store_path(st->store, st->digest);
	CLEANUP(manifest_free) struct manifest *m = NULL;

	if (!manifest_make(st->out, st->digest, kind, inputs, &m, e) ||
	    !manifest_write(m, st->out, e) || !lock_files(st->out, e) ||
	    !fs_sync_tree(st->out, e) || !move_damaged(st, final, e))
		return false;
	if (FAULT("store.publish"))
		return err_sys(e, errno, "publish '%s'", final);
	if (!fs_rename(st->out, final, e))
		return false;
	if (chmod(final, 0555) < 0) /* only now: see move_damaged() */
		log_warn("piece stays writable, continuing path=%s", final);
	return true;
}

bool store_stage_publish(struct store_stage *st, const char *kind, const char *inputs,
			 struct err *e)
{
	bool ok = publish(st, kind, inputs, e);

	if (!ok)
		(void)err_wrap(e, "publishing %.12s", st->digest);
	store_stage_abort(st); /* the scratch is removed in any case */
	return ok;
}
