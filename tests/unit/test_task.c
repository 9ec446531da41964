/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "task/task.h"

#define WAIT_MS 20000 /* far longer than anything here takes */

struct fixture {
	char *dir;
	struct db *db;
	struct tasks *tasks;
};

static void open_all(struct fixture *f)
{
	struct err e = {0};

	if (!db_open(test_path(f->dir, "shunt.db"), &f->db, &e) ||
	    !tasks_open(f->db, test_path(f->dir, "tasks"), &f->tasks, &e))
		fail_msg("%s", e.msg);
}

static void close_all(struct fixture *f)
{
	tasks_free(f->tasks);
	db_free(f->db);
	f->tasks = NULL;
	f->db = NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->dir = test_dir_new();
	open_all(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_all(f);
	test_dir_free(f->dir);
	free(f);
	return 0;
}

/* A door that steps stand before until the test opens it. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool open;
	int waiting;
};

static void gate_init(struct gate *g)
{
	*g = (struct gate){0};
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
}

static void gate_pass(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->waiting++;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	g->waiting--;
	pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static void gate_wait(struct gate *g, int count)
{
	pthread_mutex_lock(&g->lock);
	while (g->waiting < count)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* What the steps do, and what happened. */
struct work {
	struct gate *gate; /* NULL: none */
	struct gate *end_gate;
	atomic_int undone, ended, freed;
	enum err_kind outcome;
	bool fail;
};

static bool step_one(struct task *t, void *arg, struct err *e)
{
	task_progress(t, 0.5);
	task_progress(t, 0.25); /* a bar never goes back */
	task_log_line(t, "one");
	return true;
}

static bool step_gate(struct task *t, void *arg, struct err *e)
{
	struct work *w = arg;

	task_title(t, "At the gate (%d/%d)", 1, 2);
	task_message(t, "waiting");
	task_result(t, "{\"n\":1}");
	if (w->gate)
		gate_pass(w->gate);
	if (task_cancelled(t))
		return err_set(e, ERR_CANCELLED, "cancelled at the gate");
	if (w->fail) {
		(void)err_set(e, ERR_BUILD, "it broke");
		return err_hint(e, "mend it");
	}
	return true;
}

static void undo_one(struct task *t, void *arg)
{
	struct work *w = arg;

	w->undone++;
}

static void on_end(void *arg, const struct err *outcome)
{
	struct work *w = arg;

	if (w->end_gate)
		gate_pass(w->end_gate);
	w->outcome = outcome->kind;
	w->ended++;
}

static void on_free(void *arg)
{
	struct work *w = arg;

	w->freed++;
}

static const struct task_step steps[] = {
	{"One", 1, step_one, undo_one},
	{"Two", 3, step_gate, undo_one},
};

static void submit(struct fixture *f, struct work *w, enum task_lane lane, char *ret_id)
{
	struct task_spec spec = {.kind = "test",
				 .model = "m",
				 .message = "hello",
				 .lane = lane,
				 .steps = steps,
				 .step_count = 2,
				 .arg = w,
				 .free_arg = on_free,
				 .on_end = on_end};
	struct err e = {0};

	if (!tasks_submit(f->tasks, &spec, ret_id, &e))
		fail_msg("%s", e.msg);
}

static void expect_state(struct fixture *f, const char *id, const char *state)
{
	struct db_task t = {0};
	struct err e = {0};

	assert_true(tasks_wait(f->tasks, id, WAIT_MS, NULL, NULL, &t, &e));
	assert_string_equal(t.state, state);
	db_task_done(&t);
}

static void a_task_runs_to_its_end(void **state)
{
	struct fixture *f = *state;
	struct work w = {0};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE];
	char *path, *log;

	submit(f, &w, TASK_BUILD, id);
	assert_true(tasks_wait(f->tasks, id, WAIT_MS, NULL, NULL, &t, &e));
	assert_string_equal(t.state, "succeeded");
	assert_true(t.percent == 100);
	assert_string_equal(t.result, "{\"n\":1}");
	assert_string_equal(t.message, "waiting");
	assert_true(t.started >= t.created && t.finished >= t.started);
	assert_int_equal(w.ended, 1);
	assert_int_equal(w.freed, 1); /* before the end is seen: w is gone soon */
	assert_int_equal(w.outcome, ERR_NONE);
	assert_int_equal(w.undone, 0);
	path = tasks_log_path(f->tasks, id);
	log = test_read(path, NULL);
	assert_non_null(strstr(log, "\none\n"));
	free(path);
	free(log);
	db_task_done(&t);
}

