/* SPDX-License-Identifier: Apache-2.0 */
/* Where compilers and the loader look for headers, libraries and programs. */

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/toolkit.h"
#include "base/fs.h"
#include "base/mem.h"

#if defined(__x86_64__)
#define TRIPLET "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define TRIPLET "aarch64-linux-gnu"
#else
#define TRIPLET "unknown-linux-gnu"
#endif

static const char *const header_folders[] = {
	"/usr/local/include",
	"/usr/include",
	"/usr/include/" TRIPLET,
	NULL,
};
static const char *const library_folders[] = {
	"/usr/local/lib", "/usr/lib/" TRIPLET, "/lib/" TRIPLET, "/usr/lib64",
	"/lib64",         "/usr/lib",          "/lib",          NULL,
};

static char *in_folder(const char *folder, const char *name)
{
	CLEANUP(free) char *path = fs_join(folder, name);

	return fs_exists(path) ? STEAL(path) : NULL;
}

static char *in_folders(const char *const *folders, const char *name)
{
	char *found = NULL;

	for (; *folders != NULL && found == NULL; folders++)
		found = in_folder(*folders, name);
	return found;
}

char *toolkit_header(const char *name, const char *root)
{
	CLEANUP(free) char *include = root ? fs_join(root, "include") : NULL;
	char *found = include ? in_folder(include, name) : NULL;

	return found ? found : in_folders(header_folders, name);
}

/* The folders that one file of /etc/ld.so.conf.d names. */
static char *in_conf(const char *conf, const char *name)
{
	FILE *f = fopen(conf, "re");
	char line[1024];
	char *found = NULL;

	if (f == NULL)
		return NULL;
	while (found == NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, " \t\r\n#")] = '\0';
		if (line[0] == '/')
			found = in_folder(line, name);
	}
	(void)fclose(f);
	return found;
}

char *toolkit_library(const char *name)
{
	char *found = in_folders(library_folders, name);
	glob_t confs = {0};

	if (found != NULL)
		return found;
	if (glob("/etc/ld.so.conf.d/*.conf", 0, NULL, &confs) == 0) {
		for (size_t i = 0; i < confs.gl_pathc && found == NULL; i++)
			found = in_conf(confs.gl_pathv[i], name);
	}
	globfree(&confs);
	return found;
}

char *toolkit_program(const char *name, const char *root)
{
	char *found = fs_which(name);
	CLEANUP(free) char *bin = NULL;

	if (found != NULL || root == NULL)
		return found;
	bin = fs_join(root, "bin");
	found = in_folder(bin, name);
	if (found != NULL && access(found, X_OK) != 0) {
		free(found);
		found = NULL;
	}
	return found;
}
