/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside gateway/: what the two ways of serving share. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "gateway/gateway.h"
#include "gateway/paths.h"
#include "gateway/upstream.h"

struct gateway {
	struct routes *routes;
	struct switcher *switcher;
	struct upstreams *upstreams;
	int64_t tick_ms;
	bool fetch_media;
	atomic_bool cutting;
	pthread_mutex_t lock; /* guards the list below */
	struct moved *moved;  /* clients whose request has left its worker, unanswered */
	atomic_int moved_count;
};

/* The next request of this client goes to the front of the line: it was taken out of there. */
void gateway_expect_moved(struct gateway *g, int client_fd);
/* Was it? Also for a new client, with the number of one that has gone. */
bool gateway_forget_moved(struct gateway *g, int client_fd);

/* Must this answer end before its end? Then e says why. */
bool gateway_must_cut(const struct gateway *g, const struct route_ticket *t, const char *model,
		      struct err *e);