static void a_snapshot_shows_the_step_it_is_in(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w = {.gate = &g};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &w, TASK_BUILD, id);
	gate_wait(&g, 1);
	assert_true(tasks_get(f->tasks, id, &t, &e));
	assert_string_equal(t.state, "running");
	assert_string_equal(t.step, "At the gate (1/2)");
	assert_int_equal(t.step_n, 2);
	assert_int_equal(t.step_count, 2);
	assert_true(t.percent == 25); /* the first step weighs one of four */
	db_task_done(&t);
	gate_open(&g);
	expect_state(f, id, "succeeded");
}

static void a_failure_undoes_earlier_steps_and_says_why(void **state)
{
	struct fixture *f = *state;
	struct work w = {.fail = true};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE];

	submit(f, &w, TASK_BUILD, id);
	assert_true(tasks_wait(f->tasks, id, WAIT_MS, NULL, NULL, &t, &e));
	assert_string_equal(t.state, "failed");
	assert_string_equal(t.error_type, "build_failed");
	assert_string_equal(t.error_message, "it broke");
	assert_string_equal(t.error_hint, "mend it");
	assert_true(t.percent < 100);
	assert_int_equal(w.undone, 1); /* the step that failed cleans up itself */
	db_task_done(&t);
}

static void cancel_reaches_a_running_step(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w = {.gate = &g};
	struct err e = {0};
	char id[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &w, TASK_BUILD, id);
	gate_wait(&g, 1);
	assert_true(tasks_cancel(f->tasks, id, &e));
	gate_open(&g);
	expect_state(f, id, "cancelled");
	assert_int_equal(w.undone, 1);
	assert_false(tasks_cancel(f->tasks, id, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
}

static const struct task_step with_extras[] = {
	{"One", 1, step_one, undo_one},
	{"Extra", 1, step_gate, undo_one},
	{"Another", 1, step_one, undo_one},
};

static void submit_with_extras(struct fixture *f, struct work *w, char *ret_id)
{
	struct task_spec spec = {.kind = "test",
				 .lane = TASK_BUILD,
				 .steps = with_extras,
				 .step_count = ARRAY_LEN(with_extras),
				 .extra_count = 2,
				 .arg = w,
				 .on_end = on_end};
	struct err e = {0};

	if (!tasks_submit(f->tasks, &spec, ret_id, &e))
		fail_msg("%s", e.msg);
}

static void expect_log(struct fixture *f, const char *id, const char *there, const char *absent)
{
	char *path = tasks_log_path(f->tasks, id);
	char *log = test_read(path, NULL);

	assert_non_null(strstr(log, there));
	assert_true(!absent || !strstr(log, absent));
	free(path);
	free(log);
}

/* To its end: waiting for a task ends when what was asked for is done. */
static void expect_end(struct fixture *f, const char *id)
{
	struct db_task t = {0};
	struct err e = {0};
	uint64_t seen = 0;

	do {
		db_task_done(&t);
		seen = tasks_wait_change(f->tasks, seen, WAIT_MS);
		assert_true(tasks_get(f->tasks, id, &t, &e));
	} while (t.finished == 0);
	assert_string_equal(t.state, "succeeded");
	assert_true(tasks_is_done(&t));
	db_task_done(&t);
}

static void an_extra_step_that_fails_is_left_out(void **state)
{
	struct fixture *f = *state;
	struct work w = {.fail = true};
	char id[TASK_ID_SIZE];

	submit_with_extras(f, &w, id);
	expect_end(f, id);
	assert_int_equal(w.outcome, ERR_NONE);
	assert_int_equal(w.undone, 0);
	expect_log(f, id, "left out: it broke\n== Another\n", NULL);
}

static void a_cancelled_extra_step_leaves_what_was_asked_for(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w = {.gate = &g};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE];

	gate_init(&g);
	submit_with_extras(f, &w, id);
	gate_wait(&g, 1);
	assert_true(tasks_wait(f->tasks, id, WAIT_MS, NULL, NULL, &t, &e)); /* not for the gate */
	assert_string_equal(t.state, "running");
	assert_true(tasks_is_done(&t));
	db_task_done(&t);
	assert_true(tasks_cancel(f->tasks, id, &e));
	gate_open(&g);
	expect_end(f, id);
	assert_int_equal(w.undone, 0);
	expect_log(f, id, "left out: cancelled at the gate\n", "Another");
}

static void a_queued_task_is_cancelled_at_once(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work first = {.gate = &g}, second = {0};
	struct err e = {0};
	char one[TASK_ID_SIZE], two[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &first, TASK_BUILD, one);
	gate_wait(&g, 1);
	submit(f, &second, TASK_BUILD, two); /* the lane runs one at a time */
	assert_true(tasks_cancel(f->tasks, two, &e));
	assert_int_equal(second.ended, 1);
	assert_int_equal(second.freed, 1);
	expect_state(f, two, "cancelled");
	gate_open(&g);
	expect_state(f, one, "succeeded");
}

static void the_control_lane_runs_several_at_once(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w[4] = {{.gate = &g}, {.gate = &g}, {.gate = &g}, {.gate = &g}};
	char id[4][TASK_ID_SIZE];

	gate_init(&g);
	for (int i = 0; i < 4; i++)
		submit(f, &w[i], TASK_CONTROL, id[i]);
	gate_wait(&g, 4); /* hangs if they ran one after another */
	gate_open(&g);
	for (int i = 0; i < 4; i++)
		expect_state(f, id[i], "succeeded");
}

static void it_is_finished_for_others_only_after_its_end_was_handled(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w = {.end_gate = &g};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &w, TASK_CONTROL, id);
	gate_wait(&g, 1);
	assert_true(tasks_get(f->tasks, id, &t, &e));
	assert_string_equal(t.state, "running");
	db_task_done(&t);
	gate_open(&g);
	expect_state(f, id, "succeeded");
	assert_int_equal(w.ended, 1);
}

