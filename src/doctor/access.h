/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The judgement of access.c, apart from where its facts come from. */

#include <sys/types.h>

#include "doctor/scene.h"

struct node {             /* that the kernel does not let us open */
	const char *path; /* of the device */
	uid_t uid;
	gid_t gid;
	mode_t mode;
};
struct caller {
	uid_t uid;
	const char *name;  /* "": a user that only systemd knows (DynamicUser=) */
	const gid_t *gids; /* that are in force, the first is its own */
	size_t count;
};
/* Why not, and what helps. */
void access_judge(const struct scene *s, const struct node *n, const struct caller *c,
		  struct findings *f);
