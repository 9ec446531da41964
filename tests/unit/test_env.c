/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "env/env_priv.h"

#define NAME "llm_tiny_cpu"

/* A folder of its own, a database, a store with a base and a module in it, and an engine. */
struct fixture {
	char *dir;
	struct db *db;
	struct store *store;
	struct engine *engine;
	struct envs *envs;
	char base[65], module[65];
};

static void must(bool ok, const struct err *e)
{
	if (!ok)
		fail_msg("%s", e->msg);
}

static void put_piece(struct fixture *f, const char *digest, const char *kind,
		      const char *const *files)
{
	struct store_stage *stage = NULL;
	struct err e = {0};

	must(store_stage_begin(f->store, digest, NULL, NULL, &stage, &e), &e);
	for (; *files; files++) {
		test_write(test_path(store_stage_out(stage), *files), "x", 1);
		assert_int_equal(chmod(test_path(store_stage_out(stage), *files), 0755), 0);
	}
	must(store_stage_publish(stage, kind, "a=b\n", &e), &e);
}

static void reopen(struct fixture *f)
{
	static const char *const worker_env[] = {"GGML_VK_VISIBLE_DEVICES=0", "HOME=/nowhere",
						 NULL};
	struct envs_settings s = {.db = f->db,
				  .store = f->store,
				  .engine = f->engine,
				  .envs_dir = test_path(f->dir, "envs"),
				  .cache_dir = test_path(f->dir, "cache"),
				  .worker_env = worker_env,
				  .self = "/proc/self/exe"};
	struct err e = {0};

	envs_free(f->envs);
	f->envs = NULL;
	must(envs_open(&s, &f->envs, &e), &e);
}

