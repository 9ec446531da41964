/* SPDX-License-Identifier: Apache-2.0 */
/* Builds that are idle, and that are interrupted, with the fake cmake and ninja. */
#include <sched.h>

#include "base/proc_priv.h"
#include "build_fixture.h"

/* A grandchild of ours (its guard is between): is it idle? */
static void look_at(void *arg, pid_t pid)
{
	bool *idle = arg;
	struct proc_stat program;
	struct proc_stat guard;

	if (proc_stat(pid, &program) && proc_stat(program.parent, &guard) &&
	    guard.parent == getpid() && sched_getscheduler(pid) == SCHED_IDLE)
		*idle = sched_getscheduler(program.parent) == SCHED_OTHER;
}

static void compilers_take_the_time_that_nobody_else_wants(void **state)
{
	struct fixture *f = *state;
	CLEANUP(recipe_free) struct recipe *r = NULL;
	const struct engine_settings s = {.data_dir = SOURCE_DIR,
					  .source = f->source,
					  .cpu = "x86-64-v3",
					  .cache_dir = f->dir};
	struct caller c;
	bool idle = false;

	engine_free(f->engine);
	f->engine = NULL;
	assert_true(engine_open(&s, &f->engine, NULL));
	r = recipe(f->engine, NULL);
	start(&c, f, r);
	for (int64_t end = clock_ms() + 20000; !idle && clock_ms() < end;)
		proc_each(look_at, &idle);
	c.seen.stop = true;
	join(&c);
	caller_done(&c);
	assert_true(idle);
}

/* Builds half way, until the engine is stopped; a new engine goes on. The digest of what is left in
 * the store is the recipe's. */
static struct recipe *interrupt(struct fixture *f, const char *gate)
{
	CLEANUP(free) char *json = mem_printf("{\"gate\": \"%s\"}", gate);
	struct recipe *r = NULL;
	struct caller c;

	control(f, json);
	r = recipe(f->engine, NULL);
	start(&c, f, r);
	wait_for_line(&c, "[6/12]");
	engine_stop(f->engine);
	join(&c);
	assert_false(c.ok);
	assert_int_equal(c.err.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(c.err.msg, "the daemon stopped"));
	assert_non_null(strstr(c.err.hint, "goes on"));
	caller_done(&c);
	nobody_works_in(store_dir(f->store));
	engine_free(f->engine);
	f->engine = open_engine(f, "x86-64-v3", 1);
	test_write(gate, "", 0);
	return r;
}

/* Builds it, to success; the log. The caller frees. */
static char *build_again(struct fixture *f, const struct recipe *r)
{
	CLEANUP(seen_done) struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct err e = {0};

	if (!build(f, r, &s, &e))
		fail_msg("%s\n%s", e.msg, s.log.data);
	assert_true(store_check(f->store, r->digest, &e));
	assert_false(s.backwards);
	return buf_steal(&s.log);
}

/* In its stage. */
static const char *left(const struct fixture *f, const struct recipe *r, const char *name)
{
	CLEANUP(free) char *stage = mem_printf(".stage-%s", r->digest);

	return test_path(test_path(store_dir(f->store), stage), name);
}

static void an_interrupted_build_is_taken_up(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *gate = fs_join(f->dir, "gate");
	CLEANUP(recipe_free) struct recipe *r = interrupt(f, gate);
	CLEANUP(free) char *log = NULL;

	test_write(left(f, r, "tmp/cc1.s"), "half", 4);
	log = build_again(f, r);
	assert_non_null(strstr(log, "Taking up"));
	assert_null(strstr(log, "patching file"));
	assert_non_null(strstr(log, "[7/7] Linking"));
	assert_false(fs_exists(left(f, r, "")));
}

static void a_damaged_stage_is_begun_again_once(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *gate = fs_join(f->dir, "gate");
	CLEANUP(recipe_free) struct recipe *r = interrupt(f, gate);
	CLEANUP(free) char *log = NULL;

	test_write(left(f, r, "build/objects/3.o"), "", 0);
	log = build_again(f, r);
	assert_non_null(strstr(log, "Taking up"));
	assert_non_null(strstr(log, "file truncated"));
	assert_int_equal(times(log, "from the start"), 1);
	assert_non_null(strstr(log, "[12/12] Linking"));
}

static void a_stage_of_other_programs_is_not_taken_up(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *gate = fs_join(f->dir, "gate");
	CLEANUP(recipe_free) struct recipe *r = interrupt(f, gate);
	CLEANUP(free) char *log = NULL;
	const char *other = "any\n/opt/cmake/bin/cmake\n";

	test_write(left(f, r, "note"), other, strlen(other));
	log = build_again(f, r);
	assert_null(strstr(log, "Taking up"));
	assert_non_null(strstr(log, "[12/12] Linking"));
}

static void cancelling_a_resumed_build_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *gate = fs_join(f->dir, "gate");
	CLEANUP(recipe_free) struct recipe *r = interrupt(f, gate);
	CLEANUP(seen_done)
	struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER, .stop = true};
	struct err e = {0};

	assert_false(build(f, r, &s, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	store_is_empty(f);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(compilers_take_the_time_that_nobody_else_wants),
		TEST(an_interrupted_build_is_taken_up),
		TEST(a_damaged_stage_is_begun_again_once),
		TEST(a_stage_of_other_programs_is_not_taken_up),
		TEST(cancelling_a_resumed_build_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
