/* SPDX-License-Identifier: Apache-2.0 */
#include "base/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/fs_priv.h"
#include "base/hash.h"
#include "base/mem.h"

/* True: open and ours. The name may have gone to another file while we opened: *ret_again. */
static bool try_open(struct part *p, bool *ret_again, struct err *e)
{
	struct stat ours = {0};
	struct stat named = {0};

	p->fd = open(p->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	if (p->fd < 0)
		return err_sys(e, errno, "create '%s'", p->path);
	if (flock(p->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, errno, "lock '%s'", p->path);
		return err_set(e, ERR_BUSY, "'%s' is being downloaded already", p->target);
	}
	if (fstat(p->fd, &ours) < 0)
		return err_sys(e, errno, "look at '%s'", p->path);
	if (!S_ISREG(ours.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is not a regular file", p->path);
	*ret_again = stat(p->path, &named) < 0 || named.st_ino != ours.st_ino ||
		     named.st_dev != ours.st_dev;
	p->size = ours.st_size;
	return true;
}

bool part_open(const char *target, struct part *ret, struct err *e)
{
	bool again = false;

	*ret = (struct part){.target = target, .fd = -1};
	ret->path = mem_printf("%s.part", target);
	ret->from = mem_printf("%s.part.from", target);
	do {
		close_p(&ret->fd);
		if (!try_open(ret, &again, e)) {
			close_p(&ret->fd);
			ret->fd = -1;
			return false;
		}
	} while (again);
	if (lseek(ret->fd, 0, SEEK_END) < 0)
		return err_sys(e, errno, "seek in '%s'", ret->path);
	return true;
}

void part_done(struct part *p)
{
	if (p->fd >= 0 && p->size == 0)
		part_remove(p);
	close_p(&p->fd);
	free(p->path);
	free(p->from);
	*p = (struct part){.fd = -1};
}

void part_touch(const char *target)
{
	CLEANUP(free) char *path = mem_printf("%s.part", target);

	(void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

bool part_add(struct part *p, const void *data, size_t len, struct err *e)
{
	if (!fs_write_all(p->fd, data, len, p->path, e))
		return false;
	p->size += (int64_t)len;
	return true;
}

bool part_restart(struct part *p, struct err *e)
{
	if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "empty '%s'", p->path);
	p->size = 0;
	(void)unlink(p->from);
	return true;
}

/* While the lock is held: who opens it later sees that the name is gone. */
void part_remove(struct part *p)
{
	(void)unlink(p->from);
	(void)unlink(p->path);
	close_p(&p->fd);
	p->fd = -1;
}

bool part_publish(struct part *p, struct err *e)
{
	if (fsync(p->fd) < 0)
		return err_sys(e, errno, "flush '%s'", p->path);
	if (!fs_rename(p->path, p->target, e))
		return false;
	(void)unlink(p->from);
	close_p(&p->fd);
	p->fd = -1;
	return true;
}

/* A hash: the URL itself may hold a key. */
static void hash_url(const char *url, char ret_hex[static HASH_HEX_SIZE])
{
	CLEANUP(hash_free) struct hash *h = hash_new();

	hash_add(h, url, strlen(url));
	hash_hex(h, ret_hex);
}

char *part_version(const struct part *p, const char *url)
{
	CLEANUP(free) char *text = NULL;
	char hex[HASH_HEX_SIZE];

	hash_url(url, hex);
	if (!fs_read(p->from, 4096, &text, NULL, NULL) || strlen(text) <= HASH_HEX_SIZE ||
	    strncmp(text, hex, HASH_HEX_SIZE - 1) != 0 || text[HASH_HEX_SIZE - 1] != '\n')
		return NULL;
	return mem_dup(text + HASH_HEX_SIZE);
}

bool part_set_version(struct part *p, const char *url, const char *version, struct err *e)
{
	CLEANUP(free) char *text = NULL;
	char hex[HASH_HEX_SIZE];

	(void)unlink(p->from);
	if (version == NULL)
		return true;
	hash_url(url, hex);
	text = mem_printf("%s\n%s", hex, version);
	return fs_replace(p->from, text, strlen(text), 0600, e);
}
