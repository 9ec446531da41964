/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/exchange.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/gateway_priv.h"
#include "gateway/target.h"

#define AGAIN_MS 50 /* between two looks at a route that a change just closed */
#define TRIES 200   /* of them */
#define PIECE_SIZE 4096

static void let_go(struct exchange *c)
{
	upstream_done(STEAL(c->up)); /* first: whoever gets the slot finds an idle worker */
	route_leave(&c->ticket);
}

struct continuation *exchange_record(const char *path, const char *body, size_t len,
				     const struct worker *w)
{
	/* A template that changes what it is given would not continue it letter by letter. */
	if (!worker_runtime(w)->moves ||
	    (strcmp(path, "/v1/chat/completions") == 0 && !worker_continues(w)))
		return NULL;
	return continuation_new(path, body, len);
}

void exchange_free(struct exchange *c)
{
	if (!c)
		return;
	route_give_up(&c->place);
	let_go(c);
	buf_done(&c->words);
	continuation_free(c->so_far);
	buf_done(&c->rest);
	buf_done(&c->ready);
	buf_done(&c->lines);
	ollama_free(c->ollama);
	free(c->edited);
	free(c);
}

static bool gone(void *arg)
{
	const struct exchange *c = arg;

	return upstream_client_gone(c->client_fd);
}

/* Asked to leave the worker: can it, here? A stream can between two events, and once it can't it
 * stays. */
static bool may_move(struct exchange *c)
{
	const char *why;

	if (!c->so_far)
		return true; /* nothing of an answer was there yet */
	if (!continuation_may_pause(c->so_far))
		return false;
	buf_done(&c->rest);
	if (continuation_ask(c->so_far, &c->rest, &why))
		return true;
	log_debug("stream stays model=%s reason=\"%s\"", c->model, why);
	route_set_mobility(&c->ticket, ROUTE_STAYS);
	return false;
}

static bool stopped(void *arg, struct err *e)
{
	struct exchange *c = arg;

	worker_await(c->ticket.worker);
	if (gateway_must_cut(c->gateway, &c->ticket, c->model, e))
		return true;
	c->moving = route_move_requested(&c->ticket) && may_move(c);
	if (c->moving)
		err_set(e, ERR_UNAVAILABLE, "model '%s' is being switched", c->model);
	return c->moving;
}

/* Unless it is loaded or being loaded. A route that is open or held needs nothing. */
static bool want(struct exchange *c, struct err *e)
{
	return route_state(c->route) != ROUTE_CLOSED || switch_want(c->switcher, c->model, e);
}

enum route_turn exchange_enter(struct exchange *c, int64_t wait_ms, struct err *e)
{
	int64_t end = clock_ms() + wait_ms;
	enum route_turn turn = ROUTE_UNLOADED;

	c->moving = false;
	for (int i = 0; turn == ROUTE_UNLOADED && i < TRIES; i++) {
		if (i > 0) {
			(void)poll(NULL, 0, AGAIN_MS); /* an unload is just ending */
			if (gone(c)) {
				err_set(e, ERR_CANCELLED, "the client has gone");
				return ROUTE_REFUSED;
			}
		}
		if (!c->place.route && !want(c, e))
			return ROUTE_REFUSED;
		wait_ms = end - clock_ms();
		turn = route_enter(c->route, &c->place, (int64_t)c->len, wait_ms > 0 ? wait_ms : 0,
				   gone, c, &c->ticket, e);
		if (turn == ROUTE_UNLOADED && i + 1 < TRIES)
			err_clear(e);
	}
	if (turn == ROUTE_ADMITTED && c->so_far)
		route_set_mobility(&c->ticket, ROUTE_GOES_ON);
	return turn == ROUTE_UNLOADED ? ROUTE_REFUSED : turn;
}

static struct upstream_watch watch_of(struct exchange *c)
{
	return (struct upstream_watch){.client_fd = c->client_fd, .stopped = stopped, .arg = c};
}

/* Nobody took the request: its worker has just died, which is known a moment later. A second time
 * it is an error: that worker lives, and is deaf. */
static bool was_refused(struct exchange *c, struct err *e)
{
	bool again = e->kind == ERR_UNREACHABLE && !c->refused;

	if (e->kind == ERR_UNREACHABLE)
		e->kind = ERR_WORKER;
	c->refused = again;
	return again;
}

/* The worker's fault: says whose, once in the log. Or nobody's, when it moves. */
static bool failed(struct exchange *c, struct err *e)
{
	if (c->moving) {
		upstream_done(STEAL(c->up)); /* it stops generating, as its client has gone */
		route_move(&c->ticket, &c->place);
		c->state = EXCHANGE_IN_LINE;
		return false;
	}
	if (was_refused(c, e)) {
		route_doubt(&c->ticket);
		let_go(c);
		c->place.moved = c->moving = true;
		c->state = EXCHANGE_IN_LINE;
		return false;
	}
	if (e->kind == ERR_WORKER) {
		route_doubt(&c->ticket);
		worker_broke_off(c->ticket.worker);
	}
	let_go(c);
	if (e->kind != ERR_WORKER)
		return false;
	(void)err_wrap(e, "model '%s'", c->model);
	(void)err_hint(e, "shunt logs %s", c->model);
	log_warn("request failed model=%s reason=\"%s\", continuing", c->model, e->msg);
	return false;
}

