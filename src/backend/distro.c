/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/distro.h"

#include <stdio.h>
#include <string.h>

#include "backend/backend.h"

static const struct {
	const char *ids; /* of ID and ID_LIKE */
	const char *install;
} distros[DISTRO_COUNT] = {
	[DISTRO_DEBIAN] = {" debian ubuntu ", "sudo apt install"},
	[DISTRO_FEDORA] = {" fedora rhel centos ", "sudo dnf install"},
	[DISTRO_ARCH] = {" arch manjaro ", "sudo pacman -S"},
	[DISTRO_SUSE] = {" suse opensuse opensuse-tumbleweed opensuse-leap sles ",
			 "sudo zypper install"},
};

/* Which distribution has one of these words ("rhel fedora") as its own; DISTRO_COUNT: none. */
static enum distro match(char *words)
{
	char *rest = NULL;
	char padded[80];

	for (char *w = strtok_r(words, " \"'\n", &rest); w; w = strtok_r(NULL, " \"'\n", &rest)) {
		(void)snprintf(padded, sizeof(padded), " %s ", w);
		for (int d = 0; d < DISTRO_COUNT; d++) {
			if (strstr(distros[d].ids, padded) != NULL)
				return (enum distro)d;
		}
	}
	return DISTRO_COUNT;
}

enum distro distro_read(const char *os_release)
{
	FILE *f = fopen(os_release, "re");
	char line[512];
	enum distro by_id = DISTRO_COUNT;
	enum distro by_like = DISTRO_COUNT;

	if (f == NULL)
		return DISTRO_DEBIAN;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "ID=", 3) == 0)
			by_id = match(line + 3);
		else if (strncmp(line, "ID_LIKE=", 8) == 0)
			by_like = match(line + 8);
	}
	(void)fclose(f);
	if (by_id != DISTRO_COUNT)
		return by_id;
	return by_like != DISTRO_COUNT ? by_like : DISTRO_DEBIAN;
}

enum distro distro_here(void)
{
	return distro_read("/etc/os-release");
}

void distro_install_command(enum distro d, const char *packages, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s %s", distros[d].install, packages);
}
