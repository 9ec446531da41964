/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which model a request is for, and whether it can be asked that. */

#include "gateway/gateway_priv.h"
#include "gateway/scan.h"

/* Can it be asked this? ERR_INVALID. media: MEDIA_… */
MUST_CHECK bool target_can(const struct gateway *g, const char *model,
			   const struct gateway_path *path, unsigned media, struct err *e);
/* Does a worker of that runtime have the path? ERR_NOT_SUPPORTED. */
MUST_CHECK bool target_runtime_has(const struct runtime *r, const char *path, struct err *e);
/* By its id or an alias; without a name the only one that is loaded. */
MUST_CHECK bool target_find(const struct gateway *g, const struct scan *s, struct route **ret,
			    struct err *e);