/* The head is there: what comes is kept in mind when it can go on elsewhere. */
static void begin(struct exchange *c)
{
	bool stream = c->head.status == 200 && http1_is_events(&c->head);

	c->going_on = stream && c->rest.len > 0;
	if (stream && !c->so_far)
		c->so_far = exchange_record(c->path, c->body, c->len, c->ticket.worker);
	route_set_mobility(&c->ticket, stream && c->so_far ? ROUTE_GOES_ON : ROUTE_STAYS);
}

/* One question beside. False: it can't be asked. */
static bool fetch(struct exchange *c, const char *path, const struct buf *body, struct buf *ret,
		  struct err *e)
{
	CLEANUP(upstream_done) struct upstream *up = NULL;
	struct upstream_watch watch = watch_of(c);
	struct http1_head head;
	char piece[PIECE_SIZE];
	size_t len = 1;

	if (!upstream_post(c->upstreams, worker_socket(c->ticket.worker), path, NULL, body->data,
			   body->len, &watch, &up, &head, e))
		return false;
	while (len > 0) {
		if (!upstream_read(up, &watch, piece, sizeof(piece), &len, e))
			return false;
		buf_add(ret, piece, len);
	}
	return true;
}

/* Before the rest is asked for: how much of the limit is spent? False: must not go on. */
static bool count_tokens(struct exchange *c, struct err *e)
{
	CLEANUP(buf_done) struct buf body = {0};
	CLEANUP(buf_done) struct buf answer = {0};
	const char *why;

	if (c->rest.len == 0 || !continuation_count(c->so_far, &body))
		return true;
	if (!fetch(c, "/tokenize", &body, &answer, e) && (c->moving || e->kind != ERR_WORKER))
		return false;
	err_clear(e); /* a worker that broke off breaks off again */
	continuation_counted(c->so_far, answer.data ? answer.data : "", answer.len);
	buf_done(&c->rest);
	return continuation_ask(c->so_far, &c->rest, &why) ||
	       err_set(e, ERR_SYSTEM, "the answer can't go on: %s", why);
}

/* It was chosen when the request came, and may be another by now. */
static bool has_runtime(const struct exchange *c, struct err *e)
{
	const struct runtime *r = worker_runtime(c->ticket.worker);

	if (c->rest.len > 0 && !r->moves)
		return err_set(e, ERR_UNAVAILABLE,
			       "model '%s' is run by runtime %s now, which can't go on with the "
			       "answer",
			       c->model, r->name);
	return target_runtime_has(r, c->path, e);
}

bool exchange_ask(struct exchange *c, struct err *e)
{
	struct upstream_watch watch = watch_of(c);
	bool rest;

	if (c->ollama)
		ollama_loaded(c->ollama);
	if (c->keeps)
		switcher_keep_alive(c->switcher, c->model, c->keep_alive_ms);
	if (!has_runtime(c, e) || !count_tokens(c, e))
		return failed(c, e);
	rest = c->rest.len > 0;
	if (!upstream_post(c->upstreams, worker_socket(c->ticket.worker), c->path, c->type,
			   rest ? c->rest.data : c->body, rest ? c->rest.len : c->len, &watch,
			   &c->up, &c->head, e))
		return failed(c, e);
	c->state = EXCHANGE_ANSWERING;
	c->refused = false;
	begin(c);
	return true;
}

static bool read_some(struct exchange *c, char *out, size_t size, size_t *ret_len, struct err *e)
{
	struct upstream_watch watch = watch_of(c);

	/* At once, not when it is looked at the next time: all streams wait for the last that
	 * moves. */
	if (route_move_requested(&c->ticket) && stopped(c, e))
		return failed(c, e);
	if (!upstream_read(c->up, &watch, out, size, ret_len, e))
		return failed(c, e);
	worker_touch(c->ticket.worker, out, *ret_len);
	if (*ret_len == 0)
		let_go(c);
	return true;
}

/* Of a stream that another worker began: whole events, in its words. */
static bool read_on(struct exchange *c, char *out, size_t size, size_t *ret_len, struct err *e)
{
	char piece[PIECE_SIZE];
	size_t len = 1;

	while (c->ready.len == 0 && len > 0) {
		if (!read_some(c, piece, sizeof(piece), &len, e))
			return false;
		if (len > 0)
			continuation_rewrite(c->so_far, piece, len, &c->ready);
	}
	*ret_len = c->ready.len < size ? c->ready.len : size;
	if (*ret_len > 0)
		memcpy(out, c->ready.data, *ret_len);
	buf_drop(&c->ready, *ret_len);
	return true;
}

bool exchange_read(struct exchange *c, char *out, size_t size, size_t *ret_len, struct err *e)
{
	if (c->going_on)
		return read_on(c, out, size, ret_len, e);
	if (!read_some(c, out, size, ret_len, e))
		return false;
	if (*ret_len > 0)
		c->in_event = out[*ret_len - 1] != '\n';
	if (*ret_len > 0 && c->so_far)
		continuation_sent(c->so_far, out, *ret_len);
	return true;
}
