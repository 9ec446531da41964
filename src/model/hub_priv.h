/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside model/: a pull from a hub while it runs. */

#include <stdbool.h>
#include <stdint.h>

#include "model/hub_list.h"
#include "model/pull.h"

struct hub_pull {
	struct db *db;
	const struct pull_settings *s;
	char *said; /* hf:OWNER/REPO:QUANT as the user wrote it */
	struct hub_name name;
	char *id;      /* NULL: from the file's name, once that is known */
	char *options; /* what it gets afterwards */
	char *folder;  /* models_dir/hf/OWNER/REPO, held by its .lock */
	int lock;
	char *token;
	struct hub_choice choice;
	bool projector;    /* the choice's comes too, and the model gets it */
	struct task *task; /* while a step runs */
	int64_t before;    /* bytes of the files before the one that comes now */
	int64_t total;
};

/* Where a file of the repository comes to lie. Caller frees. */
char *hub_local_path(const struct hub_pull *p, const struct hub_file *f);
bool hub_cancelled(void *hub_pull);

/* hub_projector.c. Not when the model has other options, which its log then says. */
bool hub_wants_projector(const struct hub_pull *p);
/* What a new model gets, JSON text; NULL: none came, or it is not one. Caller frees. */
char *hub_projector_options(struct hub_pull *p);

/* hub_get.c. The file's content is a secret: it is never shown, not even what is wrong with it. */
MUST_CHECK bool hub_read_token(struct hub_pull *p, struct err *e);
/* sha256 "": not checked. */
MUST_CHECK bool hub_get(struct hub_pull *p, const char *url, const char *path, const char *sha256,
			int64_t max_bytes, struct err *e);
/* All pages of what the repository has: an array. Works in the file `path`. */
MUST_CHECK bool hub_read_tree(struct hub_pull *p, const char *path, json_t **ret, struct err *e);
/* So many bytes of the file that comes now are here. */
void hub_progress(struct hub_pull *p, int64_t bytes);
