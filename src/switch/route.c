/* SPDX-License-Identifier: Apache-2.0 */
/* One route: who may go to its worker, who waits, and in which order. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "switch/route_priv.h"

#define POLL_MS 100   /* how often a waiting request looks whether its client is still there */
#define TICK_MS 5000  /* how often who waits is told so */
#define DOUBT_MS 1000 /* a dead worker is known as such long before */

struct route *route_new(struct routes *rs, const char *id)
{
	struct route *r = mem_alloc(sizeof(*r));

	r->id = mem_dup(id);
	r->owner = rs;
	r->last = &r->first;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->left, NULL);
	return r;
}

void route_free(struct route *r)
{
	worker_unref(r->worker);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->left);
	free(r->id);
	free(r);
}

const char *route_model(const struct route *r)
{
	return r->id;
}

static void wake_all(struct route *r)
{
	for (struct route_place *w = r->first; w; w = w->next)
		pthread_cond_signal(&w->wake);
}

void route_set_removed(struct route *r, bool removed)
{
	pthread_mutex_lock(&r->lock);
	r->removed = removed;
	wake_all(r);
	pthread_mutex_unlock(&r->lock);
}

static void join(struct route *r, struct route_place *p, int64_t body_bytes)
{
	struct route_place **at = r->last;

	pthread_cond_init(&p->wake, NULL);
	p->route = r;
	p->since = clock_ms();
	p->bytes = body_bytes;
	p->closes_seen = r->closes;
	if (p->moved)
		for (at = &r->first; *at && (*at)->moved;)
			at = &(*at)->next;
	p->next = *at;
	*at = p;
	if (!p->next)
		r->last = &p->next;
	r->waiting++;
}

static void step_out(struct route *r, struct route_place *p)
{
	struct route_place **at = &r->first;

	while (*at != p) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = p->next;
	if (r->last == &p->next)
		r->last = at;
	r->waiting--;
	atomic_fetch_sub(&r->owner->held_bytes, p->bytes);
	pthread_cond_destroy(&p->wake);
	p->route = NULL;
}

static bool has_room(const struct route *r)
{
	return r->state == ROUTE_OPEN && !r->removed &&
	       atomic_load(&worker_traffic(r->worker)->running) < worker_slots(r->worker) &&
	       (r->doubt_until == 0 || clock_ms() >= r->doubt_until);
}

static void take(struct route *r, struct route_ticket *ret)
{
	struct worker_traffic *traffic = worker_traffic(r->worker);

	r->running++;
	atomic_fetch_add(&traffic->running, 1);
	r->total++;
	r->last_request = clock_ms();
	atomic_fetch_add(&traffic->movable, 1);
	*ret = (struct route_ticket){.route = r,
				     .mobility = ROUTE_ASKS_AGAIN,
				     .worker = worker_ref(r->worker),
				     .cut_seen = atomic_load(&traffic->cuts),
				     .move_seen = atomic_load(&traffic->moves)};
}

/* ROUTE_WAITING, or why this request must not wait any longer. Lock held. */
static enum route_turn may_wait(const struct route *r, const struct route_place *p, struct err *e)
{
	int64_t from = r->held_since > p->since ? r->held_since : p->since;

	if (r->removed) {
		err_set(e, ERR_NOT_FOUND, "model '%s' was removed", r->id);
		return ROUTE_REFUSED;
	}
	/* Who comes after the close has nothing to do with why: the next load may work. */
	if (r->state == ROUTE_CLOSED && r->why.kind != ERR_NONE && p->closes_seen != r->closes) {
		if (e)
			*e = r->why;
		return ROUTE_REFUSED;
	}
	if (r->state == ROUTE_CLOSED) {
		err_set(e, ERR_UNAVAILABLE, "model '%s' is not loaded", r->id);
		return ROUTE_UNLOADED;
	}
	if (r->state == ROUTE_HELD && r->held_since != INT64_MAX &&
	    clock_ms() - from > r->owner->limits.hold_timeout_ms) {
		err_set(e, ERR_UNAVAILABLE, "model '%s' is still loading or switching after %lld s",
			r->id, (long long)r->owner->limits.hold_timeout_ms / 1000);
		err_hint(e, "ask again later, or raise hold_timeout");
		return ROUTE_REFUSED;
	}
	return ROUTE_WAITING;
}

