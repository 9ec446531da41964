/* SPDX-License-Identifier: Apache-2.0 */
/* Getting the source's archive into the cache, and llama.cpp out of it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/complaint.h"
#include "base/download.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/proc.h"
#include "engine/source.h"

enum { LOCK_POLL_MS = 100 };

/* True when it is there and is what it should be; something else that lies there is removed. */
static bool in_cache(const struct source *s, const char *path, const struct source_watch *w)
{
	char hex[HASH_HEX_SIZE];

	if (!fs_exists(path) || !hash_file(path, w->cancelled, w->arg, hex, NULL))
		return false;
	if (strcmp(hex, s->sha256) == 0)
		return true;
	(void)unlink(path);
	return false;
}

static bool check(const struct source *s, const char *path, const struct source_watch *w,
		  struct err *e)
{
	char hex[HASH_HEX_SIZE];

	if (!hash_file(path, w->cancelled, w->arg, hex, e))
		return false;
	if (strcmp(hex, s->sha256) == 0)
		return true;
	(void)err_set(e, ERR_VERIFY, "pip's %s %s has the SHA-256 %s, not %s", s->where, s->version,
		      hex, s->sha256);
	return err_hint(e, "the index pip uses has another file under this name; it was removed");
}

static bool get_pip(const struct source *s, const char *path, const struct source_watch *w,
		    struct err *e)
{
	CLEANUP(free) char *folder = mem_printf("%s/.pip-%s", s->cache_dir, s->sha256);
	CLEANUP(free) char *file = NULL;
	bool ok = false;

	if (!fs_remove_tree(folder, e)) /* of a crash */
		return false;
	ok = pip_download(s, folder, w, &file, e) && check(s, file, w, e) &&
	     fs_sync_tree(file, e) && fs_rename(file, path, e);
	(void)!fs_remove_tree(folder, NULL);
	return ok;
}

static void on_bytes(void *arg, int64_t done, int64_t total)
{
	const struct source_watch *w = arg;

	if (total > 0)
		w->on_progress(w->arg, (double)done / (double)total);
}

static bool ask_watch(void *arg)
{
	const struct source_watch *w = arg;

	return w->cancelled(w->arg);
}

static bool get_url(const struct source *s, const char *path, const struct source_watch *w,
		    struct err *e)
{
	struct download d = {
		.url = s->where,
		.path = path,
		.sha256 = s->sha256,
		.tries = DOWNLOAD_TRIES,
		.on_progress = on_bytes,
		.cancelled = ask_watch,
		.arg = (void *)w,
	};

	return download(&d, e);
}

/* One at a time fetches, the others find it. */
static bool lock_cache(const struct source *s, const struct source_watch *w, int *ret_fd,
		       struct err *e)
{
	CLEANUP(free) char *path = mem_printf("%s/.lock-%s", s->cache_dir, s->sha256);

	for (;;) {
		if (!fs_lock(path, FS_LOCK_TRY, ret_fd, e))
			return false;
		if (*ret_fd >= 0)
			return true;
		if (w->cancelled(w->arg))
			return err_set(e, ERR_CANCELLED, "cancelled while another fetches it");
		clock_sleep(LOCK_POLL_MS);
	}
}

static bool fetch(const struct source *s, const char *path, const struct source_watch *w,
		  struct err *e)
{
	if (s->offline && strncmp(s->where, "file:", 5) != 0) {
		(void)err_set(e, ERR_UNAVAILABLE,
			      "llama.cpp's source (%.150s) is not here, and the daemon is offline",
			      s->where);
		return err_hint(e, "set offline to no, or give engine_source an archive or a "
				   "folder");
	}
	return s->kind == SOURCE_PIP ? get_pip(s, path, w, e) : get_url(s, path, w, e);
}

static bool get_cached(const struct source *s, const struct source_watch *w, char **ret_archive,
		       struct err *e)
{
	CLEANUP(close) int lock = -1;
	CLEANUP(free) char *path = fs_join(s->cache_dir, s->sha256);

	if (!fs_mkdirs(s->cache_dir, 0700, e) || !lock_cache(s, w, &lock, e))
		return false;
	if (!in_cache(s, path, w) && !fetch(s, path, w, e))
		return false;
	*ret_archive = STEAL(path);
	return true;
}

static bool changed(const struct source *s, struct err *e)
{
	(void)err_set(e, ERR_CONFLICT, "engine_source: '%s' was changed meanwhile", s->where);
	return err_hint(e, "try again");
}

