/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `shunt doctor` where no daemon answers: the same checks in this process, with its user's rights.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "daemon/config.h"

/* *ret: as GET /llm/api/doctor answers. backend NULL: all. */
MUST_CHECK bool doctor_here(const struct config *c, const char *backend, json_t **ret,
			    struct err *e);
