/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that stop working without ending: stopped, hung, breaking off, growing. */
#include "test.h"

#include "worker_fixture.h"

/* A start on a busy machine does nothing for longer than one would think. */
#define STALL_MS 1000

/* Somebody waits for it, as the gateway says it. */
static void wait_for_it(struct worker *w, int64_t ms)
{
	int64_t until = clock_ms() + ms;

	while (worker_state(w) == WORKER_RUNNING && clock_ms() < until) {
		worker_await(w);
		(void)poll(NULL, 0, 20);
	}
}

static void ends_by_the_watchdog(struct fixture *f, struct worker *w, const char *says)
{
	CLEANUP(free) char *death = NULL;

	wait_for_it(w, 40000);
	wait_down(w);
	death = worker_death(w);
	if (!strstr(death, says))
		fail_msg("'%s' is not said in: %s", says, death);
	assert_int_equal(count_entries(test_path(f->dir, "run")), 0);
	close_supervisor(f); /* it has called who wants to know */
	assert_int_equal(atomic_load(&f->crashes), 1);
}

static void one_that_was_stopped_is_replaced(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	limit(f, STALL_MS, 0);
	w = start_ok(f, NULL);
	assert_int_equal(kill(worker_pid(w), SIGSTOP), 0);
	ends_by_the_watchdog(f, w, "stopped by a signal (SIGSTOP)");
}

static void a_start_that_was_stopped_is_given_up(void **state)
{
	struct fixture *f = *state;

	behave(f, "{\"load_stop\": true}");
	limit(f, STALL_MS, 0);
	start_fails(f, NULL, ERR_WORKER, "stopped by a signal (SIGSTOP)");
}

/* HTTP lives, /health and all, but neither a token comes nor anything is computed. */
static void one_that_hangs_with_a_request_is_replaced(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	behave(f, "{\"wedge\": true}");
	limit(f, STALL_MS, 0);
	w = start_ok(f, NULL);
	ends_by_the_watchdog(f, w, "it hung: for");
}

/* The longest prompt is over some time. */
static void one_that_computes_for_nothing_is_given_longer(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	behave(f, "{\"token_seconds\": 0}");
	limit(f, STALL_MS, 0);
	w = start_ok(f, "vulkan");
	behave(f, "{\"wedge\": \"busy\"}");
	CLEANUP(close) int stream = ask_for_stream(w);
	assert_true(stream >= 0);
	wait_for_it(w, 4 * STALL_MS);
	assert_int_equal(worker_state(w), WORKER_RUNNING);
	ends_by_the_watchdog(f, w, "without a token");
}

static void one_whose_counters_move_is_not_hung(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	behave(f, "{\"slots_turn\": true}");
	limit(f, STALL_MS, 0);
	w = start_ok(f, NULL);
	wait_for_it(w, 3 * STALL_MS);
	assert_int_equal(worker_state(w), WORKER_RUNNING);
	behave(f, "{}"); /* now they stand still */
	ends_by_the_watchdog(f, w, "it hung");
}

static void one_that_nobody_waits_for_may_rest(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	limit(f, STALL_MS, 0);
	w = start_ok(f, NULL);
	(void)poll(NULL, 0, 2 * STALL_MS);
	assert_int_equal(worker_state(w), WORKER_RUNNING);
}

static void only_tokens_are_a_sign_of_life(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = start_ok(f, NULL);
	atomic_llong *touched = &worker_traffic(w)->touched_ms;

	worker_touch(w, ":\n\n", 3); /* what it sends each 30 s when it hangs */
	worker_touch(w, "", 0);
	assert_int_equal(atomic_load(touched), 0);
	worker_touch(w, "data: {}", 8);
	assert_true(atomic_load(touched) > 0);
}

static void complains(struct fixture *f, const char *says)
{
	int64_t until = clock_ms() + 10000;

	while (atomic_load(&f->complaints) == 0 && clock_ms() < until)
		(void)poll(NULL, 0, 5);
	assert_int_equal(atomic_load(&f->complaints), 1);
	if (!strstr(f->complaint, says))
		fail_msg("'%s' is not said in: %s", says, f->complaint);
}

static void one_that_breaks_answers_off_is_complained_of(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;

	limit(f, STALL_MS, 0);
	w = start_ok(f, NULL);
	worker_broke_off(w);
	worker_broke_off(w);
	worker_broke_off(w);
	complains(f, "it broke off 3 answers within a minute");
	assert_int_equal(worker_state(w), WORKER_RUNNING);
	assert_int_equal(atomic_load(&f->crashes), 0);
}

static void one_that_grows_is_complained_of_when_idle(void **state)
{
	struct fixture *f = *state;
	CLEANUP(worker_unref) struct worker *w = NULL;
	struct err e = {0};

	behave(f, "{\"leak_mib\": 100}");
	limit(f, STALL_MS, 64 << 20);
	w = start_ok(f, NULL);
	atomic_fetch_add(&worker_traffic(w)->running, 1);
	assert_true(worker_prove(w, NULL, NULL, &e));
	(void)poll(NULL, 0, 300);
	assert_int_equal(atomic_load(&f->complaints), 0);
	atomic_fetch_sub(&worker_traffic(w)->running, 1);
	complains(f, "its memory grew from");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_was_stopped_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(a_start_that_was_stopped_is_given_up, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_hangs_with_a_request_is_replaced, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_computes_for_nothing_is_given_longer,
						setup, teardown),
		cmocka_unit_test_setup_teardown(one_whose_counters_move_is_not_hung, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_nobody_waits_for_may_rest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_tokens_are_a_sign_of_life, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_breaks_answers_off_is_complained_of, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_grows_is_complained_of_when_idle, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
