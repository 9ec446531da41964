/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a builder notes in its stage, so that a later one can take it up. What compilers wrote is
 * whole after the death of any process, but not after the machine's: a note holds for the boot it
 * was made in, or for any when the stage was synced after all who wrote in it had ended.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/store_priv.h"

#define ANY_BOOT "any"

enum { NOTE_MAX_BYTES = 65536, KEEP_S = 3 * 24 * 3600 };

/* Caller frees; "" when this system does not tell. */
static char *this_boot(void)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	char line[64] = "";

	if (f == NULL)
		return mem_dup("");
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	(void)fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return mem_dup(line);
}

static bool holds(const char *boot)
{
	CLEANUP(free) char *now = this_boot();

	return strcmp(boot, ANY_BOOT) == 0 || (now[0] != '\0' && strcmp(boot, now) == 0);
}

/* Also false when the clock went back so far: nobody knows its age. */
static bool is_young(const char *path)
{
	struct stat st = {0};
	time_t now = time(NULL);

	return stat(path, &st) == 0 && st.st_mtime > now - KEEP_S && st.st_mtime < now + KEEP_S;
}

char *stage_note_read(const char *stage)
{
	CLEANUP(free) char *path = fs_join(stage, "note");
	CLEANUP(free) char *text = NULL;
	char *rest = NULL;

	if (!is_young(path) || !fs_read(path, NOTE_MAX_BYTES, &text, NULL, NULL))
		return NULL;
	rest = strchr(text, '\n');
	if (rest == NULL)
		return NULL;
	*rest = '\0';
	return holds(text) ? mem_dup(rest + 1) : NULL;
}

bool stage_note_write(const char *stage, const char *note, bool synced, struct err *e)
{
	CLEANUP(free) char *path = fs_join(stage, "note");
	CLEANUP(free) char *boot = synced ? mem_dup(ANY_BOOT) : this_boot();
	CLEANUP(free) char *text = mem_printf("%s\n%s", boot, note);

	return fs_replace(path, text, strlen(text), 0600, e);
}

void stage_note_remove(const char *stage)
{
	CLEANUP(free) char *path = fs_join(stage, "note");

	(void)unlink(path);
}
