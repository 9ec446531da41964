/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/scene.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/distro.h"
#include "base/fs.h"
#include "base/mem.h"

enum { TEXT_MAX = 16 << 20 }; /* modules.dep has one or two MB */

/* The UUID is EFI's global one. Four bytes of attributes, then the value. */
#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

char *scene_path(const struct scene *s, const char *path)
{
	return mem_printf("%s%s", s->d->root, path);
}

bool scene_has(const struct scene *s, const char *path)
{
	CLEANUP(free) char *full = scene_path(s, path);

	return fs_exists(full);
}

char *scene_text(const struct scene *s, const char *path)
{
	CLEANUP(free) char *full = scene_path(s, path);
	struct err ignored = {0};
	char *text = NULL;

	return fs_read(full, TEXT_MAX, &text, NULL, &ignored) ? text : NULL;
}

bool scene_glob(const struct scene *s, const char *pattern)
{
	CLEANUP(free) char *full = scene_path(s, pattern);
	glob_t found = {0};
	bool any = glob(full, GLOB_NOSORT, NULL, &found) == 0;

	globfree(&found);
	return any;
}

const struct gpu *scene_gpu(const struct scene *s, const char *vendor)
{
	const struct gpus *g = s->d->gpus;

	for (size_t i = 0; i < g->count; i++)
		if (!vendor || (g->list[i].vendor && strcmp(g->list[i].vendor, vendor) == 0))
			return &g->list[i];
	return NULL;
}

/* --- containers --------------------------------------------------------- */

static bool contains(const char *text, const char *word)
{
	return text && strstr(text, word);
}

/* systemd writes down who made the container, others leave a file of their own or a word in the
 * names of their control groups. Kubernetes is asked for first: its containers are another's too.
 */
static enum container find_container(const struct scene *s)
{
	static const struct {
		const char *word; /* of /run/systemd/container */
		enum container container;
	} words[] = {
		{"docker", CONTAINER_DOCKER},
		{"podman", CONTAINER_PODMAN},
		{"lxc", CONTAINER_LXC},
		{"systemd-nspawn", CONTAINER_NSPAWN},
		{"kubernetes", CONTAINER_KUBERNETES},
	};
	CLEANUP(free) char *cgroup = scene_text(s, "/proc/1/cgroup");
	CLEANUP(free) char *said = scene_text(s, "/run/systemd/container");

	if (contains(cgroup, "kubepods") || scene_has(s, "/run/secrets/kubernetes.io") ||
	    scene_has(s, "/var/run/secrets/kubernetes.io"))
		return CONTAINER_KUBERNETES;
	for (size_t i = 0; said && i < ARRAY_LEN(words); i++)
		if (strncmp(said, words[i].word, strlen(words[i].word)) == 0)
			return words[i].container;
	if (scene_has(s, "/run/.containerenv") || contains(cgroup, "/libpod-"))
		return CONTAINER_PODMAN;
	if (scene_has(s, "/.dockerenv") || contains(cgroup, "/docker/") ||
	    contains(cgroup, "/docker-"))
		return CONTAINER_DOCKER;
	if (contains(cgroup, "/lxc/") || contains(cgroup, "/lxc.payload"))
		return CONTAINER_LXC;
	if (contains(cgroup, "/machine.slice/"))
		return CONTAINER_NSPAWN;
	return said && strncmp(said, "wsl", 3) != 0 ? CONTAINER_OTHER : CONTAINER_NONE;
}

/* --- the rest ----------------------------------------------------------- */

static void find_distro(struct scene *s)
{
	CLEANUP(free) char *path = scene_path(s, "/etc/os-release");
	CLEANUP(free) char *text = scene_text(s, "/etc/os-release");

	s->distro = distro_read(path);
	s->ubuntu = contains(text, "ID=ubuntu") || contains(text, "ID=\"ubuntu\"") ||
		    contains(text, "ID_LIKE=ubuntu") || contains(text, "ID_LIKE=\"ubuntu");
}

static bool find_secure_boot(const struct scene *s)
{
	CLEANUP(free) char *path = scene_path(s, SECURE_BOOT);
	CLEANUP(free) char *value = NULL;
	struct err ignored = {0};
	size_t len = 0;

	return fs_read(path, 64, &value, &len, &ignored) && len == 5 && value[4] == 1;
}

void scene_read(const struct doctor *d, struct scene *ret)
{
	struct scene s = {.d = d};
	CLEANUP(free) char *version = scene_text(&s, "/proc/version");
	CLEANUP(free) char *release = scene_text(&s, "/proc/sys/kernel/osrelease");

	s.container = find_container(&s);
	find_distro(&s);
	s.wsl = version && strcasestr(version, "microsoft");
	s.secure_boot = find_secure_boot(&s);
	if (release)
		(void)snprintf(s.kernel, sizeof(s.kernel), "%.*s", (int)strcspn(release, "\n/"),
			       release);
	*ret = s;
}
