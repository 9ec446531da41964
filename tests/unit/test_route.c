/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "switch/route.h"

/* --- the worker, as a route sees it ------------------------------------------------------------
 */

struct worker {
	int slots;
	atomic_int references;
	struct worker_traffic traffic;
};

struct worker_traffic *worker_traffic(struct worker *w)
{
	return &w->traffic;
}

int worker_slots(const struct worker *w)
{
	return w->slots;
}

struct worker *worker_ref(struct worker *w)
{
	atomic_fetch_add(&w->references, 1);
	return w;
}

void worker_unref(struct worker *w)
{
	if (w != NULL)
		atomic_fetch_sub(&w->references, 1);
}

/* --- requests in threads -----------------------------------------------------------------------
 */

enum { PATIENCE_MS = 10 * 1000, WAIT_MS = 60 * 1000 };

struct request {
	struct route *route;
	int64_t bytes;
	pthread_t thread;
	struct route_ticket ticket;
	int order; /* the how-manieth to be admitted or refused */
	struct err e;
	atomic_bool client_left;
	bool ok;
};

static atomic_int order;

static bool has_left(void *arg)
{
	const struct request *q = arg;

	return atomic_load(&q->client_left);
}

static void *ask(void *arg)
{
	struct request *q = arg;

	q->ok = route_admit(q->route, q->bytes, has_left, NULL, q, &q->ticket, &q->e);
	q->order = atomic_fetch_add(&order, 1);
	return NULL;
}

static struct route_stats stats_of(const struct route *r)
{
	struct route_stats st = {0};

	route_get_stats(r, &st);
	return st;
}

static void until_waiting(const struct route *r, int waiting)
{
	int64_t end_ms = clock_ms() + PATIENCE_MS;

	while (stats_of(r).waiting != waiting) {
		assert_true(clock_ms() < end_ms);
		(void)sched_yield();
	}
}

static void start(struct request *q, struct route *r)
{
	q->route = r;
	assert_int_equal(pthread_create(&q->thread, NULL, ask, q), 0);
}

/* One more in line, in its place once this returns. */
static void send_one(struct request *q, struct route *r)
{
	int before = stats_of(r).waiting;

	start(q, r);
	until_waiting(r, before + 1);
}

static void finish(struct request *q)
{
	assert_int_equal(pthread_join(q->thread, NULL), 0);
}

/* At once, without waiting. */
static enum route_turn try(struct route *r, struct route_ticket *ret, struct err *e)
{
	struct route_place place = {0};
	enum route_turn turn = route_enter(r, &place, 1, 0, NULL, NULL, ret, e);

	route_give_up(&place);
	return turn;
}

/* --- fixture -----------------------------------------------------------------------------------
 */

struct site {
	struct routes *routes;
	struct route *route;
	struct worker worker;
	struct worker other;
};

static int set_up_with(void **state, struct route_limits limits)
{
	struct site *s = mem_alloc(sizeof(*s));

	s->routes = routes_new(&limits);
	s->route = routes_add(s->routes, "tiny");
	s->worker.slots = 1;
	s->other.slots = 1;
	atomic_store(&order, 0);
	*state = s;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, (struct route_limits){WAIT_MS, 8, 1000});
}

static int set_up_impatient(void **state)
{
	return set_up_with(state, (struct route_limits){150, 8, 1000});
}

/* Nothing may still hold a worker or a place in line. */
static int tear_down(void **state)
{
	struct site *s = *state;
	struct route_stats st = stats_of(s->route);

	route_close(s->route, NULL);
	routes_free(s->routes);
	assert_int_equal(st.running, 0);
	assert_int_equal(st.waiting, 0);
	assert_int_equal(s->worker.references, 0);
	assert_int_equal(s->other.references, 0);
	free(s);
	return 0;
}

/* --- the table ---------------------------------------------------------------------------------
 */

static void routes_are_found_by_id(void **state)
{
	struct site *s = *state;
	struct route *b = routes_add(s->routes, "b");

	assert_ptr_equal(routes_find(s->routes, "tiny"), s->route);
	assert_ptr_equal(routes_find(s->routes, "b"), b);
	assert_null(routes_find(s->routes, "c"));
	assert_ptr_equal(routes_add(s->routes, "b"), b);
	assert_int_equal(route_state(b), ROUTE_CLOSED);
	routes_remove(s->routes, "c");
}

