/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where a model's requests go. One struct route per model id, never freed before the end; the table
 * of routes is an immutable snapshot behind an atomic pointer, so that finding one takes no lock. A
 * route has its own small lock for its queue: it admits as many generations as the worker has
 * slots, queues the rest in order, and holds them all while the model loads or switches.
 *
 *   CLOSED (not loaded) ─► HELD (loading, switching) ─► OPEN (worker) ─► HELD ─► …
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "worker/worker.h"

enum route_state { ROUTE_CLOSED, ROUTE_HELD, ROUTE_OPEN };

struct routes;
struct route;

struct route_limits {
	int64_t hold_timeout_ms; /* counted from the end of the drain */
	int hold_limit;          /* requests that wait, per model */
	int64_t hold_bytes;      /* bytes of their bodies, all models */
};
struct routes *routes_new(const struct route_limits *limits);
void routes_free(struct routes *rs);
/* By id or alias, lock-free. NULL: no such model. */
struct route *routes_find(struct routes *rs, const char *name);
const char *route_model(const struct route *r); /* its id */
/* Makes one when absent (CLOSED); a removed one comes back. */
struct route *routes_add(struct routes *rs, const char *model_id);
/* Its other names, in place of those before. An id comes before an alias of another. */
void routes_set_aliases(struct routes *rs, const char *model_id, const struct strv *aliases);
void routes_remove(struct routes *rs, const char *model_id); /* waiters get ERR_NOT_FOUND */
void routes_close(struct routes *rs, const struct err *why); /* each, as route_close */

/* --- the gateway's side ------------------------------------------------- */

/* May a request leave its worker in the middle? */
enum route_mobility {
	ROUTE_STAYS,     /* no: it is waited for, or cut */
	ROUTE_GOES_ON,   /* a stream that another worker can continue */
	ROUTE_ASKS_AGAIN /* nothing was answered yet */
};
struct route_ticket {
	struct route *route;
	struct worker *worker; /* holds a reference */
	/* private: */
	unsigned cut_seen, move_seen; /* those before it was admitted */
	enum route_mobility mobility;
};
/* A request's place in line, zeroes before the first route_enter. Must not move while it waits;
 * its fields are route.c's. */
struct route_place {
	bool moved;          /* by route_move: at the front, without limits */
	struct route *route; /* NULL: not in line */
	struct route_place *next;
	pthread_cond_t wake;
	int64_t since, bytes;
	unsigned closes_seen;
};
enum route_turn {
	ROUTE_REFUSED,
	ROUTE_ADMITTED,
	ROUTE_WAITING,  /* still in line: enter again, or give up */
	ROUTE_UNLOADED, /* closed without a reason: ask for a load, then enter again */
};
/* Waits at most wait_ms for a free slot of an open worker. `gone` (client left; asked about every
 * 100 ms, may be NULL) ends it with ERR_CANCELLED. ERR_BUSY past hold_limit or hold_bytes,
 * ERR_UNAVAILABLE past hold_timeout or when the route closes with an error (its message),
 * ERR_NOT_FOUND when removed. */
enum route_turn route_enter(struct route *r, struct route_place *p, int64_t body_bytes,
			    int64_t wait_ms, bool (*gone)(void *), void *arg,
			    struct route_ticket *ret, struct err *e);
/* Takes a slot if one is free and nobody waits; never waits itself. */
MUST_CHECK bool route_try(struct route *r, struct route_ticket *ret);
void route_give_up(struct route_place *p); /* not in line: nothing happens */
/* The same in one call, however long it takes; a closed route is refused. `tick` (may be NULL) is
 * called about each 5 s of waiting. */
MUST_CHECK bool route_admit(struct route *r, int64_t body_bytes, bool (*gone)(void *),
			    void (*tick)(void *), void *arg, struct route_ticket *ret,
			    struct err *e);
void route_leave(struct route_ticket *t); /* gives slot and reference back */
/* Before route_leave: the worker broke off. It may be dead, which the supervisor hears a moment
 * later: until then nobody else is sent to it. */
void route_doubt(const struct route_ticket *t);
/* What this request can do when it is asked to move; ROUTE_ASKS_AGAIN when it is admitted. */
void route_set_mobility(struct route_ticket *t, enum route_mobility mobility);
/* Shall it stop and route_move? Never true for one that stays. */
bool route_move_requested(const struct route_ticket *t);
/* Leaves as it was asked to; p, its next place in line, will be at the front. */
void route_move(struct route_ticket *t, struct route_place *p);
enum route_state route_state(const struct route *r);

/* --- the switch's side -------------------------------------------------- */

void route_hold(struct route *r); /* new requests wait */
/* Waits until no admitted request runs on that worker. False on timeout_ms or cancel. */
bool route_drain(struct route *r, struct worker *w, int64_t timeout_ms, bool (*cancelled)(void *),
		 void *arg);
/* Tells the gateway to cut what still runs on that worker: route_cut_requested() becomes true for
 * tickets admitted before. */
void route_cut(struct worker *w);
bool route_cut_requested(const struct route_ticket *t);
/* How many left a worker because they were asked to. */
struct route_moves {
	int went_on, asked_again;
};
/* Held: asks the requests on that worker that can move to leave it, and waits until they have, at
 * most timeout_ms. */
struct route_moves route_ask_move(struct route *r, struct worker *w, int64_t timeout_ms);
/* Requests go to w from now on; what runs on the worker before stays there. Takes its own
 * reference. */
void route_open(struct route *r, struct worker *w);
/* why (may be NULL): requests that wait now fail with it; later ones are ROUTE_UNLOADED. */
void route_close(struct route *r, const struct err *why);

struct route_stats {
	int running, waiting;
	uint64_t total;
	int64_t last_request; /* monotonic ms, 0: never */
};
void route_get_stats(const struct route *r, struct route_stats *ret);
