/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/drm_clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

/* An open device, which several descriptors of a process may share. */
struct client {
	char pci[16];
	char id[24];                 /* "": an old kernel, where all of one card count as one */
	int64_t own, shared;         /* resident: of the card, of the machine; −1: not said */
	int64_t old_own, old_shared; /* as amdgpu said it before there were standard keys */
};

struct clients {
	const char *folder;
	struct client *list;
	size_t count;
};

/* "51200 KiB", "16 MiB", "0" */
static int64_t bytes(const char *text)
{
	char *unit;
	long long n = strtoll(text, &unit, 10);
	int shift = 0;

	if (unit == text || n < 0)
		return -1;
	unit += strspn(unit, " \t");
	if (strncmp(unit, "KiB", 3) == 0)
		shift = 10;
	else if (strncmp(unit, "MiB", 3) == 0)
		shift = 20;
	else if (strncmp(unit, "GiB", 3) == 0)
		shift = 30;
	return n > INT64_MAX >> shift ? -1 : (int64_t)n << shift;
}

static void add(int64_t *sum, int64_t n)
{
	if (n >= 0 && (*sum < 0 || n <= INT64_MAX - *sum))
		*sum = (*sum < 0 ? 0 : *sum) + n;
}

/* vram, vram0, local0: the card's; gtt, system, system0: the machine's. What else there is lies in
 * one of these, or is the process's own. */
static void take_region(const char *region, const char *text, int64_t *own, int64_t *shared)
{
	if (strncmp(region, "vram", 4) == 0 || strncmp(region, "local", 5) == 0)
		add(own, bytes(text));
	else if (strncmp(region, "gtt", 3) == 0 || strncmp(region, "system", 6) == 0)
		add(shared, bytes(text));
}

static void take_line(struct client *c, char *line)
{
	static const char resident[] = "drm-resident-", memory[] = "drm-memory-";
	char *value = strchr(line, ':');

	if (!value)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcmp(line, "drm-pdev") == 0)
		(void)snprintf(c->pci, sizeof(c->pci), "%.15s", value);
	else if (strcmp(line, "drm-client-id") == 0)
		(void)snprintf(c->id, sizeof(c->id), "%.23s", value);
	else if (strncmp(line, resident, sizeof(resident) - 1) == 0)
		take_region(line + sizeof(resident) - 1, value, &c->own, &c->shared);
	else if (strncmp(line, memory, sizeof(memory) - 1) == 0)
		take_region(line + sizeof(memory) - 1, value, &c->old_own, &c->old_shared);
}

static bool is_known(const struct clients *all, const struct client *c)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].pci, c->pci) == 0 && strcmp(all->list[i].id, c->id) == 0)
			return true;
	return false;
}

static bool read_one(void *arg, const char *name, struct err *e)
{
	struct clients *all = arg;
	struct client c = {.own = -1, .shared = -1, .old_own = -1, .old_shared = -1};
	CLEANUP(free) char *path = fs_join(all->folder, name);
	CLEANUP(free) char *text = NULL;
	struct err closed_meanwhile = {0};
	char *rest, *line;

	if (!fs_read(path, 1 << 16, &text, NULL, &closed_meanwhile))
		return true;
	for (rest = text; (line = strsep(&rest, "\n"));)
		take_line(&c, line);
	if (!c.pci[0] || is_known(all, &c))
		return true;
	all->list = mem_grow(all->list, all->count + 1, sizeof(*all->list));
	all->list[all->count++] = c;
	return true;
}

static bool is_integrated(const struct gpus *g, const char *pci)
{
	for (size_t i = 0; i < g->count; i++)
		if (strcmp(g->list[i].pci, pci) == 0)
			return g->list[i].kind == GPU_INTEGRATED;
	return false;
}

int64_t drm_process_bytes(const char *proc, pid_t pid, const struct gpus *g)
{
	CLEANUP(free) char *folder = mem_printf("%s/%d/fdinfo", proc, (int)pid);
	struct clients all = {.folder = folder};
	struct err not_ours = {0};
	int64_t sum = -1;

	(void)!fs_each(folder, read_one, &all, &not_ours);
	for (size_t i = 0; i < all.count; i++) {
		const struct client *c = &all.list[i];

		add(&sum, c->own >= 0 ? c->own : c->old_own);
		if (is_integrated(g, c->pci))
			add(&sum, c->shared >= 0 ? c->shared : c->old_shared);
	}
	free(all.list);
	return sum;
}