static void set_aliases(struct site *s, const char *id, const char *one, const char *two)
{
	CLEANUP(strv_done) struct strv names = {0};

	if (one)
		strv_add(&names, one);
	if (two)
		strv_add(&names, two);
	routes_set_aliases(s->routes, id, &names);
}

static void a_route_is_found_by_its_aliases(void **state)
{
	struct site *s = *state;
	struct route *b = routes_add(s->routes, "b");

	set_aliases(s, "tiny", "small", "fast");
	set_aliases(s, "b", "big", "tiny"); /* an id comes first */
	set_aliases(s, "nobody", "none", NULL);
	assert_ptr_equal(routes_find(s->routes, "fast"), s->route);
	assert_ptr_equal(routes_find(s->routes, "big"), b);
	assert_ptr_equal(routes_find(s->routes, "tiny"), s->route);
	assert_null(routes_find(s->routes, "none"));
	assert_string_equal(route_model(routes_find(s->routes, "small")), "tiny");
	set_aliases(s, "tiny", "fast", NULL);
	(void)routes_add(s->routes, "c");
	assert_null(routes_find(s->routes, "small"));
	assert_ptr_equal(routes_find(s->routes, "fast"), s->route);
	routes_remove(s->routes, "b");
	assert_null(routes_find(s->routes, "big"));
	set_aliases(s, "tiny", "b", NULL); /* whose model is gone */
	assert_ptr_equal(routes_find(s->routes, "b"), s->route);
	routes_remove(s->routes, "b"); /* again: not what has its name by now */
	assert_ptr_equal(routes_find(s->routes, "b"), s->route);
}

static void *find_all_the_time(void *arg)
{
	struct site *s = arg;

	while (routes_find(s->routes, "last") == NULL)
		assert_ptr_equal(routes_find(s->routes, "tiny"), s->route);
	return NULL;
}

static void finding_goes_on_while_routes_are_added(void **state)
{
	struct site *s = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, find_all_the_time, s), 0);
	for (int i = 0; i < 200; i++) {
		CLEANUP(free) char *id = mem_printf("m%d", i);

		(void)routes_add(s->routes, id);
	}
	(void)routes_add(s->routes, "last");
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* --- admission ---------------------------------------------------------------------------------
 */

static void an_open_route_admits_as_many_as_there_are_slots(void **state)
{
	struct site *s = *state;
	struct route_ticket t[3] = {0};
	struct err e = {0};

	s->worker.slots = 2;
	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &t[0], &e), ROUTE_ADMITTED);
	assert_int_equal(try(s->route, &t[1], &e), ROUTE_ADMITTED);
	assert_int_equal(try(s->route, &t[2], &e), ROUTE_WAITING);
	assert_ptr_equal(t[0].worker, &s->worker);
	assert_int_equal(s->worker.references, 3);
	assert_int_equal(stats_of(s->route).running, 2);
	route_leave(&t[0]);
	assert_int_equal(try(s->route, &t[2], &e), ROUTE_ADMITTED);
	route_leave(&t[1]);
	route_leave(&t[2]);
	route_leave(&t[2]); /* a second time does nothing */
	assert_int_equal(stats_of(s->route).total, 3);
	assert_int_equal(e.kind, ERR_NONE);
}

static void nobody_is_sent_to_a_worker_that_broke_off(void **state)
{
	struct site *s = *state;
	struct route_ticket t = {0}, next = {0};
	struct err e = {0};

	s->worker.slots = 2;
	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &t, &e), ROUTE_ADMITTED);
	route_doubt(&t);
	route_leave(&t);
	assert_int_equal(try(s->route, &next, &e), ROUTE_WAITING);
	route_open(s->route, &s->worker); /* a new one */
	assert_int_equal(try(s->route, &next, &e), ROUTE_ADMITTED);
	route_leave(&next);
}

static void who_came_first_is_served_first(void **state)
{
	struct site *s = *state;
	struct request q[5] = {0};
	struct route_ticket first = {0};

	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &first, NULL), ROUTE_ADMITTED);
	for (size_t i = 0; i < ARRAY_LEN(q); i++)
		send_one(&q[i], s->route);
	route_leave(&first);
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		finish(&q[i]);
		assert_true(q[i].ok);
		assert_int_equal(q[i].order, i);
		assert_int_equal(stats_of(s->route).running, 1);
		route_leave(&q[i].ticket);
	}
}

