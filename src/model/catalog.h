/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The models that the user registered: ids, adding a GGUF file, pulling one by name, forgetting.
 * Rows live in db. */

#include <stdbool.h>

#include "base/err.h"
#include "db/db.h"
#include "task/task.h"

/* [A-Za-z0-9][A-Za-z0-9._:@+-]{0,199}, and not "loaded". */
bool catalog_id_valid(const char *id);
/* Id made of a file name: without folder, ".gguf" and "-00001-of-00003", any run of other
 * characters "-", cut at 200. Caller frees. */
char *catalog_id_from_path(const char *path);

/* May the model `id` have these options' aliases, and its id? ERR_INVALID: not even alone;
 * ERR_CONFLICT names the model that has one of the names. */
MUST_CHECK bool catalog_names_free(struct db *db, const char *id, const char *options,
				   struct err *e);
/* Reads the GGUF and inserts the row: catalog_describe(), then catalog_enter(). */
MUST_CHECK bool catalog_add(struct db *db, const char *path, const char *id, const char *options,
			    bool pulled, struct db_model *ret, struct err *e);
/* What the row would be. id NULL: from the file name. path is made absolute. options: JSON text or
 * NULL (already checked). Fails for the file's or the id's sake. */
MUST_CHECK bool catalog_describe(const char *path, const char *id, const char *options, bool pulled,
				 struct db_model *ret, struct err *e);
/* Inserts it. ERR_CONFLICT: one of its names is taken. */
MUST_CHECK bool catalog_enter(struct db *db, const struct db_model *m, struct err *e);
/* Reads the GGUF at m->path anew into m: size, architecture, name, quantization, parameters,
 * context length, mode. */
MUST_CHECK bool catalog_read_file(struct db_model *m, struct err *e);
/* The file still is what was registered (there, same size, a regular file). */
MUST_CHECK bool catalog_check_file(const struct db_model *m, struct err *e);

/* Its file, and the other parts of a split one. Those that are gone are no failure. */
MUST_CHECK bool catalog_remove_files(const struct db_model *m, struct err *e);

/* What `pull` knows: names ("smollm2"; ERR_NOT_FOUND lists them) and hf:OWNER/REPO[:QUANT]. */
MUST_CHECK bool catalog_pull_known(const char *name, struct err *e);
struct pull_settings; /* pull.h */
/* A task that fetches, checks and registers. options: JSON text or NULL, checked already; the
 * caller sets them afterwards, and their aliases must be free before. The row's id is *in the
 * task's result*: {"model": id}. A model that is there already is success at once. */
MUST_CHECK bool catalog_pull(struct tasks *ts, struct db *db, const struct pull_settings *settings,
			     const char *name, const char *id, const char *options,
			     char ret_task[static TASK_ID_SIZE], struct err *e);
