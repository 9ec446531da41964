/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * manifest.json of a piece: what it is, what it was made of, and every file with size and SHA-256
 * or link target. The last file that is written, so a folder that has a whole one is complete. Any
 * thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

#define MANIFEST_NAME "manifest.json"

struct manifest_file {
	char *name; /* relative, without "..", may have '/' */
	char *link; /* target; NULL: a regular file */
	int64_t size;
	char sha256[65];
};

struct manifest {
	char *digest;
	char *kind;
	char *inputs;
	struct manifest_file *files;
	size_t count;
};

void manifest_free(struct manifest *m);
CLEANUP_DEFINE(manifest_free, struct manifest)

/* Reads every file under `folder`; refuses what is no file, folder or link, and links that lead
 * out. */
MUST_CHECK bool manifest_make(const char *folder, const char *digest, const char *kind,
			      const char *inputs, struct manifest **ret, struct err *e);
/* Into <folder>/manifest.json. */
MUST_CHECK bool manifest_write(const struct manifest *m, const char *folder, struct err *e);
MUST_CHECK bool manifest_read(const char *folder, struct manifest **ret, struct err *e);
/* Is each file there with its size or target? With `hashes` also its content. Names the first that
 * differs. */
MUST_CHECK bool manifest_verify(const struct manifest *m, const char *folder, bool hashes,
				struct err *e);
