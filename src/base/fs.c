/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/fs_priv.h"
#include "base/mem.h"

static bool make_one(const char *path, mode_t mode, struct err *e)
{
	struct stat st = {0};

	if (mkdir(path, mode) == 0)
		return true;
	if (errno != EEXIST)
		return err_sys(e, errno, "make folder '%s'", path);
	if (stat(path, &st) < 0)
		return err_sys(e, errno, "look at '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR, "make folder '%s'", path);
	return true;
}

bool fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
	CLEANUP(free) char *part = mem_dup(path);

	if (path[0] == '\0')
		return err_set(e, ERR_INVALID, "a folder needs a name");
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (!make_one(part, mode, e))
			return false;
		*slash = '/';
	}
	return make_one(part, mode, e);
}

/* O_NONBLOCK: a FIFO must not block us; for regular files it means nothing. */
static int open_regular(const char *path, struct err *e)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st = {0};

	if (fd < 0 || fstat(fd, &st) < 0) {
		(void)err_sys(e, errno, "open '%s'", path);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		(void)err_set(e, ERR_INVALID, "'%s' is not a regular file", path);
		return -1;
	}
	return steal_fd(&fd);
}

bool fs_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len, struct err *e)
{
	CLEANUP(close) int fd = open_regular(path, e);
	CLEANUP(buf_done) struct buf b = {0};
	char chunk[16 * 1024];
	ssize_t n = 0;

	if (fd < 0)
		return false;
	/* To the end, not to st_size: files of /proc and /sys have none. */
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read '%s'", path);
		if ((size_t)n > max_bytes - b.len)
			return err_set(e, ERR_TOO_LARGE, "'%s' is larger than %zu bytes", path,
				       max_bytes);
		buf_add(&b, chunk, (size_t)n);
	}
	if (ret_len != NULL)
		*ret_len = b.len;
	*ret_text = buf_steal(&b);
	return true;
}

bool fs_write_all(int fd, const void *data, size_t len, const char *path, struct err *e)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = FAULT("fs.write") ? -1 : write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "write '%s'", path);
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_new(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	CLEANUP(close)
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return err_sys(e, errno, "create '%s'", path);
	if (!fs_write_all(fd, data, len, path, e))
		return false;
	if (fchmod(fd, mode) < 0) /* the umask's share, and a leftover's mode */
		return err_sys(e, errno, "set the mode of '%s'", path);
	if (FAULT("fs.sync") || fsync(fd) < 0)
		return err_sys(e, errno, "flush '%s'", path);
	return true;
}

bool fs_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	CLEANUP(free) char *fresh = mem_printf("%s.new", path);

	if (write_new(fresh, data, len, mode, e) && fs_rename(fresh, path, e))
		return true;
	(void)unlink(fresh);
	return false;
}

static bool sync_folder_of(const char *path, struct err *e)
{
	CLEANUP(free) char *folder = fs_dirname(path);
	CLEANUP(close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || FAULT("fs.sync") || fsync(fd) < 0)
		return err_sys(e, errno, "flush folder '%s'", folder);
	return true;
}

bool fs_rename(const char *from, const char *to, struct err *e)
{
	if (FAULT("fs.rename") || rename(from, to) < 0)
		return err_sys(e, errno, "rename '%s' to '%s'", from, to);
	return sync_folder_of(to, e);
}

static bool leads_to(const char *path, const char *target)
{
	char now[PATH_MAX];
	ssize_t len = readlink(path, now, sizeof(now));

	return len >= 0 && (size_t)len == strlen(target) && memcmp(now, target, (size_t)len) == 0;
}

bool fs_link(const char *target, const char *path, struct err *e)
{
	CLEANUP(free) char *fresh = mem_printf("%s.new", path);

	if (leads_to(path, target))
		return true;
	(void)unlink(fresh); /* left by a crash */
	if (symlink(target, fresh) < 0)
		return err_sys(e, errno, "make link '%s'", fresh);
	if (fs_rename(fresh, path, e))
		return true;
	(void)unlink(fresh);
	return false;
}

bool fs_sync_tree(const char *path, struct err *e)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || FAULT("fs.sync") || syncfs(fd) < 0)
		return err_sys(e, errno, "flush '%s'", path);
	return true;
}

bool fs_free_bytes(const char *path, int64_t *ret_bytes, struct err *e)
{
	CLEANUP(free) char *at = mem_dup(path);
	struct statvfs vfs = {0};

	while (statvfs(at, &vfs) < 0) {
		char *up = NULL;

		if ((errno != ENOENT && errno != ENOTDIR) || strcmp(at, ".") == 0 ||
		    strcmp(at, "/") == 0)
			return err_sys(e, errno, "free space of '%s'", path);
		up = fs_dirname(at);
		free(at);
		at = up;
	}
	*ret_bytes = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
	return true;
}

/* The last max_bytes of fd, from one byte before: that byte tells whether they start a line. */
static void read_end(int fd, size_t max_bytes, struct buf *b)
{
	struct stat st = {0};
	off_t at = 0;
	char chunk[16 * 1024];
	ssize_t n = 0;

	if (fstat(fd, &st) == 0 && st.st_size > (off_t)max_bytes)
		at = st.st_size - (off_t)max_bytes - 1;
	while (b->len <= max_bytes) {
		size_t room = max_bytes + 1 - b->len;

		n = pread(fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), at);
		if (n <= 0)
			break;
		buf_add(b, chunk, (size_t)n);
		at += n;
	}
}

char *fs_tail(const char *path, size_t max_bytes)
{
	CLEANUP(close) int fd = open_regular(path, NULL);
	CLEANUP(buf_done) struct buf b = {0};
	const char *line = NULL;

	if (fd >= 0)
		read_end(fd, max_bytes, &b);
	if (b.len > max_bytes) { /* one line longer than max_bytes: its end */
		line = memchr(b.data, '\n', b.len - 1);
		buf_drop(&b, line ? (size_t)(line - b.data) + 1 : 1);
	}
	return buf_steal(&b);
}
