/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/exchange.h"

#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/gateway_priv.h"

#define AGAIN_MS 50 /* between two looks at a route that a change just closed */
#define TRIES 200   /* of them */

static void let_go(struct exchange *c)
{
	upstream_done(STEAL(c->up)); /* first: whoever gets the slot finds an idle worker */
	route_leave(&c->ticket);
}

void exchange_free(struct exchange *c)
{
	if (!c)
		return;
	route_give_up(&c->place);
	let_go(c);
	buf_done(&c->words);
	free(c->edited);
	free(c);
}

static bool gone(void *arg)
{
	const struct exchange *c = arg;

	return upstream_client_gone(c->client_fd);
}

static bool stopped(void *arg, struct err *e)
{
	const struct exchange *c = arg;

	worker_await(c->ticket.worker);
	return gateway_must_cut(c->gateway, &c->ticket, c->model, e);
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
	return turn == ROUTE_UNLOADED ? ROUTE_REFUSED : turn;
}

static struct upstream_watch watch_of(struct exchange *c)
{
	return (struct upstream_watch){.client_fd = c->client_fd, .stopped = stopped, .arg = c};
}

/* The worker's fault: says whose, once in the log. */
static bool failed(struct exchange *c, struct err *e)
{
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

bool exchange_ask(struct exchange *c, struct err *e)
{
	struct upstream_watch watch = watch_of(c);

	if (!upstream_post(c->upstreams, worker_socket(c->ticket.worker), c->path, c->body, c->len,
			   &watch, &c->up, &c->head, e))
		return failed(c, e);
	c->state = EXCHANGE_ANSWERING;
	return true;
}

bool exchange_read(struct exchange *c, char *out, size_t size, size_t *ret_len, struct err *e)
{
	struct upstream_watch watch = watch_of(c);

	if (!upstream_read(c->up, &watch, out, size, ret_len, e))
		return failed(c, e);
	worker_touch(c->ticket.worker, out, *ret_len);
	if (*ret_len == 0)
		let_go(c);
	else
		c->in_event = out[*ret_len - 1] != '\n';
	return true;
}
