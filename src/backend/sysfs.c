/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/sysfs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

const char *sysfs_root(void)
{
	const char *said = getenv("SYSFS_PATH");

	return said ? said : "/sys";
}

void sysfs_text(const char *folder, const char *file, char *ret, size_t size)
{
	CLEANUP(free) char *path = fs_join(folder, file);
	CLEANUP(free) char *text = NULL;
	struct err ignored = {0};

	ret[0] = '\0';
	if (!fs_read(path, 1 << 16, &text, NULL, &ignored))
		return;
	text[strcspn(text, "\n")] = '\0';
	for (char *c = text; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	(void)snprintf(ret, size, "%s", text);
}

int64_t sysfs_number(const char *folder, const char *file)
{
	char text[32];
	char *end;
	long long n;

	sysfs_text(folder, file, text, sizeof(text));
	n = strtoll(text, &end, 0);
	return end == text || *end || n < 0 ? -1 : (int64_t)n;
}