static enum route_turn wait_in_line(struct route *r, struct route_place *p, int64_t until_ms,
				    bool (*gone)(void *), void *arg, struct err *e)
{
	while (r->first != p || !has_room(r)) {
		struct timespec until = clock_after(POLL_MS);
		enum route_turn turn = may_wait(r, p, e);
		bool left;

		if (turn != ROUTE_WAITING || clock_ms() >= until_ms)
			return turn;
		pthread_cond_clockwait(&p->wake, &r->lock, CLOCK_MONOTONIC, &until);
		if (r->first == p && has_room(r))
			break;
		/* The client is looked at without the lock: it costs a system call. */
		pthread_mutex_unlock(&r->lock);
		left = gone && gone(arg);
		pthread_mutex_lock(&r->lock);
		if (left) {
			err_set(e, ERR_CANCELLED, "the client has gone");
			return ROUTE_REFUSED;
		}
	}
	return ROUTE_ADMITTED;
}

/* Is there room for one more in line? Takes its bytes. */
static bool may_join(struct route *r, const struct route_place *p, int64_t body_bytes,
		     struct err *e)
{
	struct routes *rs = r->owner;

	if (p->moved) {
		atomic_fetch_add(&rs->held_bytes, body_bytes);
		return true;
	}
	if (r->waiting >= rs->limits.hold_limit) {
		err_set(e, ERR_BUSY, "model '%s': %d requests wait already", r->id, r->waiting);
		return err_hint(e, "ask again later, or raise hold_limit");
	}
	if (atomic_fetch_add(&rs->held_bytes, body_bytes) + body_bytes > rs->limits.hold_bytes) {
		atomic_fetch_sub(&rs->held_bytes, body_bytes);
		err_set(e, ERR_BUSY, "model '%s': waiting requests fill hold_bytes", r->id);
		return err_hint(e, "ask again later, or raise hold_bytes");
	}
	return true;
}

static void wake_first(struct route *r)
{
	if (r->first && has_room(r))
		pthread_cond_signal(&r->first->wake);
}

enum route_turn route_enter(struct route *r, struct route_place *p, int64_t body_bytes,
			    int64_t wait_ms, bool (*gone)(void *), void *arg,
			    struct route_ticket *ret, struct err *e)
{
	enum route_turn turn = ROUTE_ADMITTED;

	pthread_mutex_lock(&r->lock);
	if (p->route || r->first || !has_room(r)) {
		if (!p->route && may_join(r, p, body_bytes, e))
			join(r, p, body_bytes);
		turn = ROUTE_REFUSED;
		if (p->route)
			turn = wait_in_line(r, p, clock_ms() + wait_ms, gone, arg, e);
		if (p->route && turn != ROUTE_WAITING)
			step_out(r, p);
	}
	if (turn == ROUTE_ADMITTED)
		take(r, ret);
	wake_first(r); /* more than one slot may have come free; and who left may have been first */
	pthread_mutex_unlock(&r->lock);
	return turn;
}

