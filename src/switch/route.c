/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/route.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define POLL_MS 100   /* how often a waiting request looks whether its client is still there */
#define TICK_MS 5000  /* how often who waits is told so */
#define DOUBT_MS 1000 /* a dead worker is known as such long before */

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

struct alias {
	char *name;
	struct route *route;
};

/* An immutable list. Old ones stay until the end (a reader may still look at them): one per model
 * added or named anew, so bounded by what people register. */
struct table {
	struct table *older;
	size_t count, alias_count;
	struct alias *aliases;
	struct route *routes[];
};

struct routes {
	_Atomic(struct table *) table;
	pthread_mutex_t lock; /* for writers of `table` */
	struct route_limits limits;
	atomic_llong held_bytes;
};

struct routes *routes_new(const struct route_limits *limits)
{
	struct routes *rs = mem_alloc(sizeof(*rs));

	rs->limits = *limits;
	pthread_mutex_init(&rs->lock, NULL);
	atomic_store(&rs->table, mem_alloc(sizeof(struct table)));
	return rs;
}

static void free_route(struct route *r)
{
	worker_unref(r->worker);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->left);
	free(r->id);
	free(r);
}

static void free_table(struct table *t)
{
	for (size_t i = 0; i < t->alias_count; i++)
		free(t->aliases[i].name);
	free(t->aliases);
	free(t);
}

void routes_free(struct routes *rs)
{
	struct table *t;

	if (!rs)
		return;
	t = atomic_load(&rs->table);
	for (size_t i = 0; i < t->count; i++)
		free_route(t->routes[i]);
	while (t) {
		struct table *older = t->older;

		free_table(t);
		t = older;
	}
	pthread_mutex_destroy(&rs->lock);
	free(rs);
}

static struct route *look_up(const struct table *t, const char *id)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->routes[i]->id, id) == 0)
			return t->routes[i];
	return NULL;
}

struct route *routes_find(struct routes *rs, const char *name)
{
	const struct table *t = atomic_load_explicit(&rs->table, memory_order_acquire);
	struct route *r = look_up(t, name);

	for (size_t i = 0; (!r || atomic_load(&r->removed)) && i < t->alias_count; i++)
		if (strcmp(t->aliases[i].name, name) == 0)
			return t->aliases[i].route;
	return r;
}

const char *route_model(const struct route *r)
{
	return r->id;
}

static struct route *new_route(struct routes *rs, const char *id)
{
	struct route *r = mem_alloc(sizeof(*r));

	r->id = mem_dup(id);
	r->owner = rs;
	r->last = &r->first;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->left, NULL);
	return r;
}

static void add_alias(struct table *t, const char *name, struct route *r)
{
	t->aliases = mem_grow(t->aliases, t->alias_count + 1, sizeof(*t->aliases));
	t->aliases[t->alias_count++] = (struct alias){.name = mem_dup(name), .route = r};
}

/* With room for one more route; without the aliases of one, which may be NULL. */
static struct table *copy(struct table *old, const struct route *nameless)
{
	struct table *t = mem_alloc(sizeof(*t) + (old->count + 1) * sizeof(struct route *));

	memcpy(t->routes, old->routes, old->count * sizeof(struct route *));
	t->count = old->count;
	t->older = old;
	for (size_t i = 0; i < old->alias_count; i++)
		if (old->aliases[i].route != nameless)
			add_alias(t, old->aliases[i].name, old->aliases[i].route);
	return t;
}

struct route *routes_add(struct routes *rs, const char *model_id)
{
	struct table *old, *t;
	struct route *r;

	pthread_mutex_lock(&rs->lock);
	old = atomic_load(&rs->table);
	r = look_up(old, model_id);
	if (!r) {
		r = new_route(rs, model_id);
		t = copy(old, NULL);
		t->routes[t->count++] = r;
		atomic_store_explicit(&rs->table, t, memory_order_release);
	}
	pthread_mutex_unlock(&rs->lock);

	pthread_mutex_lock(&r->lock);
	r->removed = false;
	pthread_mutex_unlock(&r->lock);
	return r;
}

static bool has_aliases(const struct table *t, const struct route *r, const struct strv *names)
{
	size_t n = 0;

	for (size_t i = 0; i < t->alias_count; i++) {
		if (t->aliases[i].route != r)
			continue;
		if (n == names->count || strcmp(t->aliases[i].name, names->items[n]) != 0)
			return false;
		n++;
	}
	return n == names->count;
}

void routes_set_aliases(struct routes *rs, const char *model_id, const struct strv *aliases)
{
	struct table *old, *t;
	struct route *r;

	pthread_mutex_lock(&rs->lock);
	old = atomic_load(&rs->table);
	r = look_up(old, model_id);
	if (r && !has_aliases(old, r, aliases)) {
		t = copy(old, r);
		for (size_t i = 0; i < aliases->count; i++)
			add_alias(t, aliases->items[i], r);
		atomic_store_explicit(&rs->table, t, memory_order_release);
	}
	pthread_mutex_unlock(&rs->lock);
}

static void wake_all(struct route *r)
{
	for (struct route_place *w = r->first; w; w = w->next)
		pthread_cond_signal(&w->wake);
}

void routes_remove(struct routes *rs, const char *model_id)
{
	struct route *r = routes_find(rs, model_id);
	struct strv none = {0};

	if (!r)
		return;
	routes_set_aliases(rs, model_id, &none);
	pthread_mutex_lock(&r->lock);
	r->removed = true;
	wake_all(r);
	pthread_mutex_unlock(&r->lock);
	route_close(r, NULL);
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

void routes_close(struct routes *rs, const struct err *why)
{
	const struct table *t = atomic_load_explicit(&rs->table, memory_order_acquire);

	for (size_t i = 0; i < t->count; i++)
		route_close(t->routes[i], why);
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
