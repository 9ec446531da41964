/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ollama's API on top of OpenAI's: a request is made into one that llama-server knows, and what it
 * answers into what Ollama's clients read: one JSON object, or a stream of them, one a line. Bytes
 * in, bytes out; one thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "switch/route.h"

enum ollama_kind { OLLAMA_NONE, OLLAMA_CHAT, OLLAMA_GENERATE, OLLAMA_EMBED, OLLAMA_EMBEDDINGS };

struct ollama_request {
	const char
		*path;   /* of llama-server; NULL: nothing is asked, the model is only (un)loaded */
	struct buf body; /* for that path */
	bool stream;
};
/* ollama_ask.c. The body has passed scan_request. ERR_INVALID. */
MUST_CHECK bool ollama_ask(enum ollama_kind kind, const char *body, size_t len,
			   struct ollama_request *ret, struct err *e);

/* ollama_dialect.c. By id or alias: "name:latest" is "name", too. NULL: there is none. */
struct route *ollama_route(struct routes *routes, const char *name);

/* ollama_answer.c */
struct ollama;
/* name: of the model, as the client wrote it. */
struct ollama *ollama_new(enum ollama_kind kind, const char *name);
void ollama_free(struct ollama *o);
CLEANUP_DEFINE(ollama_free, struct ollama)
void ollama_loaded(struct ollama *o); /* the model is there: what came before was loading */
/* The worker's whole answer. ERR_WORKER: it is none that we know. */
MUST_CHECK bool ollama_whole(struct ollama *o, const char *answer, size_t len, struct buf *ret,
			     struct err *e);
/* Bytes of the worker's stream: appends lines. ERR_WORKER: an event that is too long. */
MUST_CHECK bool ollama_feed(struct ollama *o, const char *data, size_t len, struct buf *ret,
			    struct err *e);
/* Instead of an answer, where nothing was asked: reason is "load" or "unload". */
void ollama_nothing(struct ollama *o, const char *reason, struct buf *ret);
