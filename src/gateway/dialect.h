/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How each family of clients is spoken to where the words are ours: errors, and signs of life in a
 * stream that waits. What a worker answers is its own, but for Ollama's. */

#include <microhttpd.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct ollama;

struct dialect {
	/* The JSON text of an error, without a line break. param: the field that was wrong, or
	 * NULL. */
	void (*error)(const struct err *e, const char *param, struct buf *ret);
	/* What a stream ends with that failed. */
	void (*error_event)(const struct err *e, struct buf *ret);
	const char *sign_of_life; /* in a stream, while it waits */
	const char *stream_type;  /* NULL: text/event-stream */
	bool rewrites_errors;     /* a worker's, too, which have OpenAI's form */
	/* A worker's answer, whole or as it comes, in these clients' words; NULL: it passes as it
	 * is. The stream is no events then. */
	bool (*whole)(struct ollama *o, const char *answer, size_t len, struct buf *ret,
		      struct err *e);
	bool (*feed)(struct ollama *o, const char *data, size_t len, struct buf *ret,
		     struct err *e);
};

extern const struct dialect dialect_openai, dialect_responses, dialect_anthropic;
extern const struct dialect dialect_ollama_chat, dialect_ollama_generate;

/* Of a path, ours or not. */
const struct dialect *dialect_of(const char *path);
/* An error as a response, with Retry-After where that makes sense; the caller queues it with
 * err_http_status(). */
struct MHD_Response *dialect_response(const struct dialect *d, const struct err *e,
				      const char *param);
/* A JSON string; what is not UTF-8 (a message cut in the middle) becomes '?'. */
void dialect_string(struct buf *b, const char *s);
/* The error that a worker's answer tells of. */
void dialect_read_error(int status, const char *text, size_t len, struct err *e);
