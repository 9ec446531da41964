/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole trees. Everything is opened relative to an open folder and without following links, so a
 * tree that changes meanwhile cannot lead us out of itself.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/fs_priv.h"
#include "base/mem.h"

/* One fd a level is open: a deeper tree is refused before the fds are out. */
enum { MAX_DEPTH = 128, CHUNK = 1 << 17 };

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in an open folder, sorted. The fd stays the caller's. */
static bool list(int folder, const char *path, struct strv *names, struct err *e)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry = NULL;
	int failed = 0;

	if (dir == NULL) {
		failed = errno;
		close_p(&copy);
		return err_sys(e, failed, "list '%s'", path);
	}
	while (errno = 0, (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_add(names, entry->d_name);
	}
	failed = errno;
	(void)closedir(dir);
	if (failed != 0)
		return err_sys(e, failed, "list '%s'", path);
	if (names->count > 1)
		qsort(names->items, names->count, sizeof(char *), by_name);
	return true;
}

bool fs_each(const char *folder, fs_entry_fn *fn, void *arg, struct err *e)
{
	CLEANUP(close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(strv_done) struct strv names = {0};

	if (fd < 0)
		return err_sys(e, errno, "open folder '%s'", folder);
	if (!list(fd, folder, &names, e))
		return false;
	for (size_t i = 0; i < names.count; i++) {
		if (!fn(arg, names.items[i], e))
			return false;
	}
	return true;
}

static int open_folder(int parent, const char *name)
{
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* --- removing --------------------------------------------------------------------------------- */

/* Published trees are read-only: a folder's owner may give itself the right to empty it. */
static int open_to_empty(int parent, const char *name)
{
	CLEANUP(close) int handle = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char self[64];
	struct stat st = {0};

	if (handle < 0 || fstat(handle, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode) && (st.st_mode & 0700) != 0700) {
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
		(void)chmod(self, (st.st_mode & 07777) | 0700); /* opening tells */
	}
	return open_folder(parent, name);
}

static bool remove_at(int parent, const char *name, const char *path, int depth, struct err *e);

static bool empty(int folder, const char *path, int depth, struct err *e)
{
	CLEANUP(strv_done) struct strv names = {0};

	if (!list(folder, path, &names, e))
		return false;
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP(free) char *sub = fs_join(path, names.items[i]);

		if (!remove_at(folder, names.items[i], sub, depth + 1, e))
			return false;
	}
	return true;
}

static bool remove_at(int parent, const char *name, const char *path, int depth, struct err *e)
{
	CLEANUP(close) int fd = -1;
	int failed = 0;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return true;
	failed = errno; /* EISDIR, or EPERM on some file systems, for a folder */
	fd = open_to_empty(parent, name);
	if (fd < 0)
		return err_sys(e, errno == ENOTDIR || errno == ELOOP ? failed : errno,
			       "remove '%s'", path);
	if (depth > MAX_DEPTH)
		return err_set(e, ERR_SYSTEM, "remove '%s': deeper than %d folders", path,
			       MAX_DEPTH);
	if (!empty(fd, path, depth, e))
		return false;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove '%s'", path);
	return true;
}

bool fs_remove_tree(const char *path, struct err *e)
{
	CLEANUP(free) char *plain = mem_dup(path);

	/* "link/" would be the folder behind the link. */
	for (size_t n = strlen(plain); n > 1 && plain[n - 1] == '/'; n--)
		plain[n - 1] = '\0';
	return remove_at(AT_FDCWD, plain, plain, 0, e);
}

/* --- copying ---------------------------------------------------------------------------------- */

/* Relative, and ".." only at its front, at most as often as the link is deep. With ".." after a
 * name the result would depend on whether that name is itself a link. */
static bool stays_inside(const char *target, int depth)
{
	bool named = false;

	if (target[0] == '/' || target[0] == '\0')
		return false;
	for (const char *p = target; *p != '\0';) {
		size_t len = strcspn(p, "/");

		if (len == 2 && strncmp(p, "..", 2) == 0) {
			if (named || --depth < 0)
				return false;
		} else if (len > 0 && !(len == 1 && *p == '.')) {
			named = true;
		}
		p += len + (p[len] == '/');
	}
	return true;
}

static bool copy_link(int from, int to, const char *name, const char *path, int depth,
		      struct err *e)
{
	char target[4096];
	ssize_t len = readlinkat(from, name, target, sizeof(target) - 1);

	if (len < 0)
		return err_sys(e, errno, "read link '%s'", path);
	target[len] = '\0';
	if (!stays_inside(target, depth))
		return err_set(e, ERR_INVALID, "link '%s' leads out of its tree, to '%s'", path,
			       target);
	if (symlinkat(target, to, name) < 0)
		return err_sys(e, errno, "copy link '%s'", path);
	return true;
}

static bool copy_bytes(int in, int out, const char *path, struct err *e)
{
	CLEANUP(free) char *chunk = NULL;
	ssize_t n = 0;

	/* Shares the blocks where the file system can. */
	while ((n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
		;
	if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
		return err_sys(e, errno, "copy '%s'", path);
	/* Where it cannot: from the offset that was reached, which both files have. */
	chunk = mem_alloc(CHUNK);
	while ((n = read(in, chunk, CHUNK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read '%s'", path);
		if (!fs_write_all(out, chunk, (size_t)n, path, e))
			return err_wrap(e, "copying");
	}
	return true;
}

static bool copy_file(int from, int to, const char *name, const char *path, mode_t mode,
		      struct err *e)
{
	CLEANUP(close) int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	CLEANUP(close) int out = -1;

	if (in < 0)
		return err_sys(e, errno, "open '%s'", path);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_sys(e, errno, "create the copy of '%s'", path);
	if (!copy_bytes(in, out, path, e))
		return false;
	if (fchmod(out, mode & 0777) < 0) /* no set-uid bits */
		return err_sys(e, errno, "set the mode of the copy of '%s'", path);
	return true;
}

static bool copy_all(int from, int to, const char *path, int depth, struct err *e);

static bool copy_folder(int from, int to, const char *name, const char *path, mode_t mode,
			int depth, struct err *e)
{
	CLEANUP(close) int in = open_folder(from, name);
	CLEANUP(close) int out = -1;

	if (in < 0)
		return err_sys(e, errno, "open folder '%s'", path);
	if (mkdirat(to, name, 0700) < 0 || (out = open_folder(to, name)) < 0)
		return err_sys(e, errno, "make the copy of folder '%s'", path);
	if (!copy_all(in, out, path, depth + 1, e))
		return false;
	if (fchmod(out, mode & 0777) < 0)
		return err_sys(e, errno, "set the mode of the copy of '%s'", path);
	return true;
}

static bool copy_one(int from, int to, const char *name, const char *path, int depth, struct err *e)
{
	struct stat st = {0};

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "look at '%s'", path);
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, name, path, st.st_mode, e);
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to, name, path, depth, e);
	if (S_ISDIR(st.st_mode))
		return copy_folder(from, to, name, path, st.st_mode, depth, e);
	return err_set(e, ERR_INVALID, "'%s' is no file, folder or link", path);
}

static bool copy_all(int from, int to, const char *path, int depth, struct err *e)
{
	CLEANUP(strv_done) struct strv names = {0};

	if (depth > MAX_DEPTH)
		return err_set(e, ERR_INVALID, "copy '%s': deeper than %d folders", path,
			       MAX_DEPTH);
	if (!list(from, path, &names, e))
		return false;
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP(free) char *sub = fs_join(path, names.items[i]);

		if (!copy_one(from, to, names.items[i], sub, depth, e))
			return false;
	}
	return true;
}

/* A copy inside what is copied would never end. */
static bool check_apart(const char *from, const char *to, struct err *e)
{
	CLEANUP(free) char *a = fs_real(from);
	CLEANUP(free) char *b = fs_real(to);
	size_t len = a ? strlen(a) : 0;

	if (a != NULL && b != NULL && strncmp(a, b, len) == 0 && (b[len] == '/' || b[len] == '\0'))
		return err_set(e, ERR_INVALID, "cannot copy '%s' into itself, '%s'", from, to);
	return true;
}

bool fs_copy_tree(const char *from, const char *to, struct err *e)
{
	CLEANUP(close) int in = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(close) int out = -1;

	if (in < 0)
		return err_sys(e, errno, "open folder '%s'", from);
	if (!fs_mkdirs(to, 0755, e) || !check_apart(from, to, e))
		return false;
	out = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out < 0)
		return err_sys(e, errno, "open folder '%s'", to);
	return copy_all(in, out, from, 0, e);
}