bool source_get(const struct source *s, const char *hash, const struct source_watch *w,
		char **ret_archive, struct err *e)
{
	char hex[HASH_HEX_SIZE];

	if (s->kind == SOURCE_FOLDER) {
		*ret_archive = NULL;
		return true;
	}
	if (s->kind != SOURCE_ARCHIVE)
		return get_cached(s, w, ret_archive, e);
	if (!hash_file(s->where, w->cancelled, w->arg, hex, e))
		return err_wrap(e, "engine_source");
	if (strcmp(hex, hash) != 0)
		return changed(s, e);
	*ret_archive = mem_dup(s->where);
	return true;
}

/* --- unpacking -------------------------------------------------------------------------------- */

struct unpack_run {
	const struct source_watch *w;
	struct complaint complaint;
};

static void tar_line(void *arg, const char *line)
{
	struct unpack_run *u = arg;

	complaint_line(&u->complaint, line);
	u->w->on_line(u->w->arg, line);
}

static bool tar_cancelled(void *arg)
{
	const struct unpack_run *u = arg;

	return ask_watch((void *)u->w);
}

/* only: a pattern of members, NULL for all. */
static bool run_tar(const struct pin *pin, const char *archive, const char *to, const char *only,
		    struct unpack_run *u, int *ret_status, struct err *e)
{
	CLEANUP(strv_done) struct strv argv = {0};
	struct proc_run run = {.on_line = tar_line, .cancelled = tar_cancelled, .arg = u};

	strv_add(&argv, "tar");
	strv_add(&argv, "--extract");
	strv_printf(&argv, "--file=%s", archive);
	strv_printf(&argv, "--directory=%s", to);
	strv_add(&argv, "--force-local");
	strv_add(&argv, "--no-same-owner");
	strv_add(&argv, "--no-same-permissions");
	strv_add(&argv, "--warning=no-timestamp");
	for (size_t i = 0; i < pin->skip.count; i++)
		strv_printf(&argv, "--exclude=%s/%s", pin->subfolder, pin->skip.items[i]);
	if (only != NULL) {
		strv_add(&argv, "--wildcards");
		strv_add(&argv, only);
	}
	run.argv = strv_items(&argv);
	return proc_run(&run, ret_status, e);
}

static bool unpack_archive(const struct pin *pin, const char *archive, const char *to,
			   struct unpack_run *u, struct err *e)
{
	CLEANUP(free) char *only = mem_printf("*/%s", pin->subfolder);
	CLEANUP(free) char *what = mem_printf("unpacking '%s' failed", archive);
	int status = -1;

	/* First only what we need; an archive of llama.cpp itself has no such folder. */
	if (!run_tar(pin, archive, to, only, u, &status, e))
		return false;
	if (status == 0)
		return true;
	complaint_done(&u->complaint);
	u->complaint = (struct complaint){0};
	if (!run_tar(pin, archive, to, NULL, u, &status, e))
		return false;
	if (status == 0)
		return true;
	(void)complaint_err(&u->complaint, ERR_INVALID, what, e);
	return err_hint(e, "the archive is damaged, cut short, or of a kind that tar cannot read");
}

static bool place(const struct pin *pin, const char *archive, const char *unpacked, const char *src,
		  struct err *e)
{
	CLEANUP(free) char *top = tree_find(unpacked, pin->subfolder);

	if (top == NULL)
		return err_set(e, ERR_INVALID, "'%s' has no llama.cpp", archive);
	return fs_rename(top, src, e) && fs_remove_tree(unpacked, e);
}

static bool copy_folder(const struct source *s, const struct pin *pin, const char *hash,
			const char *src, const struct source_watch *w, struct err *e)
{
	CLEANUP(free) char *top = tree_find(s->where, pin->subfolder);
	char hex[HASH_HEX_SIZE];

	if (top == NULL)
		return err_set(e, ERR_INVALID, "engine_source: '%s' has no llama.cpp", s->where);
	if (!tree_copy(top, pin, src, w, e) || !tree_hash(src, pin, hex, e))
		return false;
	return strcmp(hex, hash) == 0 || changed(s, e);
}

bool source_unpack(const struct source *s, const struct pin *pin, const char *archive,
		   const char *hash, const char *stage, const struct source_watch *w, struct err *e)
{
	CLEANUP(free) char *unpacked = fs_join(stage, "unpacked");
	CLEANUP(free) char *src = fs_join(stage, "src");
	struct unpack_run u = {.w = w};
	bool ok = false;

	if (archive == NULL)
		return copy_folder(s, pin, hash, src, w, e);
	ok = fs_mkdirs(unpacked, 0700, e) && unpack_archive(pin, archive, unpacked, &u, e) &&
	     place(pin, archive, unpacked, src, e);
	complaint_done(&u.complaint);
	return ok;
}
