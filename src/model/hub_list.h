/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a hub says a repository has (JSON of api/models/OWNER/REPO/tree/main), and which of it is
 * meant. Entries with a path that may not become a file here are as if they weren't there. Pure
 * functions.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "model/hub_name.h"

struct hub_file {
	char *path;
	int64_t size;
	char sha256[HASH_HEX_SIZE]; /* "": the hub doesn't say */
	bool came;                  /* fetched by this pull */
};

/* One model: a file, or its parts in order. */
struct hub_choice {
	struct hub_file *files;
	size_t count;
	bool has_projector; /* files[count] is the best one beside the model */
};

/* By the name's quantisation, without one Q4_K_M or what is nearest. ERR_NOT_FOUND and
 * ERR_INVALID (several fit) list what there is. */
MUST_CHECK bool hub_choose(const json_t *tree, const struct hub_name *name, struct hub_choice *ret,
			   struct err *e);
void hub_choice_done(struct hub_choice *c);

static inline void hub_choice_done_p(struct hub_choice *c)
{
	hub_choice_done(c);
}
