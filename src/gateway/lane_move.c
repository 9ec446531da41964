/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that leave their worker in the middle. One without an answer yet goes over to
 * microhttpd, which asks again. A stream gets a thread: the rest of it comes from another worker,
 * later, and then the client is the lane's again.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/lane_priv.h"
#include "gateway/relay.h"

#define STACK_BYTES ((size_t)128 * 1024)
#define PIECE_SIZE 16384
#define STUCK_MS 75000 /* a client that takes nothing */

struct mover {
	struct mover *next; /* in its lane; guarded by lane->lock */
	struct lane *lane;
	const struct door *door;
	int fd;
	struct buf out; /* what the client didn't take yet */
	struct exchange *exchange;
};

/* --- the client's side -------------------------------------------------- */

static bool send_all(int fd, const char *data, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN && poll(&p, 1, STUCK_MS) == 0)
			return false;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool send_chunk(int fd, const char *data, size_t len)
{
	char line[24];
	int n = snprintf(line, sizeof(line), "%zx\r\n", len);

	return send_all(fd, line, (size_t)n) && send_all(fd, data, len) && send_all(fd, "\r\n", 2);
}

/* The rest of the stream. False: the connection is of no use any more. */
static bool pass_rest(const struct mover *m)
{
	bool ok = send_all(m->fd, m->out.data, m->out.len);
	char piece[PIECE_SIZE];
	ssize_t n = 0;

	while (ok && (n = relay_next(m->exchange, 0, piece, sizeof(piece))) > 0)
		ok = send_chunk(m->fd, piece, (size_t)n);
	return ok && n == MHD_CONTENT_READER_END_OF_STREAM && send_all(m->fd, "0\r\n\r\n", 5);
}

/* --- the thread --------------------------------------------------------- */

static void unlink_mover(struct lane *l, const struct mover *m)
{
	struct mover **at = &l->movers;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
}

static void free_mover(struct mover *m)
{
	exchange_free(m->exchange);
	buf_done(&m->out);
	free(m);
}

/* Its client is the lane's again, or gone. */
static void end(struct mover *m, bool usable)
{
	struct client *c = usable ? mem_alloc(sizeof(*c)) : NULL;
	struct lane *l = m->lane;

	exchange_free(STEAL(m->exchange)); /* first: the next request may be there already */
	pthread_mutex_lock(&l->lock);
	unlink_mover(l, m);
	atomic_fetch_sub(&l->moving, 1);
	if (usable) {
		c->s = (struct source){.kind = SOURCE_CLIENT, .fd = m->fd};
		c->door = m->door;
		c->next = l->arrived;
		l->arrived = c;
	} else {
		close(m->fd);
	}
	lane_ring(l);
	pthread_cond_signal(&l->moved);
	pthread_mutex_unlock(&l->lock);
	free_mover(m);
}

static void *carry_on(void *arg)
{
	struct mover *m = arg;

	pthread_mutex_lock(&m->lane->lock); /* until all that it needs is there */
	pthread_mutex_unlock(&m->lane->lock);
	end(m, pass_rest(m));
	return NULL;
}

static bool start(struct mover *m)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	error = FAULT("lane.thread") ? EAGAIN : pthread_create(&thread, &attr, carry_on, m);
	pthread_attr_destroy(&attr);
	return error == 0;
}

void lane_end_movers(struct lane *l)
{
	struct client *next;

	pthread_mutex_lock(&l->lock);
	for (struct mover *m = l->movers; m; m = m->next)
		(void)shutdown(m->fd, SHUT_RDWR); /* as if the client had gone */
	while (l->movers)
		pthread_cond_wait(&l->moved, &l->lock);
	pthread_mutex_unlock(&l->lock);
	for (struct client *c = STEAL(l->arrived); c; c = next) {
		next = c->next;
		close(c->s.fd);
		free(c);
	}
}

/* --- the lane's side ---------------------------------------------------- */

static struct exchange *exchange_of(const struct lane *l, struct client *c)
{
	struct exchange *ex = mem_alloc(sizeof(*ex));

	ex->gateway = l->g;
	ex->switcher = l->g->switcher;
	ex->upstreams = l->g->upstreams;
	ex->tick_ms = l->g->tick_ms;
	ex->route = c->ticket.route;
	ex->path = c->path;
	ex->dialect = &dialect_openai;
	ex->len = c->body_len;
	ex->body = ex->edited = STEAL(c->asked);
	ex->so_far = STEAL(c->so_far);
	ex->client_fd = c->s.fd;
	ex->stream = true;
	memcpy(ex->model, c->model, sizeof(ex->model));
	return ex;
}

/* Takes `rest`: what the other worker is asked. False: there is no thread for it, and nothing has
 * changed. */
static bool move_stream(struct lane *l, struct client *c, struct buf *rest)
{
	struct mover *m = mem_alloc(sizeof(*m));

	m->lane = l;
	pthread_mutex_lock(&l->lock); /* the thread waits for it */
	if (!start(m)) {
		pthread_mutex_unlock(&l->lock);
		free(m);
		return false;
	}
	m->door = c->door;
	m->out = c->out;
	c->out = (struct buf){0};
	m->exchange = exchange_of(l, c);
	m->exchange->rest = *rest;
	*rest = (struct buf){0};
	lane_bury(l, &STEAL(c->up)->s); /* it stops generating, as its client has gone */
	route_move(&c->ticket, &m->exchange->place);
	atomic_fetch_add(&l->moving, 1);
	m->fd = lane_release(l, c);
	m->next = l->movers;
	l->movers = m;
	pthread_mutex_unlock(&l->lock);
	return true;
}

static void ask_again(struct lane *l, struct client *c)
{
	struct route_place ignored = {0};

	gateway_expect_moved(l->g, c->s.fd);
	route_move(&c->ticket, &ignored);
	lane_hand_over(l, c);
}

void lane_move(struct lane *l, struct client *c)
{
	CLEANUP(buf_done) struct buf rest = {0};
	const char *why;

	if (c->state == CLIENT_ASKED) {
		ask_again(l, c);
	} else if (continuation_may_pause(c->so_far)) {
		if (continuation_ask(c->so_far, &rest, &why) && move_stream(l, c, &rest))
			return;
		log_debug("stream stays model=%s reason=\"%s\"", c->model,
			  why ? why : "there is no thread for it");
		route_set_mobility(&c->ticket, ROUTE_STAYS);
		continuation_free(STEAL(c->so_far));
	}
}