static int setup(void **state)
{
	static const char *const base[] = {"llama-server", "llama-bench", "libllama.so.0", NULL};
	static const char *const module[] = {"libggml-vulkan.so", NULL};
	struct fixture *f = mem_alloc(sizeof(*f));
	struct engine_settings es = {.data_dir = SOURCE_DIR, .cpu = "native"};
	struct err e = {0};

	f->dir = test_dir_new();
	es.cache_dir = f->dir;
	memset(f->base, 'b', 64);
	memset(f->module, 'd', 64);
	must(db_open(test_path(f->dir, "shunt.db"), &f->db, &e), &e);
	must(store_open(test_path(f->dir, "store"), "0123456789abcdef", &f->store, &e), &e);
	must(engine_open(&es, &f->engine, &e), &e);
	put_piece(f, f->base, "base", base);
	put_piece(f, f->module, "module", module);
	reopen(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	envs_free(f->envs);
	engine_free(f->engine);
	store_free(f->store);
	db_free(f->db);
	test_dir_free(f->dir);
	free(f);
	return 0;
}

/* Saves a row in a state, as an earlier run would have left it. */
static void put_row(struct fixture *f, const char *name, const char *backend, const char *state)
{
	bool gpu = strcmp(backend, "cpu") != 0;
	struct db_env row = {.name = mem_dup(name),
			     .backend = mem_dup(backend),
			     .state = mem_dup(state),
			     .base_digest = mem_dup(f->base),
			     .module_digest = gpu ? mem_dup(f->module) : NULL,
			     .device = mem_dup(gpu ? "Vulkan0" : "none"),
			     .created = 1};
	struct err e = {0};

	must(db_env_put(f->db, &row, &e), &e);
	db_env_done(&row);
}

static void expect_state(struct fixture *f, const char *name, const char *state, const char *reason)
{
	struct db_env row = {0};
	struct err e = {0};

	must(db_env_get(f->db, name, &row, &e), &e);
	assert_string_equal(row.state, state);
	if (reason)
		assert_string_equal(row.reason, reason);
	else
		assert_null(row.reason);
	db_env_done(&row);
}

static bool is_ready(struct fixture *f, const char *model, const char *backend)
{
	CLEANUP(free) char *name = env_name(model, backend);

	return envs_ready(f->envs, name, backend_find(backend), NULL);
}

/* --- states ------------------------------------------------------------- */

static void an_environment_is_not_ready_before_it_is_verified(void **state)
{
	struct fixture *f = *state;
	struct db_env row = {0};
	struct err e = {0};

	put_row(f, NAME, "cpu", "building");
	must(db_env_get(f->db, NAME, &row, &e), &e);
	assert_false(env_set_state(f->db, &row, ENV_READY, NULL, &e));
	assert_string_equal(e.msg, "environment '" NAME "' cannot go from building to ready");
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(row.state, "building");
	db_env_done(&row);
	expect_state(f, NAME, "building", NULL);
}

static void a_change_of_state_is_saved_with_its_reason_and_an_event(void **state)
{
	struct fixture *f = *state;
	struct db_event *events = NULL;
	struct db_env row = {0};
	struct err e = {0};
	size_t count = 0;

	put_row(f, NAME, "cpu", "building");
	must(db_env_get(f->db, NAME, &row, &e), &e);
	must(env_set_state(f->db, &row, ENV_FAILED, "no compiler", &e), &e);
	expect_state(f, NAME, "failed", "no compiler");
	must(env_set_state(f->db, &row, ENV_BUILDING, NULL, &e), &e);
	expect_state(f, NAME, "building", NULL);
	must(db_event_list(f->db, 0, 10, &events, &count, &e), &e);
	assert_int_equal(count, 2);
	assert_string_equal(events[0].subject, NAME);
	assert_string_equal(events[0].text, "failed: no compiler");
	assert_string_equal(events[1].text, "building");
	db_events_free(events, count);
	db_env_done(&row);
}

static void a_first_token_makes_built_ready(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	put_row(f, NAME, "cpu", "built");
	assert_false(is_ready(f, "tiny", "cpu"));
	must(envs_mark_ready(f->envs, NAME, &e), &e);
	assert_true(is_ready(f, "tiny", "cpu"));
	must(envs_mark_ready(f->envs, NAME, &e), &e);
	put_row(f, NAME, "cpu", "failed");
	assert_false(envs_mark_ready(f->envs, NAME, &e));
}

static void the_backend_of_the_row_is_the_truth(void **state)
{
	struct fixture *f = *state;

	put_row(f, "llm_tiny_cuda", "vulkan", "ready"); /* after a rebuild */
	assert_false(is_ready(f, "tiny", "cuda"));
	assert_true(envs_ready(f->envs, "llm_tiny_cuda", backend_find("vulkan"), NULL));
	assert_false(is_ready(f, "tiny", "vulkan")); /* that one would be llm_tiny_vulkan */
}

static void two_quantisations_share_one(void **state)
{
	struct fixture *f = *state;
	struct db_env row = {0};

	put_row(f, NAME, "cpu", "ready");
	assert_true(is_ready(f, "tiny.Q8_0", "cpu"));
	assert_true(envs_ready(f->envs, NAME, backend_find("cpu"), &row));
	assert_string_equal(row.name, NAME);
	db_env_done(&row);
}

/* --- recovery ----------------------------------------------------------- */

static void what_was_being_built_has_failed(void **state)
{
	struct fixture *f = *state;

	put_row(f, NAME, "cpu", "building");
	put_row(f, "llm_other_cpu", "cpu", "ready");
	reopen(f);
	expect_state(f, NAME, "failed", "the daemon stopped during the build");
	expect_state(f, "llm_other_cpu", "ready", NULL);
}

static void missing_pieces_make_it_failed(void **state)
{
	struct fixture *f = *state;

	put_row(f, "llm_tiny_vulkan", "vulkan", "ready");
	assert_true(is_ready(f, "tiny", "vulkan"));
	memset(f->module, 'e', 64);
	put_row(f, "llm_tiny_vulkan", "vulkan", "ready");
	assert_false(is_ready(f, "tiny", "vulkan"));
	reopen(f);
	expect_state(f, "llm_tiny_vulkan", "failed", "its pieces are no longer in the store");
}

static void plans_and_leftovers_go(void **state)
{
	struct fixture *f = *state;
	struct db_env row = {0};
	struct err e = {0};

	put_row(f, NAME, "cpu", "planned");
	assert_int_equal(mkdir(test_path(f->dir, "envs/.check-x"), 0700), 0);
	reopen(f);
	assert_false(db_env_get(f->db, NAME, &row, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(access(test_path(f->dir, "envs/.check-x"), F_OK), -1);
}

static void the_folder_shows_what_is_inside(void **state)
{
	struct fixture *f = *state;
	char target[4096] = "";
	char *facts;

	put_row(f, "llm_tiny_vulkan", "vulkan", "ready");
	reopen(f); /* makes it again where it is missing */
	assert_true(readlink(test_path(f->dir, "envs/llm_tiny_vulkan/lib/libggml-vulkan.so"),
			     target, sizeof(target) - 1) > 0);
	assert_non_null(strstr(target, f->module));
	assert_int_equal(access(test_path(f->dir, "envs/llm_tiny_vulkan/bin/llama-server"), X_OK),
			 0);
	assert_int_equal(access(test_path(f->dir, "envs/llm_tiny_vulkan/lib/libllama.so.0"), R_OK),
			 0);
	assert_int_equal(access(test_path(f->dir, "envs/llm_tiny_vulkan/bin/manifest.json"), F_OK),
			 -1);
	facts = test_read(test_path(f->dir, "envs/llm_tiny_vulkan/env.json"), NULL);
	assert_non_null(strstr(facts, "\"backend\": \"vulkan\""));
	assert_non_null(strstr(facts, f->module));
	free(facts);
}

/* --- running ------------------------------------------------------------ */

static bool has(const struct strv *variables, const char *setting)
{
	for (const char *const *p = strv_items(variables); *p; p++) {
		if (strcmp(*p, setting) == 0)
			return true;
	}
	return false;
}

static void a_worker_gets_pieces_caches_and_its_own_variables(void **state)
{
	struct fixture *f = *state;
	struct env_run run = {0};
	struct err e = {0};
	char *cache = mem_printf("MESA_SHADER_CACHE_DIR=%s/cache/mesa", f->dir);
	char *config = mem_printf("XDG_CONFIG_HOME=%s/cache/home/.config", f->dir);
	char *module = NULL;
	size_t homes = 0;

	put_row(f, "llm_tiny_vulkan", "vulkan", "ready");
	must(envs_run_facts(f->envs, "llm_tiny_vulkan", &run, &e), &e);
	assert_string_equal(run.device, "Vulkan0");
	assert_int_equal(access(run.module, F_OK), 0);
	assert_int_equal(access(test_path(run.base_dir, "llama-server"), X_OK), 0);
	module = mem_printf("GGML_BACKEND_PATH=%s", run.module);
	assert_true(has(&run.environ, module));
	assert_true(has(&run.environ, cache));
	assert_true(has(&run.environ, "GGML_VK_VISIBLE_DEVICES=0"));
	assert_true(has(&run.environ, config));
	assert_true(has(&run.environ, "HOME=/nowhere"));
	for (const char *const *p = strv_items(&run.environ); *p; p++)
		homes += strncmp(*p, "HOME=", 5) == 0;
	assert_int_equal(homes, 1); /* ours in the place of the inherited one */
	env_run_done(&run);
	free(module);
	free(config);
	free(cache);
}

static void the_cpu_runs_on_no_device_and_has_no_module(void **state)
{
	struct fixture *f = *state;
	struct env_run run = {0};
	struct err e = {0};

	put_row(f, NAME, "cpu", "built");
	must(envs_run_facts(f->envs, NAME, &run, &e), &e);
	assert_string_equal(run.device, "none");
	assert_null(run.module);
	for (const char *const *p = strv_items(&run.environ); *p; p++)
		assert_int_not_equal(strncmp(*p, "GGML_BACKEND_PATH", 17), 0);
	env_run_done(&run);
}

static void what_failed_does_not_run(void **state)
{
	struct fixture *f = *state;
	struct env_run run = {0};
	struct err e = {0};

	put_row(f, NAME, "cpu", "failed");
	assert_false(envs_run_facts(f->envs, NAME, &run, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "is failed, not ready"));
	err_clear(&e);
	assert_false(envs_run_facts(f->envs, "llm_nothing_cpu", &run, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

/* --- removal ------------------------------------------------------------ */

static bool rooted(struct fixture *f, const char *digest)
{
	char *path = mem_printf("%s/store/roots/0123456789abcdef/%s", f->dir, digest);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static bool same_text(void *arg, const char *digest)
{
	return strcmp(arg, digest) == 0;
}

static void removal_takes_folder_and_row_and_gc_the_roots_that_nobody_needs(void **state)
{
	struct fixture *f = *state;
	struct db_env row = {0};
	struct err e = {0};

	put_row(f, "llm_tiny_vulkan", "vulkan", "ready");
	put_row(f, NAME, "cpu", "ready");
	reopen(f);
	assert_true(rooted(f, f->base) && rooted(f, f->module));
	must(envs_remove(f->envs, "llm_tiny_vulkan", NULL, &e), &e);
	assert_false(db_env_get(f->db, "llm_tiny_vulkan", &row, &e));
	assert_int_equal(access(test_path(f->dir, "envs/llm_tiny_vulkan"), F_OK), -1);
	err_clear(&e);
	must(envs_drop_roots(f->envs, same_text, f->module, &e), &e);
	assert_true(rooted(f, f->module)); /* a worker runs on it */
	must(envs_drop_roots(f->envs, NULL, NULL, &e), &e);
	assert_true(rooted(f, f->base)); /* the cpu's needs it */
	assert_false(rooted(f, f->module));
}

static void what_is_in_use_stays(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	put_row(f, NAME, "cpu", "ready");
	assert_false(envs_remove(f->envs, NAME, "tiny", &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "environment '" NAME "' is in use by model 'tiny'");
	err_clear(&e);
	assert_true(env_try_claim(f->envs, NAME));
	assert_false(envs_remove(f->envs, NAME, NULL, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	env_release(f->envs, NAME);
	err_clear(&e);
	assert_false(envs_remove(f->envs, "llm_nothing_cpu", NULL, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	expect_state(f, NAME, "ready", NULL);
}

/* --- one at a time ------------------------------------------------------ */

static void *claim(void *arg)
{
	struct fixture *f = arg;
	struct err e = {0};

	return env_claim(f->envs, NAME, NULL, NULL, &e) ? f : NULL;
}

static bool yes(void *arg)
{
	return true;
}

static void the_second_waits_for_the_first(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	void *got = NULL;
	pthread_t second;

	assert_true(env_try_claim(f->envs, NAME));
	assert_true(env_try_claim(f->envs, "llm_other_cpu"));
	assert_false(env_claim(f->envs, NAME, yes, NULL, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	assert_int_equal(pthread_create(&second, NULL, claim, f), 0);
	env_release(f->envs, NAME);
	assert_int_equal(pthread_join(second, &got), 0);
	assert_ptr_equal(got, f);
	assert_false(env_try_claim(f->envs, NAME));
	env_release(f->envs, NAME);
	env_release(f->envs, "llm_other_cpu");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_environment_is_not_ready_before_it_is_verified),
		T(a_change_of_state_is_saved_with_its_reason_and_an_event),
		T(a_first_token_makes_built_ready),
		T(the_backend_of_the_row_is_the_truth),
		T(two_quantisations_share_one),
		T(what_was_being_built_has_failed),
		T(missing_pieces_make_it_failed),
		T(plans_and_leftovers_go),
		T(the_folder_shows_what_is_inside),
		T(a_worker_gets_pieces_caches_and_its_own_variables),
		T(the_cpu_runs_on_no_device_and_has_no_module),
		T(what_failed_does_not_run),
		T(removal_takes_folder_and_row_and_gc_the_roots_that_nobody_needs),
		T(what_is_in_use_stays),
		T(the_second_waits_for_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
