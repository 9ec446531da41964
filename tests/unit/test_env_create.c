/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "engine/python.h"
#include "env/env_priv.h"

#define NAME "llm_tiny_cpu"

/* --- an engine that builds at once, in the place of the real one -------- */

struct engine {
	const char *server; /* script that is the base's llama-server */
	const char *fails;  /* what engine_build says, NULL: it builds */
	enum err_kind kind; /* of that */
	int builds;         /* guarded by lock */
	pthread_mutex_t lock;
};

const char *engine_release(const struct engine *en)
{
	return "0.0.0";
}

void engine_check(struct engine *en, const struct backend *b, const char *self, const char *arch,
		  struct toolkit *ret)
{
	*ret = (struct toolkit){0};
}

int64_t engine_missing_bytes(struct engine *en, struct store *store, const struct recipe *r)
{
	return 0;
}

bool engine_provide(struct engine *en, struct store *store, const struct recipe *r,
		    const struct build_watch *w, struct err *e)
{
	return true;
}

bool engine_has_python(const struct engine *en)
{
	return true;
}

bool engine_python(struct engine *en, struct store *store, const struct python *p,
		   const struct build_watch *w, char **ret_digest, struct err *e)
{
	fail_msg("nobody asks for it");
	return false;
}

bool engine_find_python(struct engine *en, struct python *ret, struct err *e)
{
	fail_msg("nobody asks for it");
	return false;
}

bool engine_python_server(struct engine *en, struct store *store, const struct python *p,
			  const struct build_watch *w, char **ret_digest, struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE, "there is no python3 in PATH");
}

char *engine_python_launcher(const struct engine *en)
{
	return mem_dup("/nowhere");
}

char *engine_python_check(const struct engine *en)
{
	return NULL;
}

void recipe_free(struct recipe *r)
{
	if (r)
		free(r->inputs);
	free(r);
}

bool engine_recipe(struct engine *en, const struct backend *b, const struct toolkit *tk,
		   struct recipe **ret, struct err *e)
{
	struct recipe *r = mem_alloc(sizeof(*r));

	memset(r->digest, b ? 'd' : 'b', 64);
	r->kind = b ? "module" : "base";
	r->inputs = mem_dup("a=b\n");
	*ret = r;
	return true;
}

void recipe_anew(struct recipe *r, const char *mark)
{
	memset(r->digest, mark[0], 64);
}

static bool publish(struct engine *en, struct store *store, const struct recipe *r, struct err *e)
{
	struct store_stage *stage = NULL;
	const char *path;

	if (!store_stage_begin(store, r->digest, NULL, NULL, &stage, e))
		return false;
	path = test_path(store_stage_out(stage), "llama-server");
	test_write(path, en->server, strlen(en->server));
	assert_int_equal(chmod(path, 0755), 0);
	return store_stage_publish(stage, r->kind, r->inputs, e);
}

bool engine_build(struct engine *en, struct store *store, const struct recipe *r,
		  const struct build_watch *w, struct err *e)
{
	bool ok = true;

	w->on_step(w->arg, "Compiling", 0.5);
	w->on_line(w->arg, "[1/2] a.c");
	pthread_mutex_lock(&en->lock);
	if (en->fails)
		ok = err_set(e, en->kind, "%s", en->fails);
	else if (!store_has(store, r->digest))
		ok = ++en->builds && publish(en, store, r, e);
	pthread_mutex_unlock(&en->lock);
	return ok;
}

/* --- the fixture -------------------------------------------------------- */

struct fixture {
	char *dir;
	struct db *db;
	struct store *store;
	struct engine engine;
	struct envs *envs;
};

static void must(bool ok, const struct err *e)
{
	if (!ok)
		fail_msg("%s", e->msg);
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	struct envs_settings s = {.self = "/proc/self/exe"};
	struct err e = {0};

	f->dir = test_dir_new();
	f->engine = (struct engine){.server = "#!/bin/sh\nkill -ILL $$\n"};
	pthread_mutex_init(&f->engine.lock, NULL);
	must(db_open(test_path(f->dir, "shunt.db"), &f->db, &e), &e);
	must(store_open(test_path(f->dir, "store"), "0123456789abcdef", &f->store, &e), &e);
	s.db = f->db;
	s.store = f->store;
	s.engine = &f->engine;
	s.envs_dir = test_path(f->dir, "envs");
	s.cache_dir = test_path(f->dir, "cache");
	must(envs_open(&s, &f->envs, &e), &e);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	envs_free(f->envs);
	store_free(f->store);
	db_free(f->db);
	pthread_mutex_destroy(&f->engine.lock);
	test_dir_free(f->dir);
	free(f);
	return 0;
}