static void nobody_overtakes_the_line(void **state)
{
	struct site *s = *state;
	struct route_place first = {0};
	struct route_ticket t = {0};
	struct err e = {0};

	route_hold(s->route);
	assert_int_equal(route_enter(s->route, &first, 1, 0, NULL, NULL, &t, &e), ROUTE_WAITING);
	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &t, &e), ROUTE_WAITING);
	assert_int_equal(route_enter(s->route, &first, 1, 0, NULL, NULL, &t, &e), ROUTE_ADMITTED);
	route_leave(&t);
}

static void who_gives_up_lets_the_next_one_in(void **state)
{
	struct site *s = *state;
	struct route_place place = {0};
	struct route_ticket none = {0};
	struct request next = {0};

	route_hold(s->route);
	assert_int_equal(route_enter(s->route, &place, 1, 0, NULL, NULL, &none, NULL),
			 ROUTE_WAITING);
	send_one(&next, s->route);
	route_open(s->route, &s->worker);
	route_give_up(&place);
	route_give_up(&place);
	finish(&next);
	assert_true(next.ok);
	route_leave(&next.ticket);
}

static void all_slots_of_a_new_worker_are_filled(void **state)
{
	struct site *s = *state;
	struct request q[6] = {0};

	route_hold(s->route);
	for (size_t i = 0; i < ARRAY_LEN(q); i++)
		send_one(&q[i], s->route);
	s->worker.slots = 4;
	route_open(s->route, &s->worker);
	for (size_t i = 0; i < 4; i++)
		finish(&q[i]);
	assert_int_equal(stats_of(s->route).running, 4);
	assert_int_equal(stats_of(s->route).waiting, 2);
	for (size_t i = 0; i < 4; i++)
		route_leave(&q[i].ticket);
	for (size_t i = 4; i < 6; i++) {
		finish(&q[i]);
		route_leave(&q[i].ticket);
	}
}

/* --- limits ------------------------------------------------------------------------------------
 */

static void the_line_has_an_end(void **state)
{
	struct site *s = *state;
	struct request q[8] = {0};
	struct route_ticket none = {0};
	struct err e = {0};

	route_hold(s->route);
	for (size_t i = 0; i < ARRAY_LEN(q); i++)
		send_one(&q[i], s->route);
	assert_int_equal(try(s->route, &none, &e), ROUTE_REFUSED);
	assert_int_equal(e.kind, ERR_BUSY);
	assert_string_equal(e.msg, "model 'tiny': 8 requests wait already");
	assert_non_null(strstr(e.hint, "hold_limit"));
	route_close(s->route, NULL);
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		finish(&q[i]);
		assert_false(q[i].ok);
	}
}

static void waiting_bodies_have_a_limit_over_all_models(void **state)
{
	struct site *s = *state;
	struct route *other = routes_add(s->routes, "other");
	struct route_place a = {0};
	struct route_place b = {0};
	struct route_ticket none = {0};
	struct err e = {0};

	route_hold(s->route);
	route_hold(other);
	assert_int_equal(route_enter(s->route, &a, 600, 0, NULL, NULL, &none, &e), ROUTE_WAITING);
	assert_int_equal(route_enter(other, &b, 401, 0, NULL, NULL, &none, &e), ROUTE_REFUSED);
	assert_int_equal(e.kind, ERR_BUSY);
	assert_non_null(strstr(e.hint, "hold_bytes"));
	err_clear(&e);
	assert_int_equal(route_enter(other, &b, 400, 0, NULL, NULL, &none, &e), ROUTE_WAITING);
	route_give_up(&a);
	route_give_up(&b);
	/* All is given back. */
	assert_int_equal(route_enter(other, &b, 1000, 0, NULL, NULL, &none, &e), ROUTE_WAITING);
	route_give_up(&b);
}

static void a_client_that_leaves_the_line_is_noticed(void **state)
{
	struct site *s = *state;
	struct request q = {0};

	route_hold(s->route);
	send_one(&q, s->route);
	atomic_store(&q.client_left, true);
	finish(&q);
	assert_false(q.ok);
	assert_int_equal(q.e.kind, ERR_CANCELLED);
}

