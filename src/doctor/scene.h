/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every check wants to know of the machine first, and how it reads more. One thread. */

#include <stdbool.h>

#include "doctor/doctor.h"

enum container {
	CONTAINER_NONE,
	CONTAINER_DOCKER,
	CONTAINER_PODMAN,
	CONTAINER_LXC,
	CONTAINER_NSPAWN,
	CONTAINER_KUBERNETES,
	CONTAINER_OTHER,
	CONTAINER_COUNT
};

struct scene {
	const struct doctor *d;
	enum container container;
	enum distro distro;
	bool ubuntu; /* or made of it: has no package of its own for the driver */
	bool wsl;
	bool secure_boot;
	char kernel[80]; /* release of the one that runs; "": unknown */
};
void scene_read(const struct doctor *d, struct scene *ret);

/* The path below the root, caller frees. */
char *scene_path(const struct scene *s, const char *path);
bool scene_has(const struct scene *s, const char *path);
/* Text of a small file; NULL: none. Caller frees. */
char *scene_text(const struct scene *s, const char *path);
/* Is there one? */
bool scene_glob(const struct scene *s, const char *pattern);

/* The checks, each in the file of its name. */
void container_look(const struct scene *s, struct findings *f);
void machine_look(const struct scene *s, struct findings *f);
void driver_look(const struct scene *s, struct findings *f);
void access_look(const struct scene *s, struct findings *f);
void compilers_look(struct findings *f);
void icd_look(const struct scene *s, struct findings *f);
void toolkits_look(const struct scene *s, const struct backend *b, struct findings *f);
void amd_look(const struct scene *s, enum finding_state missing, struct findings *f);

/* container.c: gives a finding the way to get this vendor's GPU in; NULL: any. */
void container_advise(const struct scene *s, const char *vendor, struct finding *f);
/* Is a GPU of this vendor here, or of any for NULL? */
const struct gpu *scene_gpu(const struct scene *s, const char *vendor);