static void ids_sort_by_time_and_never_repeat(void **state)
{
	struct fixture *f = *state;
	struct task_spec spec = {.kind = "test", .message = ""};
	struct err e = {0};
	char last[TASK_ID_SIZE] = "", id[TASK_ID_SIZE];

	for (int i = 0; i < 100; i++) {
		if (i == 50) {
			close_all(f);
			open_all(f);
		}
		assert_true(tasks_record_done(f->tasks, &spec, id, &e));
		assert_true(strcmp(last, id) < 0);
		memcpy(last, id, sizeof(last));
	}
}

static void what_the_dead_daemon_was_doing_has_failed(void **state)
{
	struct fixture *f = *state;
	struct db_task row = {.id = (char *)"0123456789abcdef",
			      .kind = (char *)"switch",
			      .state = (char *)"running",
			      .step = (char *)"Compiling",
			      .message = (char *)""};
	struct db_task t = {0};
	struct err e = {0};

	assert_true(db_task_put(f->db, &row, &e));
	close_all(f);
	open_all(f);
	assert_true(tasks_get(f->tasks, "0123456789abcdef", &t, &e));
	assert_string_equal(t.state, "failed");
	assert_non_null(strstr(t.error_message, "daemon"));
	assert_string_equal(t.step, "Compiling");
	db_task_done(&t);
}

