/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a model can be asked. */

#include <stdbool.h>

#include "base/err.h"
#include "db/db.h"

struct ability {
	const char *mode;   /* "chat", "embedding", "rerank"; static */
	bool vision, audio; /* as its projector (option mmproj) says */
	bool tools;         /* as its chat template says; runtime python: none */
};

/* What else than the mode is wanted: each reads a file. */
#define ABILITY_MEDIA 1U /* the projector's, if there is one */
#define ABILITY_TOOLS 2U /* the model's, unless its template is an option */

void ability_find(const struct db_model *m, unsigned wanted, struct ability *ret);
/* Is that file a projector? ERR_INVALID. */
MUST_CHECK bool ability_check_projector(const char *path, struct err *e);