static void holding_has_a_time_limit(void **state)
{
	struct site *s = *state;
	struct request q = {0};
	int64_t start_ms = clock_ms();

	route_hold(s->route);
	start(&q, s->route);
	finish(&q);
	assert_false(q.ok);
	assert_int_equal(q.e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(q.e.hint, "hold_timeout"));
	assert_in_range(clock_ms() - start_ms, 150, PATIENCE_MS);
}

/* The limit is counted from the end of the drain, whoever sees that end. */
static void the_time_limit_begins_when_the_last_request_has_ended(void **state)
{
	struct site *s = *state;
	struct route_ticket running = {0};
	struct request q = {0};
	struct err e = {0};
	struct route_place place = {0};
	struct route_ticket none = {0};

	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &running, &e), ROUTE_ADMITTED);
	route_hold(s->route);
	assert_int_equal(route_enter(s->route, &place, 1, 300, NULL, NULL, &none, &e),
			 ROUTE_WAITING); /* twice the limit */
	route_give_up(&place);
	route_leave(&running);
	start(&q, s->route); /* nobody drains: a worker that broke, then a load */
	finish(&q);
	assert_int_equal(q.e.kind, ERR_UNAVAILABLE);
}

/* --- hold, drain, cut, open --------------------------------------------------------------------
 */

struct drain {
	struct route *route;
	struct worker *worker;
	pthread_t thread;
	bool empty;
};

static void *drain(void *arg)
{
	struct drain *d = arg;

	d->empty = route_drain(d->route, d->worker, PATIENCE_MS, NULL, NULL);
	return NULL;
}

static void a_switch_waits_for_the_running_and_keeps_the_rest(void **state)
{
	struct site *s = *state;
	struct drain d = {.route = s->route, .worker = &s->worker};
	struct route_ticket running = {0};
	struct request q = {0};
	struct err e = {0};

	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &running, &e), ROUTE_ADMITTED);
	route_hold(s->route);
	assert_int_equal(route_state(s->route), ROUTE_HELD);
	send_one(&q, s->route);
	assert_int_equal(pthread_create(&d.thread, NULL, drain, &d), 0);
	assert_int_equal(s->worker.references, 1); /* only who runs has it */
	route_leave(&running);
	assert_int_equal(pthread_join(d.thread, NULL), 0);
	assert_true(d.empty);
	assert_int_equal(s->worker.references, 0);
	route_open(s->route, &s->other);
	finish(&q);
	assert_true(q.ok);
	assert_ptr_equal(q.ticket.worker, &s->other);
	route_leave(&q.ticket);
}

static bool yes(void *arg)
{
	return true;
}

static void a_drain_ends_by_time_or_cancel_and_the_route_stays_held(void **state)
{
	struct site *s = *state;
	struct route_ticket running = {0};
	int64_t start_ms = clock_ms();

	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &running, NULL), ROUTE_ADMITTED);
	route_hold(s->route);
	assert_false(route_drain(s->route, &s->worker, 0, NULL, NULL));
	assert_false(route_drain(s->route, &s->worker, 50, NULL, NULL));
	assert_in_range(clock_ms() - start_ms, 50, PATIENCE_MS);
	start_ms = clock_ms();
	assert_false(route_drain(s->route, &s->worker, WAIT_MS, yes, NULL));
	assert_in_range(clock_ms() - start_ms, 0, PATIENCE_MS);
	assert_int_equal(route_state(s->route), ROUTE_HELD);
	/* The old worker goes on. */
	route_open(s->route, &s->worker);
	route_leave(&running);
	assert_true(route_drain(s->route, &s->worker, 0, NULL, NULL));
}

static void a_cut_reaches_only_who_runs(void **state)
{
	struct site *s = *state;
	struct route_ticket before = {0};
	struct route_ticket after = {0};

	s->worker.slots = 2;
	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &before, NULL), ROUTE_ADMITTED);
	assert_false(route_cut_requested(&before));
	route_cut(&s->worker);
	assert_int_equal(try(s->route, &after, NULL), ROUTE_ADMITTED);
	assert_true(route_cut_requested(&before));
	assert_false(route_cut_requested(&after));
	route_leave(&before);
	route_leave(&after);
}

