/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that were left in a folder, found by their working directory. */

#include <ctype.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "store/store_priv.h"

enum { ROUNDS = 20, ROUND_MS = 25 };

struct hunt {
	const char *folder;
	size_t len;
	int found;
};

static bool works_in(const struct hunt *h, const char *pid)
{
	CLEANUP(free) char *link = mem_printf("/proc/%s/cwd", pid);
	char cwd[PATH_MAX];
	ssize_t len = readlink(link, cwd, sizeof(cwd) - 1);

	if (len < 0)
		return false;
	cwd[len] = '\0';
	return strncmp(cwd, h->folder, h->len) == 0 &&
	       (cwd[h->len] == '/' || cwd[h->len] == '\0' || cwd[h->len] == ' ');
}

static bool kill_one(void *arg, const char *name, struct err *e)
{
	struct hunt *h = arg;
	char *end = NULL;
	long pid = 0;

	if (!isdigit((unsigned char)name[0]) || !works_in(h, name))
		return true;
	pid = strtol(name, &end, 10);
	if (*end != '\0' || pid <= 1 || pid == getpid())
		return true;
	h->found++;
	(void)kill((pid_t)pid, SIGKILL);
	return true;
}

void strays_kill(const char *folder)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct hunt h = {.folder = folder, .len = strlen(folder)};

		if (!fs_each("/proc", kill_one, &h, NULL) || h.found == 0)
			return;
		clock_sleep(ROUND_MS); /* until they have gone */
	}
}