/* The row as a daemon that dies now leaves it. */
static void in_an_extra_step_the_row_says_done(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w = {.gate = &g};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE];

	gate_init(&g);
	submit_with_extras(f, &w, id);
	gate_wait(&g, 1);
	assert_true(db_task_get(f->db, id, &t, &e));
	assert_string_equal(t.state, "running");
	assert_true(t.done);
	db_task_done(&t);
	gate_open(&g);
	expect_end(f, id);
}

static void what_waits_or_runs_is_found_by_its_environment(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work first = {.gate = &g}, second = {0};
	struct task_spec spec = {.kind = "create",
				 .environment = "llm_m_cpu",
				 .lane = TASK_BUILD,
				 .steps = steps,
				 .step_count = 2,
				 .arg = &second};
	struct err e = {0};
	char one[TASK_ID_SIZE], two[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &first, TASK_BUILD, one); /* of no environment */
	gate_wait(&g, 1);
	assert_false(tasks_has_live(f->tasks, "create", "llm_m_cpu"));
	assert_true(tasks_submit(f->tasks, &spec, two, &e));
	assert_true(tasks_has_live(f->tasks, "create", "llm_m_cpu"));
	assert_false(tasks_has_live(f->tasks, "create", "llm_m_vulkan"));
	assert_false(tasks_has_live(f->tasks, "switch", "llm_m_cpu"));
	gate_open(&g);
	expect_state(f, two, "succeeded");
	assert_false(tasks_has_live(f->tasks, "create", "llm_m_cpu"));
}

static void a_change_wakes_viewers(void **state)
{
	struct fixture *f = *state;
	uint64_t seen = tasks_wait_change(f->tasks, 0, 0);

	assert_int_equal(tasks_wait_change(f->tasks, seen, 1), seen);
	tasks_touch(f->tasks);
	assert_true(tasks_wait_change(f->tasks, seen, WAIT_MS) > seen);
}

static bool nobody_waits(void *arg)
{
	return true;
}

static void a_waiter_that_left_is_let_go(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w = {.gate = &g};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &w, TASK_CONTROL, id);
	assert_true(tasks_wait(f->tasks, id, WAIT_MS, nobody_waits, NULL, &t, &e));
	assert_string_not_equal(t.state, "succeeded");
	db_task_done(&t);
	gate_open(&g);
	expect_state(f, id, "succeeded");
}

static void only_ids_have_a_log_path(void **state)
{
	struct fixture *f = *state;

	assert_null(tasks_log_path(f->tasks, ""));
	assert_null(tasks_log_path(f->tasks, "../../../etc/pass"));
	assert_null(tasks_log_path(f->tasks, "0123456789ABCDEF"));
	assert_null(tasks_log_path(f->tasks, "0123456789abcdef0"));
}

static void the_end_cancels_what_runs_and_what_waits(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work first = {.gate = &g}, second = {0};
	struct db_task t = {0};
	struct err e = {0};
	char one[TASK_ID_SIZE], two[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &first, TASK_BUILD, one);
	submit(f, &second, TASK_BUILD, two);
	gate_wait(&g, 1);
	gate_open(&g);
	tasks_free(f->tasks);
	f->tasks = NULL;
	assert_int_equal(first.freed, 1);
	assert_int_equal(second.freed, 1);
	assert_true(db_task_get(f->db, two, &t, &e));
	assert_true(strcmp(t.state, "cancelled") == 0 || strcmp(t.state, "succeeded") == 0);
	db_task_done(&t);
}