static void a_new_worker_serves_while_the_old_one_finishes(void **state)
{
	struct site *s = *state;
	struct route_ticket before = {0}, after = {0}, third = {0};
	struct drain d = {.route = s->route, .worker = &s->worker};

	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &before, NULL), ROUTE_ADMITTED);
	route_open(s->route, &s->other);
	assert_int_equal(try(s->route, &after, NULL), ROUTE_ADMITTED);
	assert_ptr_equal(before.worker, &s->worker);
	assert_ptr_equal(after.worker, &s->other);
	assert_int_equal(stats_of(s->route).running, 2);
	assert_int_equal(pthread_create(&d.thread, NULL, drain, &d), 0);
	route_cut(&s->worker);
	assert_true(route_cut_requested(&before));
	assert_false(route_cut_requested(&after));
	route_leave(&before);
	assert_int_equal(pthread_join(d.thread, NULL), 0);
	assert_true(d.empty); /* though the other serves */
	/* What left the old one made no room at the new one. */
	assert_int_equal(try(s->route, &third, NULL), ROUTE_WAITING);
	route_leave(&after);
	assert_int_equal(try(s->route, &third, NULL), ROUTE_ADMITTED);
	route_leave(&third);
	route_close(s->route, NULL);
	assert_int_equal(s->worker.references + s->other.references, 0);
}

/* --- moving ------------------------------------------------------------------------------------
 */

struct move {
	struct site *s;
	pthread_t thread;
	struct route_moves moves;
};

static void *ask_move(void *arg)
{
	struct move *m = arg;

	m->moves = route_ask_move(m->s->route, &m->s->worker, PATIENCE_MS);
	return NULL;
}

static void until_asked(const struct route_ticket *t)
{
	int64_t end_ms = clock_ms() + PATIENCE_MS;

	while (!route_move_requested(t)) {
		assert_true(clock_ms() < end_ms);
		(void)sched_yield();
	}
}

static void who_can_move_leaves_and_comes_first_elsewhere(void **state)
{
	struct site *s = *state;
	struct move m = {.s = s};
	struct route_ticket stream = {0}, whole = {0}, stays = {0}, again = {0};
	struct route_place place = {0};
	struct request q = {0};
	struct err e = {0};

	s->worker.slots = 3;
	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &stream, NULL), ROUTE_ADMITTED);
	assert_int_equal(try(s->route, &whole, NULL), ROUTE_ADMITTED);
	assert_int_equal(try(s->route, &stays, NULL), ROUTE_ADMITTED);
	route_set_mobility(&stream, ROUTE_GOES_ON);
	route_set_mobility(&stays, ROUTE_STAYS);
	assert_false(route_move_requested(&stream));
	route_hold(s->route);
	send_one(&q, s->route); /* came long before the moved one needs a place */
	assert_int_equal(pthread_create(&m.thread, NULL, ask_move, &m), 0);
	until_asked(&stream);
	assert_true(route_move_requested(&whole));
	assert_false(route_move_requested(&stays));
	route_set_mobility(&whole, ROUTE_STAYS); /* its answer has just begun */
	route_move(&stream, &place);
	assert_int_equal(pthread_join(m.thread, NULL), 0);
	assert_int_equal(m.moves.went_on, 1);
	assert_int_equal(m.moves.asked_again, 0);
	assert_int_equal(route_enter(s->route, &place, 1, 0, NULL, NULL, &again, &e),
			 ROUTE_WAITING);
	route_open(s->route, &s->other); /* with one slot */
	assert_int_equal(route_enter(s->route, &place, 1, PATIENCE_MS, NULL, NULL, &again, &e),
			 ROUTE_ADMITTED);
	assert_ptr_equal(again.worker, &s->other);
	assert_false(route_move_requested(&again));
	assert_int_equal(stats_of(s->route).waiting, 1);
	route_leave(&again);
	finish(&q);
	assert_true(q.ok);
	route_leave(&q.ticket);
	route_leave(&whole);
	route_leave(&stays);
}

