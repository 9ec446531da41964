/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_fixture.h"

static void the_same_inputs_give_the_same_digest_anywhere(void **state)
{
	struct fixture *f = *state;
	CLEANUP(recipe_free) struct recipe *one = recipe(f->engine, NULL);
	char *elsewhere = fs_join(f->dir, "moved");

	engine_free(f->engine);
	assert_int_equal(rename(f->source, elsewhere), 0);
	free(f->source);
	f->source = elsewhere;
	f->engine = open_engine(f, "x86-64-v3", 7);
	CLEANUP(recipe_free) struct recipe *two = recipe(f->engine, NULL);

	assert_string_equal(one->digest, two->digest);
	assert_string_equal(one->inputs, two->inputs);
	assert_null(strstr(one->inputs, "=/"));
	assert_null(strstr(one->inputs, f->dir));
}

static void each_input_changes_the_digest(void **state)
{
	struct fixture *f = *state;
	CLEANUP(engine_free) struct engine *v2 = open_engine(f, "x86-64-v2", 1);
	CLEANUP(recipe_free) struct recipe *base = recipe(f->engine, NULL);
	CLEANUP(recipe_free) struct recipe *other_cpu = recipe(v2, NULL);
	CLEANUP(recipe_free) struct recipe *module = recipe(f->engine, "vulkan");
	CLEANUP(recipe_free) struct recipe *module_v2 = recipe(v2, "vulkan");

	control(f, "{\"step_seconds\": 0}");
	CLEANUP(recipe_free) struct recipe *other_source = recipe(f->engine, NULL);

	assert_string_not_equal(base->digest, other_cpu->digest);
	assert_string_not_equal(base->digest, other_source->digest);
	assert_string_not_equal(base->digest, module->digest);
	assert_string_equal(module->digest, module_v2->digest); /* no CPU code in it */
	assert_non_null(strstr(module->inputs, "toolkit=glslc 1, headers 2\n"));
	assert_non_null(strstr(base->inputs, "arg=-DGGML_AVX2=ON\n"));
	assert_non_null(strstr(base->inputs, "compiler="));
}

/* A toolkit from pip is two pieces, which the module's digest has in it. */
static void what_is_fetched_is_in_the_digest(void **state)
{
	struct fixture *f = *state;
	CLEANUP(recipe_free) struct recipe *one = NULL;
	CLEANUP(recipe_free) struct recipe *other = NULL;
	struct toolkit tk = {.compiler = "nvcc 13.0.88", .arch = "90-real"};
	struct err e = {0};

	assert_true(engine_recipe(f->engine, backend_find("cuda"), &tk, &one, &e));
	assert_string_equal(one->libraries, "");
	assert_int_equal(engine_missing_bytes(f->engine, f->store, one), 0);
	tk.fetched = true;
	assert_true(engine_recipe(f->engine, backend_find("cuda"), &tk, &other, &e));
	assert_string_not_equal(one->digest, other->digest);
	assert_non_null(strstr(other->inputs, other->libraries));
	assert_non_null(strstr(other->inputs, other->compiler));
	assert_non_null(strstr(other->inputs, "\nstub="));
	assert_non_null(strstr(other->inputs, "arg=-DCMAKE_CUDA_ARCHITECTURES=90-real\n"));
	assert_int_equal(engine_missing_bytes(f->engine, f->store, other), 525367103);
}

static void made_anew_it_has_another_digest(void **state)
{
	struct fixture *f = *state;
	CLEANUP(recipe_free) struct recipe *once = recipe(f->engine, NULL);
	CLEANUP(recipe_free) struct recipe *again = recipe(f->engine, NULL);

	recipe_anew(again, "1a20fc0392300000");
	assert_string_not_equal(once->digest, again->digest);
	assert_string_equal(again->inputs + strlen(once->inputs), "anew=1a20fc0392300000\n");
}

static void the_cpu_backend_is_the_base(void **state)
{
	struct fixture *f = *state;
	CLEANUP(recipe_free) struct recipe *base = recipe(f->engine, NULL);
	CLEANUP(recipe_free) struct recipe *cpu = recipe(f->engine, "cpu");

	assert_string_equal(base->digest, cpu->digest);
	assert_string_equal(cpu->kind, "base");
}

static void an_unknown_cpu_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct engine_settings s = {
		.data_dir = SOURCE_DIR, .cpu = "z80", .cache_dir = f->dir};
	struct engine *en = NULL;
	struct err e = {0};

	assert_false(engine_open(&s, &en, &e));
	assert_non_null(strstr(e.msg, "engine_cpu 'z80'"));
	assert_non_null(strstr(e.hint, "native"));
}

static void a_missing_tool_is_named_with_its_package(void **state)
{
	struct fixture *f = *state;
	struct recipe *r = NULL;
	struct err e = {0};

	assert_int_equal(setenv("PATH", f->dir, 1), 0);
	assert_false(engine_recipe(f->engine, NULL, NULL, &r, &e));
	assert_int_equal(e.kind, ERR_TOOLKIT);
	assert_non_null(strstr(e.msg, "cmake, ninja, C compiler, C++ compiler"));
	assert_true(strstr(e.hint, "cmake") != NULL || strstr(e.hint, "install") != NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_inputs_give_the_same_digest_anywhere),
		TEST(each_input_changes_the_digest),
		TEST(what_is_fetched_is_in_the_digest),
		TEST(made_anew_it_has_another_digest),
		TEST(the_cpu_backend_is_the_base),
		TEST(an_unknown_cpu_is_refused),
		TEST(a_missing_tool_is_named_with_its_package),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
