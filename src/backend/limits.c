/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of the line "name 123", 0 when there is none. */
static int64_t stat_value(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = text; p != NULL && *p != '\0';) {
		if (strncmp(p, name, len) == 0 && p[len] == ' ')
			return strtoll(p + len, NULL, 10);
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return 0;
}

void limits_memory(const char *max, const char *current, const char *stat, struct hardware *hw)
{
	int64_t limit = max ? strtoll(max, NULL, 10) : 0; /* "max" is 0 */
	int64_t used = current ? strtoll(current, NULL, 10) : 0;

	if (limit <= 0 || limit >= hw->memory_bytes)
		return;
	/* Files in the page cache count as used, and are given back when someone asks. */
	used -= stat_value(stat, "inactive_file") + stat_value(stat, "active_file");
	if (used < 0)
		used = 0;
	hw->memory_bytes = limit;
	if (limit - used < hw->memory_free_bytes)
		hw->memory_free_bytes = limit > used ? limit - used : 0;
}

void limits_cores(const char *cpu_max, struct hardware *hw)
{
	long long quota = 0;
	long long period = 0;
	char *end = NULL;

	if (cpu_max == NULL)
		return;
	quota = strtoll(cpu_max, &end, 10); /* "max 100000": 0 */
	period = strtoll(end, NULL, 10);
	if (quota <= 0 || period <= 0)
		return;
	quota = (quota + period - 1) / period;
	if (quota < hw->cores)
		hw->cores = (int)quota;
}