static void moved_requests_keep_their_order_and_need_no_limits(void **state)
{
	struct site *s = *state;
	struct route_ticket t[2] = {0}, got = {0};
	struct route_place places[2] = {0};
	struct request waiting[8] = {0};
	struct err e = {0};

	s->worker.slots = 2;
	route_open(s->route, &s->worker);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(try(s->route, &t[i], NULL), ROUTE_ADMITTED);
		route_set_mobility(&t[i], ROUTE_GOES_ON);
	}
	route_hold(s->route);
	for (int i = 0; i < 8; i++) /* the line is full */
		send_one(&waiting[i], s->route);
	for (int i = 0; i < 2; i++) {
		route_move(&t[i], &places[i]);
		assert_int_equal(route_enter(s->route, &places[i], 5000, 0, NULL, NULL, &got, &e),
				 ROUTE_WAITING);
	}
	route_open(s->route, &s->other);
	for (int i = 0; i < 2; i++) {
		struct route_place *other = &places[1 - i];

		if (i == 0) /* not its turn */
			assert_int_equal(route_enter(s->route, other, 1, 0, NULL, NULL, &got, &e),
					 ROUTE_WAITING);
		assert_int_equal(
			route_enter(s->route, &places[i], 1, PATIENCE_MS, NULL, NULL, &got, &e),
			ROUTE_ADMITTED);
		route_leave(&got);
	}
	for (int i = 0; i < 8; i++) {
		finish(&waiting[i]);
		assert_true(waiting[i].ok);
		route_leave(&waiting[i].ticket);
	}
}

/* --- close, remove -----------------------------------------------------------------------------
 */

static void a_failed_load_tells_those_who_waited_for_it(void **state)
{
	struct site *s = *state;
	struct request q = {0};
	struct route_ticket none = {0};
	struct err why = {0};
	struct err e = {0};

	route_hold(s->route);
	send_one(&q, s->route);
	(void)err_set(&why, ERR_WORKER, "no memory");
	(void)err_hint(&why, "buy some");
	route_close(s->route, &why);
	finish(&q);
	assert_false(q.ok);
	assert_int_equal(q.e.kind, ERR_WORKER);
	assert_string_equal(q.e.msg, "no memory");
	assert_string_equal(q.e.hint, "buy some");
	/* Whoever comes later asks for a load of his own. */
	assert_int_equal(try(s->route, &none, &e), ROUTE_UNLOADED);
	assert_string_equal(e.msg, "model 'tiny' is not loaded");
}

static void a_place_that_was_away_learns_why_or_waits_on(void **state)
{
	struct site *s = *state;
	struct route_place place = {0};
	struct route_ticket none = {0};
	struct err why = {0};
	struct err e = {0};

	route_hold(s->route);
	assert_int_equal(route_enter(s->route, &place, 1, 0, NULL, NULL, &none, &e), ROUTE_WAITING);
	(void)err_set(&why, ERR_WORKER, "no memory");
	route_close(s->route, &why);
	route_hold(s->route); /* the next load began meanwhile */
	assert_int_equal(route_enter(s->route, &place, 1, 0, NULL, NULL, &none, &e), ROUTE_WAITING);
	route_close(s->route, &why);
	assert_int_equal(route_enter(s->route, &place, 1, 0, NULL, NULL, &none, &e), ROUTE_REFUSED);
	assert_string_equal(e.msg, "no memory");
	assert_null(place.route);
}

static void an_unload_sends_waiting_requests_to_load_again(void **state)
{
	struct site *s = *state;
	struct route_place place = {0};
	struct route_ticket none = {0};
	struct err e = {0};

	route_hold(s->route);
	assert_int_equal(route_enter(s->route, &place, 1, 0, NULL, NULL, &none, &e), ROUTE_WAITING);
	route_close(s->route, NULL);
	assert_int_equal(route_enter(s->route, &place, 1, WAIT_MS, NULL, NULL, &none, &e),
			 ROUTE_UNLOADED);
	assert_null(place.route);
}

static void a_removed_model_is_not_found_until_it_comes_back(void **state)
{
	struct site *s = *state;
	struct request q = {0};
	struct route_ticket t = {0};
	struct err e = {0};

	route_hold(s->route);
	send_one(&q, s->route);
	routes_remove(s->routes, "tiny");
	finish(&q);
	assert_int_equal(q.e.kind, ERR_NOT_FOUND);
	assert_int_equal(route_state(s->route), ROUTE_CLOSED);
	/* Also when a load that was under way opens it. */
	route_open(s->route, &s->worker);
	assert_int_equal(try(s->route, &t, &e), ROUTE_REFUSED);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "model 'tiny' was removed");
	err_clear(&e);
	assert_ptr_equal(routes_add(s->routes, "tiny"), s->route);
	assert_int_equal(try(s->route, &t, &e), ROUTE_ADMITTED);
	route_leave(&t);
}

