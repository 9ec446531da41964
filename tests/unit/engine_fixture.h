/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests of recipes and of builds share: the fake cmake and ninja before the real PATH, a
 * copy of the fake source, a store. */

#include "test.h"

#include "base/fs.h"
#include "engine/engine.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "." /* the build says where; alone it only has to compile */
#endif

/* A store, a copy of the fake source, an engine that builds it. */
struct fixture {
	char *dir;
	char *old_path;
	char *source;
	struct store *store;
	struct engine *engine;
};

TEST_MAYBE static struct engine *open_engine(const struct fixture *f, const char *cpu, int jobs)
{
	CLEANUP(free) char *cache = fs_join(f->dir, "cache");
	const struct engine_settings s = {.data_dir = SOURCE_DIR,
					  .source = f->source,
					  .cpu = cpu,
					  .jobs = jobs,
					  .hurry = true,
					  .cache_dir = cache};
	struct engine *en = NULL;
	struct err e = {0};

	if (!engine_open(&s, &en, &e))
		fail_msg("%s", e.msg);
	return en;
}

TEST_MAYBE static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	CLEANUP(free) char *path = NULL;
	struct err e = {0};

	f->dir = test_dir_new();
	f->source = fs_join(f->dir, "source");
	f->old_path = mem_dup(getenv("PATH"));
	path = mem_printf(SOURCE_DIR "/tests/fakes:%s", f->old_path);
	assert_int_equal(setenv("PATH", path, 1), 0);
	if (!fs_copy_tree(SOURCE_DIR "/tests/fakes/engine-source", f->source, &e) ||
	    !store_open(test_path(f->dir, "store"), "0123456789abcdef", &f->store, &e))
		fail_msg("%s", e.msg);
	f->engine = open_engine(f, "x86-64-v3", 1);
	*state = f;
	return 0;
}

TEST_MAYBE static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)setenv("PATH", f->old_path, 1);
	engine_free(f->engine);
	store_free(f->store);
	test_dir_free(f->dir);
	free(f->source);
	free(f->old_path);
	free(f);
	return 0;
}

TEST_MAYBE static void control(const struct fixture *f, const char *json)
{
	test_write(test_path(f->source, "fake-build.json"), json, strlen(json));
}

TEST_MAYBE static struct recipe *recipe(struct engine *en, const char *backend)
{
	const struct toolkit tk = {.compiler = "glslc 1, headers 2"};
	const struct backend *b = backend ? backend_find(backend) : NULL;
	struct recipe *r = NULL;
	struct err e = {0};

	if (!engine_recipe(en, b, b ? &tk : NULL, &r, &e))
		fail_msg("%s", e.msg);
	return r;
}
