/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which model a request is for. */

#include "gateway/gateway_priv.h"
#include "gateway/scan.h"

/* By its id or an alias; without a name the only one that is loaded. */
MUST_CHECK bool target_find(const struct gateway *g, const struct scan *s, struct route **ret,
			    struct err *e);
