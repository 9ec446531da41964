/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* engine/<release>/engine.ini: one pinned llama.cpp, as data. Read-only once read. */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct pin {
	char *folder; /* where the file lies; patches and include are relative to it */
	/* [source] */
	char *release, *package, *version, *commit, *sha256;
	int64_t size; /* of the archive, bytes */
	char *subfolder, *backend;
	struct strv skip; /* in subfolder, not unpacked */
	/* [recipe] */
	char *include;
	struct strv patches;
	struct strv cmake_args;
	/* [base] */
	struct strv base_args, base_targets, base_files;
	int64_t base_disk, base_memory; /* MiB */
	/* [module] */
	struct strv module_args;
	/* [python] */
	char *python; /* folder of its hook, pins and scripts; NULL: this release has no binding */
	/* [cuda] */
	char *cuda, *cuda_version, *cuda_root; /* folder of pins; NULL: no toolkit from pip */
	int64_t compiler_size, runtime_size;   /* bytes to fetch */
	int64_t compiler_disk, runtime_disk;   /* MiB */
};

void pin_free(struct pin *p);
CLEANUP_DEFINE(pin_free, struct pin)
/* Errors name the file, the line and what stands there. */
MUST_CHECK bool pin_read(const char *folder, struct pin **ret, struct err *e);
/* The newest release under <data_dir>/engine. */
MUST_CHECK bool pin_find(const char *data_dir, struct pin **ret, struct err *e);
