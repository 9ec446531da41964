/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The fast lane: two threads that accept every connection and serve, without a thread of its own
 * for each, the request that nearly every request is: a plain POST for a model that is loaded and
 * has a free slot. Anything else stays unread in its socket and goes to microhttpd, with a thread,
 * and keeps it: waiting in line, loading, errors, uploads, browsers, everything of the API.
 *
 *   accept ─► peek ─┬─ plain, loaded, a slot is free ─► worker ─► client ─┐
 *               ▲   └─ else ─► MHD_add_connection                         │
 *               └─────────────────────────────────────────────────────────┘
 */

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "gateway/gateway.h"

/* What decides whether a POST of JSON may pass. */
struct lane_facts {
	const char *host;
	const char *content_type; /* NULL: absent, as those below */
	const char *authorization;
	const char *api_key;
};

struct lane_door {
	int fd;                    /* listens; the lane closes it */
	struct MHD_Daemon *daemon; /* for the rest; has MHD_USE_NO_LISTEN_SOCKET */
	/* False: microhttpd's side looks at the request, and says why it refuses. On our thread. */
	bool (*may)(void *arg, const struct lane_facts *f);
	void *arg;
};

#define LANE_DOORS 2

struct lane;
MUST_CHECK bool lane_start(struct gateway *g, const struct lane_door *doors, size_t count,
			   struct lane **ret, struct err *e);
/* From now on every request goes to microhttpd's side. As those below, any thread; NULL is fine. */
void lane_refuse_new(struct lane *l);
int lane_running(const struct lane *l); /* after lane_refuse_new: requests under way here */
int lane_connections(const struct lane *l);
/* Closes its connections; before MHD_stop_daemon. NULL is fine. */
void lane_stop(struct lane *l);
