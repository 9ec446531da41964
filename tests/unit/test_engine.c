/* SPDX-License-Identifier: Apache-2.0 */
/* Builds, with the fake cmake and ninja. */
#include <sys/stat.h>
#include <time.h>

#include "build_fixture.h"

/* --- builds ----------------------------------------------------------------------------------- */

static void a_build_is_published_with_its_log_and_progress(void **state)
{
	struct fixture *f = *state;
	CLEANUP(recipe_free) struct recipe *base = recipe(f->engine, NULL);
	CLEANUP(recipe_free) struct recipe *module = recipe(f->engine, "vulkan");
	CLEANUP(seen_done) struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	CLEANUP(seen_done) struct seen again = {.lock = PTHREAD_MUTEX_INITIALIZER};
	CLEANUP(free) char *piece = store_path(f->store, base->digest);
	CLEANUP(free) char *other = store_path(f->store, module->digest);
	struct stat st = {0};
	struct err e = {0};

	if (!build(f, base, &s, &e))
		fail_msg("%s", e.msg);
	assert_true(store_check(f->store, base->digest, &e));
	assert_int_equal(access(test_path(piece, "llama-server"), X_OK), 0);
	assert_int_equal(lstat(test_path(piece, "libggml-base.so.0"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_non_null(strstr(s.log.data, "patching file ggml/src/ggml-vulkan/ggml-vulkan.cpp"));
	assert_non_null(strstr(s.log.data, "[12/12] Linking"));
	assert_string_equal(s.title, "Publishing");
	assert_false(s.backwards);
	assert_true(s.fraction > 0.98);
	assert_true(build(f, base, &again, &e));
	assert_null(again.log.data); /* nothing had to be done */
	if (!build(f, module, &again, &e))
		fail_msg("%s", e.msg);
	assert_true(fs_exists(test_path(other, "libggml-vulkan.so")));
	assert_false(fs_exists(test_path(other, "libggml-cpu.so")));
}

static void build_fails(struct fixture *f, const char *json, enum err_kind kind, const char *why,
			const char *hint)
{
	CLEANUP(seen_done) struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct err e = {0};

	control(f, json);
	CLEANUP(recipe_free) struct recipe *r = recipe(f->engine, NULL);
	assert_false(build(f, r, &s, &e));
	if (e.kind != kind || strstr(e.msg, why) == NULL || strstr(e.hint, hint) == NULL)
		fail_msg("%s: '%s' (%s)", err_name(e.kind), e.msg, e.hint);
	store_is_empty(f);
}

static void each_failure_is_named_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	build_fails(f, "{\"configure\": \"fail\"}", ERR_BUILD,
		    "configuring llama.cpp failed: CMake Error at CMakeLists.txt:12 (message):; "
		    "fake: this cannot be configured",
		    "");
	build_fails(f, "{\"compile\": \"error\"}", ERR_BUILD,
		    "compiling llama.cpp failed: src/src/llama.cpp:7:3: error: 'fake' was not", "");
	build_fails(f, "{\"compile\": \"no-space\"}", ERR_NO_SPACE, "No space left", "free some");
	build_fails(f, "{\"compile\": \"no-memory\"}", ERR_BUILD, "Killed", "build_jobs");
	build_fails(f, "{\"missing\": \"llama-bench\"}", ERR_BUILD, "made no 'llama-bench'", "");
	build_fails(f, "{\"compile\": \"runpath\"}", ERR_BUILD, "build/bin', not beside", "");
	build_fails(f, "{\"compile\": \"runpath-away\"}", ERR_BUILD,
		    "looks for libraries in '$ORIGIN/../lib', not beside", "");
	build_fails(f, "{\"compile\": \"stage-path\"}", ERR_BUILD, "contains the path", "");
}

static void a_patch_that_does_not_fit_is_named(void **state)
{
	struct fixture *f = *state;

	test_write(test_path(f->source, "ggml/src/ggml-vulkan/ggml-vulkan.cpp"), "int other;\n",
		   11);
	build_fails(f, "{}", ERR_BUILD, "patch 'patches/vulkan-headers.patch' does not fit",
		    "engine_source");
}

/* The engine's data with one number of engine.ini changed. */
static void change_need(struct fixture *f, const char *from, const char *to)
{
	CLEANUP(free) char *data = fs_join(f->dir, "data");
	CLEANUP(free) char *engine = fs_join(data, "engine");
	CLEANUP(free) char *ini = fs_join(engine, "0.3.36/engine.ini");
	CLEANUP(free) char *text = NULL;
	CLEANUP(buf_done) struct buf b = {0};
	const struct engine_settings s = {
		.data_dir = data, .source = f->source, .cpu = "x86-64-v3", .cache_dir = f->dir};
	const char *at = NULL;

	assert_true(fs_remove_tree(data, NULL));
	assert_true(fs_copy_tree(SOURCE_DIR "/engine", engine, NULL));
	text = test_read(ini, NULL);
	at = strstr(text, from);
	assert_non_null(at);
	buf_printf(&b, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	test_write(ini, b.data, b.len);
	engine_free(f->engine);
	f->engine = NULL;
	assert_true(engine_open(&s, &f->engine, NULL));
}

static void too_little_disk_or_memory_is_said_before_anything_starts(void **state)
{
	struct fixture *f = *state;

	change_need(f, "\ndisk   = 700", "\ndisk   = 100000000");
	build_fails(f, "{}", ERR_NO_SPACE, "the build needs 100000000 MiB in '", "free some space");
	change_need(f, "\nmemory = 1300", "\nmemory = 100000000");
	build_fails(f, "{}", ERR_NO_SPACE, "100000000 MiB of memory for one compiler", "unload");
}

/* --- cancel and sharing ----------------------------------------------------------------------- */

static void cancelling_ends_the_compilers_within_two_seconds(void **state)
{
	struct fixture *f = *state;
	CLEANUP(seen_done) struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	CLEANUP(free) char *hanging = NULL;
	struct err e = {0};

	control(f, "{\"compile\": \"hang\"}");
	CLEANUP(recipe_free) struct recipe *r = recipe(f->engine, NULL);
	hanging = mem_printf("%s/.stage-%s/hanging", store_dir(f->store), r->digest);
	s.stop_file = hanging;
	s.stop_line = "[6/12]";
	assert_false(build(f, r, &s, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	assert_true(clock_ms() - s.stopped_ms < 2000);
	store_is_empty(f);
	nobody_works_in(store_dir(f->store));
}

/* As another daemon's: its own store object, the same folder. Ends what the test waits for once the
 * builder says that it waits. */
static void a_build_waits_for_another_daemons(void **state)
{
	struct fixture *f = *state;
	CLEANUP(store_free) struct store *other = NULL;
	CLEANUP(recipe_free) struct recipe *r = recipe(f->engine, NULL);
	const struct timespec pause = {.tv_nsec = 5000000};
	struct store_stage *st = NULL;
	struct caller c;
	struct err e = {0};
	bool waiting = false;

	assert_true(store_open(store_dir(f->store), "fedcba9876543210", &other, &e));
	assert_true(store_stage_begin(other, r->digest, NULL, NULL, &st, &e));
	start(&c, f, r);
	for (int64_t end = clock_ms() + 20000; !waiting && clock_ms() < end;) {
		(void)pthread_mutex_lock(&c.seen.lock);
		waiting = strcmp(c.seen.title, "Waiting for another build") == 0;
		(void)pthread_mutex_unlock(&c.seen.lock);
		(void)nanosleep(&pause, NULL);
	}
	assert_true(waiting);
	test_write(test_path(store_stage_out(st), "theirs"), "x", 1);
	assert_true(store_stage_publish(st, "base", r->inputs, &e));
	join(&c);
	assert_true(c.ok);
	assert_null(c.seen.log.data); /* theirs was taken, nothing was built */
	caller_done(&c);
}

static void a_shared_build_goes_on_when_one_caller_leaves(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *gate = fs_join(f->dir, "gate");
	CLEANUP(free) char *json = mem_printf("{\"gate\": \"%s\"}", gate);
	struct caller one;
	struct caller two;

	control(f, json);
	CLEANUP(recipe_free) struct recipe *r = recipe(f->engine, NULL);
	start(&one, f, r);
	wait_for_line(&one, "[6/12]");
	start(&two, f, r);
	wait_for_line(&two, "[6/12]"); /* it joined, and has the log from the start */
	one.seen.stop = true;
	join(&one);
	assert_false(one.ok);
	assert_int_equal(one.err.kind, ERR_CANCELLED);
	test_write(gate, "", 0);
	join(&two);
	if (!two.ok)
		fail_msg("%s", two.err.msg);
	assert_int_equal(times(two.seen.log.data, "[1/12]"), 1);
	assert_true(store_has(f->store, r->digest));
	caller_done(&one);
	caller_done(&two);
}

static void when_the_last_caller_leaves_the_build_ends_and_can_start_again(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *gate = fs_join(f->dir, "gate");
	CLEANUP(free) char *json = mem_printf("{\"gate\": \"%s\"}", gate);
	CLEANUP(seen_done) struct seen s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct caller one;
	struct caller two;
	struct err e = {0};

	control(f, json);
	CLEANUP(recipe_free) struct recipe *r = recipe(f->engine, NULL);
	start(&one, f, r);
	start(&two, f, r);
	wait_for_line(&one, "[6/12]");
	wait_for_line(&two, "[6/12]");
	one.seen.stop = true;
	two.seen.stop = true;
	join(&one);
	join(&two);
	assert_false(one.ok || two.ok);
	store_is_empty(f);
	test_write(gate, "", 0);
	if (!build(f, r, &s, &e))
		fail_msg("%s", e.msg);
	caller_done(&one);
	caller_done(&two);
}

static void a_failure_reaches_every_caller(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *gate = fs_join(f->dir, "gate");
	CLEANUP(free)
	char *json = mem_printf("{\"gate\": \"%s\", \"compile\": \"error\"}", gate);
	struct caller all[3];

	control(f, json);
	CLEANUP(recipe_free) struct recipe *r = recipe(f->engine, NULL);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		start(&all[i], f, r);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		wait_for_line(&all[i], "[6/12]");
	test_write(gate, "", 0);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		join(&all[i]);
		assert_false(all[i].ok);
		assert_int_equal(all[i].err.kind, ERR_BUILD);
		assert_non_null(strstr(all[i].err.msg, "'fake' was not declared"));
		caller_done(&all[i]);
	}
	store_is_empty(f);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_build_is_published_with_its_log_and_progress),
		TEST(each_failure_is_named_and_leaves_nothing),
		TEST(a_patch_that_does_not_fit_is_named),
		TEST(too_little_disk_or_memory_is_said_before_anything_starts),
		TEST(cancelling_ends_the_compilers_within_two_seconds),
		TEST(a_build_waits_for_another_daemons),
		TEST(a_shared_build_goes_on_when_one_caller_leaves),
		TEST(when_the_last_caller_leaves_the_build_ends_and_can_start_again),
		TEST(a_failure_reaches_every_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
