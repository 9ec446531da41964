/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Asks a worker over its Unix socket and reads the answer. Connections are kept and used again, and
 * given up before the worker would (it closes at 5 s idle or 100 requests). Any thread; one
 * connection belongs to one request at a time.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "gateway/http1.h"

struct upstreams; /* the idle connections of all workers */
struct upstreams *upstreams_new(void);
void upstreams_free(struct upstreams *u);

struct upstream; /* a connection */

/* What ends a wait early. */
struct upstream_watch {
	int client_fd; /* its end or half-close: ERR_CANCELLED; −1: none */
	bool (*stopped)(void *arg, struct err *e); /* asked now and then; sets e. NULL: never */
	void *arg;
};

/* Posts a body of that type (NULL: JSON) and waits for the head of the final answer; the body
 * follows by upstream_read. A kept connection that turns out closed is replaced by a fresh one, as
 * long as nothing of an answer has arrived. ERR_UNREACHABLE when nobody listens: nothing was asked;
 * ERR_WORKER when what comes is not HTTP. */
MUST_CHECK bool upstream_post(struct upstreams *u, const char *socket, const char *path,
			      const char *type, const char *body, size_t len,
			      const struct upstream_watch *watch, struct upstream **ret,
			      struct http1_head *ret_head, struct err *e);
/* Bytes of the answer's body as soon as some are there; 0: it ended. */
MUST_CHECK bool upstream_read(struct upstream *up, const struct upstream_watch *watch, char *out,
			      size_t size, size_t *ret_len, struct err *e);
/* Keeps the connection if the answer was read to its end, else closes it: the worker then stops
 * generating. NULL is fine. */
void upstream_done(struct upstream *up);
CLEANUP_DEFINE(upstream_done, struct upstream)
/* Is the client still there? A half-close counts as gone. */
bool upstream_client_gone(int client_fd);
