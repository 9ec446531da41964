/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a worker sends back, as HTTP/1.1 defines it: the head of an answer, and where its body ends.
 * Pure functions on bytes; nothing here reads a socket.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum http1_framing { HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

struct http1_head {
	int status;
	enum http1_framing framing;
	int64_t length; /* of the body; HTTP1_LENGTH only */
	bool close;     /* the connection can't be used again */
	char content_type[128];
	char retry_after[16]; /* "" when absent, as content_type */
};

/* Bytes of a complete head at the front of data, 0: it goes on. */
size_t http1_head_size(const char *data, size_t len);
/* size bytes, as http1_head_size() says. ERR_WORKER for what is not HTTP/1.x. */
MUST_CHECK bool http1_parse_head(const char *data, size_t size, struct http1_head *ret,
				 struct err *e);

/* Server-sent events. */
bool http1_is_events(const struct http1_head *h);

/* Where in a body we are. */
struct http1_body {
	enum http1_framing framing;
	bool done;
	int64_t left; /* bytes of the body or of this chunk */
	int state;    /* private */
	int digits;   /* of a chunk's size; private */
};

void http1_body_init(struct http1_body *b, const struct http1_head *head);
/* Takes bytes from in (*used of them) and puts what belongs to the body into out: *ret_len bytes.
 * ERR_WORKER: broken chunks. */
MUST_CHECK bool http1_decode(struct http1_body *b, const char *in, size_t in_len, size_t *used,
			     char *out, size_t out_size, size_t *ret_len, struct err *e);
/* The connection has ended: was that the body's end? */
MUST_CHECK bool http1_end(struct http1_body *b, struct err *e);