static bool create(struct fixture *f, const char *model, struct err *e)
{
	CLEANUP(free) char *name = env_name(model, "cpu");

	return envs_create(f->envs, name, backend_find("cpu"), NULL, NULL, e);
}

static struct db_env row_of(struct fixture *f, const char *name)
{
	struct db_env row = {0};
	struct err e = {0};

	must(db_env_get(f->db, name, &row, &e), &e);
	return row;
}

/* A ready environment of another model, made of the same base. */
static void put_ready(struct fixture *f)
{
	char digest[65] = "";
	struct db_env row = {.name = mem_dup("llm_other_cpu"),
			     .backend = mem_dup("cpu"),
			     .state = mem_dup("ready"),
			     .device = mem_dup("none"),
			     .device_name = mem_dup("a CPU"),
			     .created = 1,
			     .verified = 77};
	struct err e = {0};

	memset(digest, 'b', 64);
	row.base_digest = mem_dup(digest);
	must(db_env_put(f->db, &row, &e), &e);
	db_env_done(&row);
}

/* --- tests -------------------------------------------------------------- */

static void a_failed_verification_leaves_the_build_and_says_why(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_env row;

	assert_false(create(f, "tiny", &e));
	assert_int_equal(e.kind, ERR_VERIFY);
	assert_non_null(strstr(e.msg, "verifying environment '" NAME "'"));
	assert_non_null(strstr(e.msg, "SIGILL"));
	assert_non_null(strstr(e.hint, "build it again"));
	row = row_of(f, NAME);
	assert_string_equal(row.state, "failed");
	assert_string_equal(row.reason, e.msg);
	assert_true(store_has(f->store, row.base_digest));
	assert_int_equal(access(test_path(f->dir, "envs/" NAME "/bin/llama-server"), X_OK), 0);
	assert_int_equal(access(test_path(f->dir, "envs/.check-" NAME), F_OK), -1);
	db_env_done(&row);
	assert_false(envs_ready(f->envs, NAME, backend_find("cpu"), NULL));

	/* The next try finds the build where it is. */
	err_clear(&e);
	assert_false(create(f, "tiny", &e));
	assert_int_equal(f->engine.builds, 1);
}

static void a_failed_build_says_why(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_env row;

	f->engine.fails = "a.c:1: error";
	f->engine.kind = ERR_BUILD;
	assert_false(create(f, "tiny", &e));
	assert_int_equal(e.kind, ERR_BUILD);
	row = row_of(f, NAME);
	assert_string_equal(row.state, "failed");
	assert_string_equal(row.reason, "building llama.cpp: a.c:1: error");
	db_env_done(&row);
	assert_int_equal(access(test_path(f->dir, "envs/" NAME), F_OK), -1);
}

static void a_second_model_costs_a_row(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_env row;

	put_ready(f);
	must(create(f, "tiny", &e), &e); /* its llama-server would die: nobody asks it */
	row = row_of(f, NAME);
	assert_string_equal(row.state, "ready");
	assert_null(row.reason);
	assert_string_equal(row.device, "none");
	assert_string_equal(row.device_name, "a CPU");
	assert_int_equal(row.verified, 77);
	assert_true(row.size_bytes > 0);
	db_env_done(&row);
	assert_true(envs_ready(f->envs, NAME, backend_find("cpu"), NULL));
}

static void what_is_ready_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	put_ready(f);
	must(create(f, "tiny", &e), &e);
	f->engine.fails = "nobody should build";
	f->engine.kind = ERR_BUILD;
	must(create(f, "tiny", &e), &e);
	must(create(f, "tiny.Q8_0", &e), &e); /* the same environment */
}

static void a_build_without_its_piece_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	char digest[65] = "";
	char *piece;

	put_ready(f);
	must(create(f, "tiny", &e), &e);
	memset(digest, 'b', 64);
	piece = store_path(f->store, digest);
	test_dir_free(piece); /* frees the string too */
	assert_false(envs_ready(f->envs, NAME, backend_find("cpu"), NULL));
	must(create(f, "tiny", &e), &e);
	assert_true(envs_ready(f->envs, NAME, backend_find("cpu"), NULL));
	assert_int_equal(f->engine.builds, 2);
}

