/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside gateway/: what the two ways of serving share. */

#include <stdatomic.h>
#include <stdint.h>

#include "gateway/gateway.h"
#include "gateway/upstream.h"

struct gateway {
	struct routes *routes;
	struct switcher *switcher;
	struct upstreams *upstreams;
	int64_t tick_ms;
	atomic_bool cutting;
};

/* The path as a string that outlives the request; NULL: none of ours. */
const char *gateway_path(const char *path);
/* Must this answer end before its end? Then e says why. */
bool gateway_must_cut(const struct gateway *g, const struct route_ticket *t, const char *model,
		      struct err *e);
