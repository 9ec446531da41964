/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One HTTP request, from its headers to its answer, in its connection's thread. Handlers read
 * straight from top to bottom and may block; those that wait ask call_gone().
 */

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/endpoint.h"
#include "api/guard.h"
#include "backend/gpu.h"
#include "gateway/lane.h"

struct pulls;

struct listener {
	struct api *api;
	struct MHD_Daemon *daemon;
	struct guard guard;
	int fd; /* listening socket, −1: none */
};

struct api {
	struct api_settings s;
	struct listener tcp, local;
	struct lane *lane; /* NULL: none */
	int port;
	char *socket_path;    /* ours to remove; NULL: none */
	int64_t started;      /* wall ms */
	atomic_bool refusing; /* new requests: the daemon waits for the others */
	atomic_bool stopping;
	atomic_int running;            /* calls, from call_answer to their end */
	atomic_llong body_bytes;       /* bodies in memory, of all requests */
	pthread_mutex_t options_lock;  /* one change of stored options at a time */
	pthread_mutex_t backends_lock; /* guards backends */
	json_t *backends;              /* what the toolkit checks found; NULL: not asked yet */
	struct pulls *pulls;
};

struct call {
	struct api *api;
	struct listener *from;
	struct MHD_Connection *conn;
	int fd;
	const char *method, *path; /* path as sent, without query; borrowed */
	const char *origin;        /* of a page that may read the answer; NULL: none */
	bool gateway;              /* the path is the gateway's */
	bool preflight;
	bool counted;       /* in api->running */
	struct err refused; /* why it is not handled; the body is read and dropped */
	struct buf in;      /* the body */
	size_t received;

	/* for handlers */
	struct match match;
	json_t *body;                  /* an object, checked against the endpoint's fields */
	json_t *query;                 /* the same of the parameters */
	json_t *reply;                 /* the handler adds to it */
	int status;                    /* 0: 200 */
	struct MHD_Response *response; /* in place of reply, ready to queue */
	int allowed_status;            /* 405 in place of the error's own; 0 */
};

/* server.c: the listener's server. accepts: it takes connections from the listener's fd itself. */
MUST_CHECK bool server_start(struct listener *l, bool accepts, struct err *e);
void server_stop(struct listener *l); /* closes its connections, waits for their threads */
int server_connections(const struct listener *l); /* open ones */

/* Headers are there: checks them, sets c->refused. */
void call_check(struct call *c);
/* The whole request is there: handles it and queues the answer. */
enum MHD_Result call_answer(struct call *c);
/* Queues the error that refused it. */
enum MHD_Result call_refuse(struct call *c);
/* Nobody waits for the answer any more: the client left, or the daemon stops. Takes a struct call
 * *. */
bool call_gone(void *call);
/* As call_gone, but sleeps up to ms until that happens. */
bool call_sleep(struct call *c, int ms);
size_t call_body_limit(const struct call *c);

/* Fields of the body and parameters of the query, of the types that the endpoint's row says. What
 * is absent has its fallback there; NULL, false, 0: it has none. */
const char *call_text(const struct call *c, const char *name);
bool call_bool(const struct call *c, const char *name);
const char *call_query_text(const struct call *c, const char *name);
bool call_query_bool(const struct call *c, const char *name);
int64_t call_query_int(const struct call *c, const char *name);
/* Adds to the answer; takes value over. */
void call_set(struct call *c, const char *name, json_t *value);
/* A text answer; takes the string over. */
void call_set_text(struct call *c, const char *type, char *text);
