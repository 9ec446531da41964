/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a model can be asked. */

#include <stdbool.h>

#include "base/err.h"
#include "db/db.h"

struct ability {
	const char *mode;   /* "chat", "embedding", "rerank"; static */
	bool vision, audio; /* as its projector (option mmproj) says */
};

/* Reads the projector's file, if there is one. */
void ability_find(const struct db_model *m, struct ability *ret);
/* Is that file a projector? ERR_INVALID. */
MUST_CHECK bool ability_check_projector(const char *path, struct err *e);
