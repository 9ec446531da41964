/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One proxied request, from its place in the model's line to the end of the worker's answer. Owned
 * by one thread at a time: the connection's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "gateway/continuation.h"
#include "gateway/dialect.h"
#include "gateway/http1.h"
#include "gateway/ollama.h"
#include "gateway/scan.h"
#include "gateway/upstream.h"
#include "switch/route.h"
#include "switch/switch.h"

enum exchange_state {
	EXCHANGE_IN_LINE,    /* waits for a slot */
	EXCHANGE_ANSWERING,  /* the worker's answer is read */
	EXCHANGE_LAST_WORDS, /* `words` are still to be sent, then it is over */
	EXCHANGE_OVER,
};

struct exchange {
	const struct gateway *gateway;
	struct switcher *switcher;
	struct upstreams *upstreams;
	struct route *route;
	const struct dialect *dialect;
	const char *path;
	const char *body; /* borrowed until the request ends; or `edited` */
	size_t len;
	const char *type; /* of the body; NULL: JSON */
	char *edited;     /* what is asked instead: without id_slot, or translated; NULL: nothing */
	int client_fd;
	bool stream;                /* the client asked for events */
	bool keeps;                 /* keep_alive_ms was said */
	int64_t keep_alive_ms;      /* -1: for ever */
	int64_t tick_ms;            /* between two signs of life of a waiting stream */
	char model[SCAN_MODEL_MAX]; /* its id */

	enum exchange_state state;
	struct route_place place;
	struct route_ticket ticket;
	struct upstream *up; /* ANSWERING only */
	struct http1_head head;
	bool moving;  /* it left its worker, as it was asked to, or that was gone: enter again */
	bool refused; /* by a worker that was gone: so once before */
	struct continuation *so_far; /* of a stream that can go on elsewhere; NULL: it can't */
	struct buf rest;             /* asked instead of `body`, for the rest of the stream */
	bool going_on;               /* the answer to that is read */
	struct buf ready;            /* of it: as the client gets it, not read yet */
	bool in_event;               /* the last byte sent didn't end a line */
	struct buf words;
	size_t said;
	struct ollama *ollama; /* its client is one of those; NULL: it isn't */
	struct buf lines;      /* of it: what is not sent yet */
};

/* Keeps a worker's stream in mind; NULL: it can't go on at another worker. Borrows the body. */
struct continuation *exchange_record(const char *path, const char *body, size_t len,
				     const struct worker *w);
void exchange_free(struct exchange *c); /* gives all back; NULL is fine */
CLEANUP_DEFINE(exchange_free, struct exchange)
/* Waits at most wait_ms for a slot; loads the model if it is not loaded. ROUTE_WAITING: call again.
 * Otherwise ROUTE_ADMITTED or ROUTE_REFUSED. */
enum route_turn exchange_enter(struct exchange *c, int64_t wait_ms, struct err *e);
/* These two fail with `moving` when the worker is to be left: then the exchange is IN_LINE again,
 * and what is read next continues what was read before. */
/* Admitted: asks the worker, waits for the head of its answer. */
MUST_CHECK bool exchange_ask(struct exchange *c, struct err *e);
/* Bytes of the answer as they come; 0: it ended, and slot and connection are given back. */
MUST_CHECK bool exchange_read(struct exchange *c, char *out, size_t size, size_t *ret_len,
			      struct err *e);