bool route_try(struct route *r, struct route_ticket *ret)
{
	bool ok;

	pthread_mutex_lock(&r->lock);
	ok = !r->first && has_room(r);
	if (ok)
		take(r, ret);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

void route_give_up(struct route_place *p)
{
	struct route *r = p->route;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	step_out(r, p);
	wake_first(r);
	pthread_mutex_unlock(&r->lock);
}

bool route_admit(struct route *r, int64_t body_bytes, bool (*gone)(void *), void (*tick)(void *),
		 void *arg, struct route_ticket *ret, struct err *e)
{
	struct route_place place = {0};
	enum route_turn turn;

	while ((turn = route_enter(r, &place, body_bytes, TICK_MS, gone, arg, ret, e)) ==
	       ROUTE_WAITING)
		if (tick)
			tick(arg);
	return turn == ROUTE_ADMITTED;
}

/* Lock held. */
static void set_mobility(struct route_ticket *t, enum route_mobility mobility)
{
	int change = (mobility != ROUTE_STAYS) - (t->mobility != ROUTE_STAYS);

	t->mobility = mobility;
	atomic_fetch_add(&worker_traffic(t->worker)->movable, change);
}

void route_set_mobility(struct route_ticket *t, enum route_mobility mobility)
{
	struct route *r = t->route;

	pthread_mutex_lock(&r->lock);
	set_mobility(t, mobility);
	pthread_cond_broadcast(&r->left);
	pthread_mutex_unlock(&r->lock);
}

bool route_move_requested(const struct route_ticket *t)
{
	return t->mobility != ROUTE_STAYS &&
	       atomic_load_explicit(&worker_traffic(t->worker)->moves, memory_order_relaxed) !=
		       t->move_seen;
}

void route_move(struct route_ticket *t, struct route_place *p)
{
	struct route *r = t->route;

	pthread_mutex_lock(&r->lock);
	if (t->mobility == ROUTE_GOES_ON)
		r->moves.went_on++;
	else
		r->moves.asked_again++;
	pthread_mutex_unlock(&r->lock);
	route_leave(t);
	p->moved = true;
}

void route_leave(struct route_ticket *t)
{
	struct route *r = t->route;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	assert(r->running > 0);
	r->running--;
	atomic_fetch_sub(&worker_traffic(t->worker)->running, 1);
	set_mobility(t, ROUTE_STAYS);
	r->last_request = clock_ms();
	if (r->running == 0)
		r->held_since = r->last_request; /* means something only while held */
	pthread_cond_broadcast(&r->left);
	wake_first(r);
	pthread_mutex_unlock(&r->lock);
	worker_unref(t->worker);
	*t = (struct route_ticket){0};
}

void route_doubt(const struct route_ticket *t)
{
	struct route *r = t->route;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	if (r->worker == t->worker)
		r->doubt_until = clock_ms() + DOUBT_MS;
	pthread_mutex_unlock(&r->lock);
}

enum route_state route_state(const struct route *r)
{
	return atomic_load_explicit(&r->state, memory_order_acquire);
}

void route_hold(struct route *r)
{
	struct worker *old;

	pthread_mutex_lock(&r->lock);
	old = STEAL(r->worker);
	if (r->state != ROUTE_HELD) /* else who waits has waited since then */
		r->held_since = r->running > 0 ? INT64_MAX : clock_ms();
	r->state = ROUTE_HELD;
	r->why = (struct err){0};
	pthread_mutex_unlock(&r->lock);
	worker_unref(old);
}

/* Waits until *count is 0, which someone's leaving brings about. Lock held. */
static bool wait_none(struct route *r, const atomic_int *count, int64_t timeout_ms,
		      bool (*cancelled)(void *), void *arg)
{
	int64_t end = clock_ms() + timeout_ms;
	bool stop = false;

	while (atomic_load(count) > 0 && clock_ms() < end && !stop) {
		struct timespec until = clock_after(POLL_MS);

		pthread_cond_clockwait(&r->left, &r->lock, CLOCK_MONOTONIC, &until);
		pthread_mutex_unlock(&r->lock);
		stop = cancelled && cancelled(arg);
		pthread_mutex_lock(&r->lock);
	}
	return atomic_load(count) == 0;
}

bool route_drain(struct route *r, struct worker *w, int64_t timeout_ms, bool (*cancelled)(void *),
		 void *arg)
{
	bool empty;

	pthread_mutex_lock(&r->lock);
	empty = wait_none(r, &worker_traffic(w)->running, timeout_ms, cancelled, arg);
	pthread_mutex_unlock(&r->lock);
	return empty;
}

void route_cut(struct worker *w)
{
	atomic_fetch_add(&worker_traffic(w)->cuts, 1);
}

bool route_cut_requested(const struct route_ticket *t)
{
	return atomic_load_explicit(&worker_traffic(t->worker)->cuts, memory_order_relaxed) !=
	       t->cut_seen;
}

struct route_moves route_ask_move(struct route *r, struct worker *w, int64_t timeout_ms)
{
	struct worker_traffic *traffic = worker_traffic(w);
	struct route_moves moves;

	pthread_mutex_lock(&r->lock);
	r->moves = (struct route_moves){0};
	atomic_fetch_add(&traffic->moves, 1);
	(void)wait_none(r, &traffic->movable, timeout_ms, NULL, NULL);
	moves = r->moves;
	pthread_mutex_unlock(&r->lock);
	return moves;
}

void route_open(struct route *r, struct worker *w)
{
	struct worker *old;

	pthread_mutex_lock(&r->lock);
	old = r->worker;
	r->worker = worker_ref(w);
	r->doubt_until = 0;
	r->state = ROUTE_OPEN;
	wake_first(r);
	pthread_mutex_unlock(&r->lock);
	worker_unref(old);
}

void route_close(struct route *r, const struct err *why)
{
	struct worker *old;

	pthread_mutex_lock(&r->lock);
	old = STEAL(r->worker);
	r->state = ROUTE_CLOSED;
	r->why = why ? *why : (struct err){0};
	if (r->why.kind == ERR_CANCELLED) /* the load, not the request: its client is still there */
		r->why.kind = ERR_UNAVAILABLE;
	r->closes++;
	wake_all(r);
	pthread_mutex_unlock(&r->lock);
	worker_unref(old);
}

void route_get_stats(const struct route *route, struct route_stats *ret)
{
	struct route *r = (struct route *)route; /* only its lock changes */

	pthread_mutex_lock(&r->lock);
	*ret = (struct route_stats){
		.running = r->running,
		.waiting = r->waiting,
		.total = r->total,
		.last_request = r->last_request,
	};
	pthread_mutex_unlock(&r->lock);
}
