/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: flock on a file, which the kernel drops when its holder dies. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

/* False with errno when it isn't ours. */
static bool take(int fd, enum fs_lock_mode mode)
{
	int how = LOCK_EX | (mode == FS_LOCK_TRY ? LOCK_NB : 0);

	while (flock(fd, how) < 0) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

/* Who held it before may have removed the file: then this is the lock of nothing. */
static bool is_current(int fd, const char *path)
{
	struct stat ours = {0};
	struct stat named = {0};

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
	       ours.st_ino == named.st_ino;
}

/* Only for people who wonder; the lock holds without. */
static void write_pid(int fd)
{
	if (ftruncate(fd, 0) == 0)
		(void)dprintf(fd, "%d\n", (int)getpid());
}

bool fs_lock(const char *path, enum fs_lock_mode mode, int *ret_fd, struct err *e)
{
	for (;;) {
		CLEANUP(close)
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

		if (fd < 0)
			return err_sys(e, errno, "open lock '%s'", path);
		if (!take(fd, mode)) {
			if (mode != FS_LOCK_TRY || errno != EWOULDBLOCK)
				return err_sys(e, errno, "lock '%s'", path);
			*ret_fd = -1;
			return true;
		}
		if (is_current(fd, path)) {
			write_pid(fd);
			*ret_fd = steal_fd(&fd);
			return true;
		}
	}
}

pid_t fs_lock_holder(const char *path)
{
	CLEANUP(free) char *text = NULL;
	char *end = NULL;
	long pid = 0;

	if (!fs_read(path, 32, &text, NULL, NULL))
		return 0;
	pid = strtol(text, &end, 10);
	return end != text && pid > 0 && pid <= 1 << 22 ? (pid_t)pid : 0;
}
