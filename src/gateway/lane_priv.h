/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside the lane: its clients and worker connections. Everything belongs to the lane's thread. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/buf.h"
#include "gateway/continuation.h"
#include "gateway/gateway_priv.h"
#include "gateway/http1.h"
#include "gateway/lane.h"
#include "gateway/post.h"
#include "gateway/scan.h"
#include "switch/route.h"

#define PEEK_SIZE 65536 /* a longer request is not for the lane */
#define LANES 2         /* threads at most: each serves some 60 000 requests/s */
#define UP_SIZE 16384   /* the head of an answer must fit */

enum source_kind { SOURCE_WAKE, SOURCE_DOOR, SOURCE_CLIENT, SOURCE_UP };

/* What epoll points to: the first member of each. fd −1: closed, freed after this round. */
struct source {
	enum source_kind kind;
	int fd;
	struct source *dead;
};

enum client_state {
	CLIENT_READING, /* a request, or its beginning, or nothing yet */
	CLIENT_ASKED,   /* the worker; the request stays unread in the socket until it answers */
	CLIENT_PASSING, /* its answer on */
};

struct client {
	struct source s;
	struct client *prev, *next; /* all of the lane */
	const struct door *door;
	enum client_state state;
	int64_t since;   /* of a state, monotonic ms */
	bool partial;    /* READING: part of a request is there */
	bool news;       /* something may have come while it was not READING */
	bool in_event;   /* the last byte of a stream didn't end a line */
	bool chunked;    /* as it goes out */
	size_t request;  /* bytes of it in the socket */
	size_t body_len; /* the last of them */
	const char *path;
	char *asked;                 /* PASSING: the body, as long as so_far is there */
	struct continuation *so_far; /* PASSING: of a stream that can go on elsewhere */
	struct buf out;              /* what the client didn't take yet */
	struct up *up;               /* ASKED, PASSING */
	struct route_ticket ticket;
	struct http1_head head;
	struct http1_body body;
	char model[SCAN_MODEL_MAX];
};

/* A connection to a worker. */
struct up {
	struct source s;
	struct up *next;       /* idle ones, the youngest first */
	struct client *client; /* NULL: idle */
	bool ended;            /* its end has been rung: read until there */
	int requests;
	int64_t idle_since;
	size_t at, len; /* of the buffer: still to be decoded */
	struct sockaddr_un address;
	char buffer[UP_SIZE];
};

struct door {
	struct source s;
	struct lane_door settings;
};

struct lane {
	struct gateway *g;
	struct lane *team[LANES]; /* the first one's: all, itself included; it alone has doors */
	size_t team_size, turn;
	pthread_mutex_t lock;   /* guards the three below */
	struct client *arrived; /* from the first one or a mover, by `next` */
	struct mover *movers;   /* streams that went on elsewhere */
	pthread_cond_t moved;   /* a mover has ended */
	int epoll;
	struct source wake;
	struct door doors[LANE_DOORS];
	size_t door_count;
	struct client *clients;
	atomic_int client_count; /* written by the lane's thread alone */
	int busy;                /* not READING */
	atomic_int moving;       /* streams that went on elsewhere, under way */
	atomic_bool refusing;    /* new requests; set by others */
	atomic_int left;         /* those under way since it saw that; −1: it has not seen it */
	struct up *idle;
	struct source *dead;
	int64_t ticked, now;
	pthread_t thread;
	atomic_bool quit;
	char peek[PEEK_SIZE];
	char scratch[UP_SIZE];
};

/* --- lane.c ------------------------------------------------------------- */

bool lane_watch(const struct lane *l, struct source *s, uint32_t events);
/* Closes its descriptor; freed at the end of the round. */
void lane_bury(struct lane *l, struct source *s);

/* --- lane_client.c ------------------------------------------------------ */

/* Lets in who knocks, in turn to each of the team. */
void lane_open_door(struct lane *l, const struct door *d);
/* Takes those whom the first one, or a mover, sent over. */
void lane_welcome_arrived(struct lane *l);
void lane_ring(const struct lane *l); /* any thread: look at `arrived` */
void lane_client_event(struct lane *l, struct client *c, uint32_t events);
/* Now and then: must it end, move, or leave? */
void lane_look_at(struct lane *l, struct client *c);
/* READING: looks at what is there. */
void lane_read(struct lane *l, struct client *c);
void lane_close_client(struct lane *l, struct client *c);
/* Unread as it is, to microhttpd. */
void lane_hand_over(struct lane *l, struct client *c);
/* Out of the lane, with all that it holds there; its descriptor, which stays open. */
int lane_release(struct lane *l, struct client *c);

/* --- lane_move.c -------------------------------------------------------- */

/* The request was asked to leave its worker: it does, unless it can't, or not here. */
void lane_move(struct lane *l, struct client *c);
/* Ends what was moved; the lane's thread has ended. */
void lane_end_movers(struct lane *l);

/* --- lane_ask.c --------------------------------------------------------- */

/* Sends the request to a worker. False: no slot, no connection, no room, a model of another mode:
 * not for the lane. */
MUST_CHECK bool lane_ask(struct lane *l, struct client *c, struct route *route,
			 const struct gateway_path *path, const struct post *p);
/* Bytes of the answer, or its end, have come; or the client takes more again. all: read until
 * nothing is left, as no new edge will come. */
void lane_answer(struct lane *l, struct client *c, bool all);
/* An idle connection did something: it has ended. */
void lane_drop_idle(struct lane *l, struct up *up);
/* Idle ones that the worker would soon close. */
void lane_sweep(struct lane *l);
/* Gives connection and slot back; the connection is kept when the answer ended well. */
void lane_let_go(struct lane *l, struct client *c, bool keep);
/* Ends what is under way with an error. */
void lane_fail(struct lane *l, struct client *c, const struct err *e);
/* Sends what the client left. False: it has been closed. */
bool lane_flush(struct lane *l, struct client *c);
