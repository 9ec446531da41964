/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as text, and what they name. */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

bool fs_exists(const char *path)
{
	struct stat st = {0};

	return stat(path, &st) == 0;
}

bool fs_is_folder(const char *path)
{
	struct stat st = {0};

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *fs_join(const char *a, const char *b)
{
	size_t len = strlen(a);

	while (len > 0 && a[len - 1] == '/')
		len--;
	if (a[0] == '\0')
		return mem_dup(b);
	b += strspn(b, "/");
	if (b[0] == '\0')
		return len > 0 ? mem_ndup(a, len) : mem_dup("/");
	return mem_printf("%.*s/%s", (int)len, a, b);
}

/* Like dirname(1): "a/b/" is in "a", "/a" in "/". */
char *fs_dirname(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	return len > 0 ? mem_ndup(path, len) : mem_dup(".");
}

char *fs_real(const char *path)
{
	return realpath(path, NULL);
}

static bool is_program(const char *path)
{
	struct stat st = {0};

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *fs_which(const char *program)
{
	const char *path = getenv("PATH");

	if (program[0] == '\0' || strchr(program, '/') != NULL)
		return NULL;
	if (path == NULL)
		path = "/usr/local/bin:/usr/bin:/bin";
	for (const char *p = path; *p != '\0';) {
		size_t len = strcspn(p, ":");
		CLEANUP(free) char *folder = mem_ndup(p, len);
		CLEANUP(free) char *full = fs_join(folder, program);

		/* Only absolute folders: an empty or relative one means where we happen to be. */
		if (folder[0] == '/' && is_program(full))
			return STEAL(full);
		p += len + (p[len] == ':');
	}
	return NULL;
}