/* --- measuring -------------------------------------------------------------------------------- */

static bool size_at(int parent, const char *name, const char *path, int depth, int64_t *sum,
		    struct err *e)
{
	CLEANUP(close) int fd = -1;
	CLEANUP(strv_done) struct strv names = {0};
	struct stat st = {0};

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && depth > 0 ? true
						    : err_sys(e, errno, "look at '%s'", path);
	if (S_ISREG(st.st_mode))
		*sum += st.st_size;
	if (!S_ISDIR(st.st_mode))
		return true;
	if (depth > MAX_DEPTH)
		return err_set(e, ERR_SYSTEM, "measure '%s': deeper than %d folders", path,
			       MAX_DEPTH);
	fd = open_folder(parent, name);
	if (fd < 0)
		return errno == ENOENT ? true : err_sys(e, errno, "open folder '%s'", path);
	if (!list(fd, path, &names, e))
		return false;
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP(free) char *sub = fs_join(path, names.items[i]);

		if (!size_at(fd, names.items[i], sub, depth + 1, sum, e))
			return false;
	}
	return true;
}

bool fs_tree_size(const char *path, int64_t *ret_bytes, struct err *e)
{
	int64_t sum = 0;

	if (!size_at(AT_FDCWD, path, path, 0, &sum, e))
		return false;
	*ret_bytes = sum;
	return true;
}
