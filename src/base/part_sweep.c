/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that nobody went on with. */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/part.h"

#define EXTENSION ".part"
enum { DEPTH_MAX = 16 };

struct sweep {
	const char *folder;
	int64_t age_s;
	int depth;
	int64_t *bytes;
};

static bool is_old(const struct stat *st, int64_t age_s)
{
	return clock_wall_ms() / 1000 - st->st_mtim.tv_sec >= age_s;
}

/* Who is at it has it locked, and an age that was seen before the lock may be another's. */
static void sweep_part(const struct sweep *s, const char *path)
{
	CLEANUP(free) char *target = mem_ndup(path, strlen(path) - strlen(EXTENSION));
	CLEANUP(part_done) struct part p = {.fd = -1};
	struct stat st;

	if (!part_open(target, &p, NULL) || fstat(p.fd, &st) < 0 || !is_old(&st, s->age_s))
		return;
	part_remove(&p);
	*s->bytes += st.st_size;
}

static bool look(void *arg, const char *name, struct err *e)
{
	const struct sweep *s = arg;
	CLEANUP(free) char *path = fs_join(s->folder, name);
	struct sweep inner = *s;
	size_t len = strlen(name), end = strlen(EXTENSION);
	struct stat st;

	(void)e;
	if (lstat(path, &st) < 0)
		return true;
	inner.folder = path;
	inner.depth++;
	if (S_ISDIR(st.st_mode) && inner.depth < DEPTH_MAX)
		(void)!fs_each(path, look, &inner, NULL); /* what cannot be read stays */
	if (S_ISREG(st.st_mode) && len > end && strcmp(name + len - end, EXTENSION) == 0 &&
	    is_old(&st, s->age_s))
		sweep_part(s, path);
	return true;
}

int64_t part_sweep(const char *folder, int64_t age_s)
{
	int64_t bytes = 0;
	struct sweep s = {.folder = folder, .age_s = age_s, .bytes = &bytes};

	(void)!fs_each(folder, look, &s, NULL);
	return bytes;
}