static void what_is_built_is_only_verified(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_env row;

	assert_false(create(f, "tiny", &e)); /* makes the pieces */
	err_clear(&e);
	row = row_of(f, NAME);
	free(row.state);
	row.state = mem_dup("built");
	must(db_env_put(f->db, &row, &e), &e);
	db_env_done(&row);
	f->engine.fails = "no compiler any more";
	f->engine.kind = ERR_BUILD;
	assert_false(create(f, "tiny", &e));
	assert_int_equal(e.kind, ERR_VERIFY);
}

/* Nor does anything above: a model that moves doesn't wait for pip. */
static void what_is_not_ready_asks_for_no_python(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_false(envs_make_python(f->envs, NAME, NULL, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	err_clear(&e);
	f->engine.fails = "a.c:1: error";
	f->engine.kind = ERR_BUILD;
	assert_false(create(f, "tiny", &e));
	err_clear(&e);
	must(envs_make_python(f->envs, NAME, NULL, &e), &e);
	assert_false(envs_python_is_due(f->envs, NAME, backend_find("cpu")));
}

static void a_ready_one_is_due_unless_someone_is_at_work_on_it(void **state)
{
	struct fixture *f = *state;
	const struct backend *cpu = backend_find("cpu");
	struct err e = {0};

	put_ready(f);
	must(create(f, "tiny", &e), &e);
	assert_true(envs_python_is_due(f->envs, NAME, cpu));
	assert_false(envs_complete(f->envs, NAME, cpu));
	assert_true(env_try_claim(f->envs, NAME));
	assert_false(envs_python_is_due(f->envs, NAME, cpu));
	env_release(f->envs, NAME);
	assert_true(envs_python_is_due(f->envs, NAME, cpu));
}

/* The digest of llama-server in the row is made of this letter. */
static void expect_base(struct fixture *f, char letter)
{
	struct db_env row = row_of(f, NAME);

	assert_string_equal(row.state, "ready");
	assert_string_equal(row.backend, "cpu");
	assert_int_equal(row.base_digest[0], letter);
	db_env_done(&row);
}

static void a_rebuild_that_fails_leaves_what_was_there(void **state)
{
	struct fixture *f = *state;
	const struct backend *cpu = backend_find("cpu");
	struct err e = {0};

	assert_false(envs_rebuild(f->envs, NAME, cpu, NULL, NULL, NULL, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	err_clear(&e);
	put_ready(f);
	must(create(f, "tiny", &e), &e);
	must(envs_rebuild(f->envs, NAME, cpu, NULL, NULL, NULL, &e), &e);
	expect_base(f, 'b'); /* verified with the other's, and the same */
	assert_int_equal(f->engine.builds, 1);
	f->engine.fails = "a.c:1: error";
	f->engine.kind = ERR_BUILD;
	assert_false(envs_rebuild(f->envs, NAME, cpu, NULL, NULL, NULL, &e));
	assert_non_null(strstr(e.msg, "'" NAME "' stays as it was"));
	expect_base(f, 'b');
	err_clear(&e);
	f->engine.fails = NULL;
	assert_false(
		envs_rebuild(f->envs, NAME, cpu, NULL, "a", NULL, &e)); /* nobody proved that one */
	assert_int_equal(e.kind, ERR_VERIFY);
	assert_int_equal(f->engine.builds, 2);
	expect_base(f, 'b');
}

static void *create_tiny(void *arg)
{
	struct err e = {0};

	return create(arg, "tiny", &e) ? arg : NULL;
}

static void ten_callers_share_one_build(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[10];
	void *ok;

	put_ready(f);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, create_tiny, f), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &ok), 0);
		assert_ptr_equal(ok, f);
	}
	assert_int_equal(f->engine.builds, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_failed_verification_leaves_the_build_and_says_why),
		T(a_failed_build_says_why),
		T(a_second_model_costs_a_row),
		T(what_is_ready_is_left_alone),
		T(a_build_without_its_piece_is_made_again),
		T(what_is_built_is_only_verified),
		T(what_is_not_ready_asks_for_no_python),
		T(a_ready_one_is_due_unless_someone_is_at_work_on_it),
		T(a_rebuild_that_fails_leaves_what_was_there),
		T(ten_callers_share_one_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