static void a_stop_ends_builds_but_lets_loads_go_on(void **state)
{
	struct fixture *f = *state;
	struct gate build_gate, load_gate;
	struct work build = {.gate = &build_gate}, load = {.gate = &load_gate};
	struct task_spec late = {.kind = "load", .lane = TASK_CONTROL};
	struct db_task t = {0};
	struct err e = {0};
	char one[TASK_ID_SIZE], two[TASK_ID_SIZE], none[TASK_ID_SIZE];

	gate_init(&build_gate);
	gate_init(&load_gate);
	submit(f, &build, TASK_BUILD, one);
	submit(f, &load, TASK_CONTROL, two);
	gate_wait(&build_gate, 1);
	gate_wait(&load_gate, 1);
	tasks_stop(f->tasks, false);
	gate_open(&build_gate);
	gate_open(&load_gate);
	assert_true(tasks_wait(f->tasks, one, WAIT_MS, NULL, NULL, &t, &e));
	assert_string_equal(t.state, "cancelled");
	db_task_done(&t);
	assert_true(tasks_wait(f->tasks, two, WAIT_MS, NULL, NULL, &t, &e));
	assert_string_equal(t.state, "succeeded");
	db_task_done(&t);
	assert_false(tasks_submit(f->tasks, &late, none, &e));
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
}

static void logs_of_forgotten_tasks_go_also_while_it_runs(void **state)
{
	struct fixture *f = *state;
	char *left = tasks_log_path(f->tasks, "0123456789abcdef");
	char *kept = NULL;
	struct work w = {0};
	char id[TASK_ID_SIZE];

	test_write(left, "x", 1);
	for (int i = 0; i < 50; i++) {
		submit(f, &w, TASK_BUILD, id);
		expect_state(f, id, "succeeded");
	}
	kept = tasks_log_path(f->tasks, id);
	tasks_free(f->tasks); /* the sweeping is done after the end is seen */
	f->tasks = NULL;
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
	free(left);
	free(kept);
}

#ifdef SHUNT_FAULTS
static void an_end_that_cannot_be_saved_is_shown_and_saved_later(void **state)
{
	struct fixture *f = *state;
	struct gate g;
	struct work w = {.gate = &g}, next = {0};
	struct db_task t = {0};
	struct err e = {0};
	char id[TASK_ID_SIZE], other[TASK_ID_SIZE];

	gate_init(&g);
	submit(f, &w, TASK_BUILD, id);
	gate_wait(&g, 1);
	assert_int_equal(setenv("FAULT", "db.write:1:full", 1), 0);
	gate_open(&g);
	expect_state(f, id, "succeeded");
	assert_int_equal(unsetenv("FAULT"), 0);
	assert_true(db_task_get(f->db, id, &t, &e));
	assert_string_equal(t.state, "running"); /* so it was not saved */
	db_task_done(&t);
	assert_false(tasks_cancel(f->tasks, id, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);

	submit(f, &next, TASK_BUILD, other);
	expect_state(f, other, "succeeded");
	err_clear(&e);
	assert_true(db_task_get(f->db, id, &t, &e));
	assert_string_equal(t.state, "succeeded");
	db_task_done(&t);
	assert_int_equal(w.freed, 1);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_task_runs_to_its_end),
		TEST(a_snapshot_shows_the_step_it_is_in),
		TEST(a_failure_undoes_earlier_steps_and_says_why),
		TEST(cancel_reaches_a_running_step),
		TEST(an_extra_step_that_fails_is_left_out),
		TEST(a_cancelled_extra_step_leaves_what_was_asked_for),
		TEST(a_queued_task_is_cancelled_at_once),
		TEST(the_control_lane_runs_several_at_once),
		TEST(it_is_finished_for_others_only_after_its_end_was_handled),
		TEST(ids_sort_by_time_and_never_repeat),
		TEST(what_the_dead_daemon_was_doing_has_failed),
		TEST(in_an_extra_step_the_row_says_done),
		TEST(what_waits_or_runs_is_found_by_its_environment),
		TEST(a_change_wakes_viewers),
		TEST(a_waiter_that_left_is_let_go),
		TEST(only_ids_have_a_log_path),
		TEST(the_end_cancels_what_runs_and_what_waits),
		TEST(a_stop_ends_builds_but_lets_loads_go_on),
		TEST(logs_of_forgotten_tasks_go_also_while_it_runs),
#ifdef SHUNT_FAULTS
		TEST(an_end_that_cannot_be_saved_is_shown_and_saved_later),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
