/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Looks at this machine as somebody would who knows what goes wrong with GPUs, drivers and
 * compilers, and says of each thing how it is and what mends it. Runs compilers for their version,
 * and never a driver's tool. Any thread.
 */

#include <stdint.h>

#include "backend/gpu.h"
#include "doctor/finding.h"

struct doctor {
	const char *root;              /* "", or a folder that stands for / */
	const struct backend *backend; /* whose toolkit; NULL: of all that fit this machine */
	const struct gpus *gpus;
	struct toolkit_ask ask;        /* of the toolkits */
	const char *const *worker_env; /* NULL-ended NAME=VALUE that workers get; may be NULL */
	const char *store_dir, *models_dir;         /* need not be there */
	int64_t base_disk_bytes, base_memory_bytes; /* what a build of the base takes */
};
void doctor_look(const struct doctor *d, struct findings *ret);
/* Takes "sudo" out of a command, for root where there is none, as in containers. */
void doctor_without_sudo(char *command);
/* The command that installs all packages that were found missing; NULL: none is. Caller frees. */
char *doctor_install(const struct findings *f);
