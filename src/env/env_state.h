/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* States of environments: names, and the one function that changes them. */

#include <stdbool.h>

#include "base/err.h"
#include "db/db.h"
#include "env/env.h"

const char *env_state_name(enum env_state s);
/* False: no such name. */
bool env_state_find(const char *name, enum env_state *ret);
/* The only writer of states: checks the table of env.h (ERR_CONFLICT), saves the whole row, adds an
 * event. `reason` becomes the row's (NULL: none). On failure the row in memory is as before. */
MUST_CHECK bool env_set_state(struct db *db, struct db_env *row, enum env_state to,
			      const char *reason, struct err *e);
