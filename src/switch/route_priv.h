/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the table of routes (route_table.c) and a route's line (route.c) share. */

#include <pthread.h>
#include <stdatomic.h>

#include "switch/route.h"

struct route {
	char *id;
	struct routes *owner;
	_Atomic enum route_state state;    /* written under lock, read anywhere */
	pthread_mutex_t lock;              /* guards all below */
	pthread_cond_t left;               /* one has left, or can't move any more */
	struct worker *worker;             /* OPEN only */
	struct route_place *first, **last; /* in order of arrival, moved ones before all others */
	int running, waiting;              /* running: on whatever worker */
	struct route_moves moves;          /* of the last route_ask_move */
	int64_t doubt_until; /* monotonic ms: nobody is admitted before; 0: no doubt */
	int64_t held_since;  /* end of the drain, monotonic ms; INT64_MAX while draining */
	struct err why;      /* of the last close, for those who waited then */
	unsigned closes;     /* grows with each close */
	atomic_bool removed; /* written under lock, read anywhere */
	uint64_t total;
	int64_t last_request;
};

struct route_table;
struct routes {
	_Atomic(struct route_table *) table;
	pthread_mutex_t lock; /* for writers of `table` */
	struct route_limits limits;
	atomic_llong held_bytes;
};

/* route.c */
struct route *route_new(struct routes *rs, const char *id);
void route_free(struct route *r);
void route_set_removed(struct route *r, bool removed); /* wakes who waits */