/* --- all at once -------------------------------------------------------------------------------
 */

enum { CLIENTS = 6, ROUNDS = 60, SLOTS = 3 };

struct crowd {
	struct site *s;
	atomic_int running;
	atomic_int admitted;
	atomic_int done;
};

/* Loads on demand when the switch has closed the route. */
static void *come_again_and_again(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct route_ticket t = {0};
		struct err e = {0};

		while (!route_admit(c->s->route, 1, NULL, NULL, NULL, &t, &e)) {
			assert_int_equal(e.kind, ERR_UNAVAILABLE);
			err_clear(&e);
			(void)sched_yield();
		}
		assert_true(atomic_fetch_add(&c->running, 1) < 2 * SLOTS);
		atomic_fetch_add(&c->admitted, 1);
		(void)sched_yield();
		atomic_fetch_sub(&c->running, 1);
		route_leave(&t);
	}
	atomic_fetch_add(&c->done, 1);
	return NULL;
}

static void many_requests_survive_many_switches(void **state)
{
	struct site *s = *state;
	struct crowd c = {.s = s};
	pthread_t threads[CLIENTS];

	s->worker.slots = SLOTS;
	s->other.slots = SLOTS;
	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_again_and_again, &c), 0);
	for (int i = 0; atomic_load(&c.done) < CLIENTS; i++) {
		struct worker *old = i % 2 ? &s->other : &s->worker;
		struct worker *next = i % 2 ? &s->worker : &s->other;

		if (i % 3 > 0) { /* in turn */
			route_hold(s->route);
			assert_true(route_drain(s->route, old, PATIENCE_MS, NULL, NULL));
			assert_int_equal(atomic_load(&c.running), 0);
		}
		if (i % 5 == 4)
			route_close(s->route, NULL);
		route_open(s->route, next);
		if (i % 3 == 0) /* the new beside the old */
			assert_true(route_drain(s->route, old, PATIENCE_MS, NULL, NULL));
		assert_int_equal(atomic_load(&old->traffic.running), 0);
		(void)sched_yield();
	}
	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.admitted, CLIENTS * ROUNDS);
	assert_int_equal(stats_of(s->route).total, CLIENTS * ROUNDS);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define IMPATIENT(test) cmocka_unit_test_setup_teardown(test, set_up_impatient, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(routes_are_found_by_id),
		TEST(a_route_is_found_by_its_aliases),
		TEST(finding_goes_on_while_routes_are_added),
		TEST(an_open_route_admits_as_many_as_there_are_slots),
		TEST(nobody_is_sent_to_a_worker_that_broke_off),
		TEST(who_came_first_is_served_first),
		TEST(nobody_overtakes_the_line),
		TEST(who_gives_up_lets_the_next_one_in),
		TEST(all_slots_of_a_new_worker_are_filled),
		TEST(the_line_has_an_end),
		TEST(waiting_bodies_have_a_limit_over_all_models),
		TEST(a_client_that_leaves_the_line_is_noticed),
		IMPATIENT(holding_has_a_time_limit),
		IMPATIENT(the_time_limit_begins_when_the_last_request_has_ended),
		TEST(a_switch_waits_for_the_running_and_keeps_the_rest),
		TEST(a_drain_ends_by_time_or_cancel_and_the_route_stays_held),
		TEST(a_cut_reaches_only_who_runs),
		TEST(a_new_worker_serves_while_the_old_one_finishes),
		TEST(who_can_move_leaves_and_comes_first_elsewhere),
		TEST(moved_requests_keep_their_order_and_need_no_limits),
		TEST(a_failed_load_tells_those_who_waited_for_it),
		TEST(a_place_that_was_away_learns_why_or_waits_on),
		TEST(an_unload_sends_waiting_requests_to_load_again),
		TEST(a_removed_model_is_not_found_until_it_comes_back),
		TEST(many_requests_survive_many_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
