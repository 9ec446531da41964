/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A small blocking HTTP client over libcurl: for verification, worker health, and the command line.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct http_request {
	const char *socket;         /* Unix socket path; NULL: TCP as in url */
	const char *method;         /* NULL: GET, or POST with a body */
	const char *url;            /* "http://localhost/health" */
	const char *body;           /* NULL: none; sent as application/json */
	const char *const *headers; /* NULL-ended "Name: value", may be NULL */
	int timeout_ms;             /* whole exchange; 0: none */
	size_t max_bytes;           /* of the answer's body kept; 0: 64 MiB */
	/* When set, gets the body piece by piece instead of it being kept, but for an error's
	 * (status ≥ 400); false ends the exchange. */
	bool (*on_data)(void *arg, const char *data, size_t len);
	bool (*cancelled)(void *arg); /* asked about every 200 ms */
	void *arg;
};

struct http_response {
	int status;
	char *body; /* NUL-terminated, caller frees with http_response_done */
	size_t len;
};

/* ERR_UNREACHABLE when nobody listens, ERR_CANCELLED, ERR_SYSTEM for a broken exchange. Any HTTP
 * status is success. */
MUST_CHECK bool http_fetch(const struct http_request *req, struct http_response *ret,
			   struct err *e);
void http_response_done(struct http_response *r);

static inline void http_response_done_p(struct http_response *r)
{
	http_response_done(r);
}
