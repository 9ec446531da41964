/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "db/db.h"

/* A folder with a new database. */
struct fix {
	char *dir;
	const char *path;
	struct db *db;
	struct err must; /* of the last MUST() */
};

static int setup(void **state)
{
	struct fix *f = mem_alloc(sizeof(*f));
	struct err e = {0};

	f->dir = test_dir_new();
	f->path = mem_printf("%s/shunt.db", f->dir);
	if (!db_open(f->path, &f->db, &e))
		fail_msg("%s", e.msg);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	db_free(f->db);
	test_dir_free(f->dir);
	free((char *)f->path);
	free(f);
	return 0;
}

#define MUST(call)                                                                                 \
	do {                                                                                       \
		if (!(call))                                                                       \
			fail_msg("%s", f->must.msg);                                               \
	} while (0)
/* Records own their strings, so their fields are not const; those of the tests are literals. */
#define S(text) ((char *)(text))

static void reopen(struct fix *f)
{
	db_free(STEAL(f->db));
	MUST(db_open(f->path, &f->db, &f->must));
}

/* Something else with the file, as another program would. */
static void with_sqlite(const char *path, const char *sql)
{
	sqlite3 *other = NULL;

	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void put_env(struct fix *f, const char *name)
{
	const struct db_env env = {
		.name = S(name), .backend = S("vulkan"), .state = S("ready"), .created = 7};

	MUST(db_env_put(f->db, &env, &f->must));
}

static void insert_model(struct fix *f, const char *id)
{
	const struct db_model m = {.id = S(id), .path = S("/m.gguf"), .created = 5};

	MUST(db_model_insert(f->db, &m, &f->must));
}

static void a_model_comes_back_as_it_was(void **state)
{
	struct fix *f = *state;
	const struct db_model m = {.id = S("tiny.Q8_0"),
				   .path = S("/models/'tiny'; --.gguf"),
				   .size_bytes = INT64_C(5000000000),
				   .architecture = S("llama"),
				   .quantization = S("Q8_0"),
				   .parameters = INT64_MAX,
				   .context_length = 4096,
				   .mode = S("chat"),
				   .options = S("{\"n_ctx\":512}"),
				   .pulled = true,
				   .created = 1234567890123};
	struct db_model got = {0}, copy = {0};

	MUST(db_model_insert(f->db, &m, &f->must));
	reopen(f);
	MUST(db_model_get(f->db, "tiny.Q8_0", &got, &f->must));
	db_model_copy(&got, &copy);
	db_model_done(&got);
	assert_null(got.id);
	assert_string_equal(copy.id, m.id);
	assert_string_equal(copy.path, m.path);
	assert_true(copy.size_bytes == m.size_bytes && copy.parameters == INT64_MAX);
	assert_true(copy.pulled && copy.created == m.created && copy.context_length == 4096);
	assert_string_equal(copy.options, m.options);
	assert_string_equal(copy.mode, "chat");
	assert_null(copy.sha256);
	assert_null(copy.backend);
	db_model_done(&copy);
}

static void a_taken_id_and_an_absent_one_are_named(void **state)
{
	struct fix *f = *state;
	const struct db_model m = {.id = S("a"), .path = S("/other.gguf")};
	struct db_model got = {.id = S("untouched")};
	struct err e = {0};

	insert_model(f, "a");
	assert_false(db_model_insert(f->db, &m, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "model 'a' exists already");
	err_clear(&e);
	assert_false(db_model_get(f->db, "b", &got, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "there is no model 'b'");
	assert_string_equal(got.id, "untouched");
	err_clear(&e);
	assert_false(db_model_set_options(f->db, "b", "{}", &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	err_clear(&e);
	assert_false(db_model_delete(f->db, "b", &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	MUST(db_model_delete(f->db, "a", &f->must));
	MUST(db_model_insert(f->db, &m, &f->must));
}

static void models_are_listed_by_id(void **state)
{
	struct fix *f = *state;
	struct db_model *list = NULL;
	size_t count = 9;

	MUST(db_model_list(f->db, &list, &count, &f->must));
	assert_int_equal(count, 0);
	db_models_free(list, count);
	for (int i = 20; i > 0; i--) {
		char id[16];

		(void)snprintf(id, sizeof(id), "m%02d", i);
		insert_model(f, id);
	}
	MUST(db_model_list(f->db, &list, &count, &f->must));
	assert_int_equal(count, 20);
	assert_string_equal(list[0].id, "m01");
	assert_string_equal(list[19].id, "m20");
	db_models_free(list, count);
}

static void a_flip_and_its_event_come_together(void **state)
{
	struct fix *f = *state;
	struct db_model m = {0};
	struct db_event *events = NULL;
	size_t count = 0;
	struct err e = {0};

	insert_model(f, "a");
	put_env(f, "llm_a_vulkan");
	MUST(db_model_associate(f->db, "a", "vulkan", "llm_a_vulkan", &f->must));
	assert_false(db_model_associate(f->db, "a", "cuda", "llm_a_cuda", &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	err_clear(&e);
	assert_false(db_model_associate(f->db, "nobody", "vulkan", "llm_a_vulkan", &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	reopen(f);
	MUST(db_model_get(f->db, "a", &m, &f->must));
	assert_string_equal(m.backend, "vulkan");
	assert_string_equal(m.environment, "llm_a_vulkan");
	MUST(db_event_list(f->db, 0, 10, &events, &count, &f->must));
	assert_int_equal(count, 1); /* what failed left none */
	assert_string_equal(events[0].kind, "switched");
	assert_string_equal(events[0].subject, "a");
	assert_string_equal(events[0].text, "runs on vulkan in llm_a_vulkan");
	db_events_free(events, count);
	db_model_done(&m);
}

static void an_environment_in_use_stays(void **state)
{
	struct fix *f = *state;
	struct db_env env = {0}, *list = NULL;
	struct db_model m = {0};
	size_t count = 0;
	struct err e = {0};

	insert_model(f, "a");
	put_env(f, "one");
	put_env(f, "two");
	MUST(db_model_associate(f->db, "a", "vulkan", "one", &f->must));
	assert_false(db_env_delete(f->db, "one", &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "environment 'one' is in use by model 'a'");
	put_env(f, "one"); /* replaced in place, with its model */
	MUST(db_env_get(f->db, "one", &env, &f->must));
	free(env.backend);
	env.backend = mem_dup("cpu");
	MUST(db_env_put(f->db, &env, &f->must)); /* the model runs on another backend now */
	MUST(db_model_get(f->db, "a", &m, &f->must));
	assert_string_equal(m.backend, "cpu");
	db_model_done(&m);
	err_clear(&e);
	assert_false(db_model_associate(f->db, "a", "vulkan", "one", &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	free(env.backend);
	env.backend = mem_dup("vulkan");
	MUST(db_env_put(f->db, &env, &f->must));
	assert_string_equal(env.backend, "vulkan");
	assert_true(env.created == 7 && env.verified == 0);
	db_env_done(&env);
	MUST(db_model_associate(f->db, "a", "vulkan", "two", &f->must));
	MUST(db_env_delete(f->db, "one", &f->must));
	MUST(db_env_list(f->db, &list, &count, &f->must));
	assert_int_equal(count, 1);
	assert_string_equal(list[0].name, "two");
	db_envs_free(list, count);
}

static void the_last_load_goes_with_its_environment(void **state)
{
	struct fix *f = *state;
	struct db_load l = {.environment = S("one"),
			    .file = S("a"),
			    .device = S("CUDA0"),
			    .options = S("{}"),
			    .device_compute = 7,
			    .driver_bytes = 500,
			    .at = 1};
	struct db_load got = {0};
	struct err e = {0};

	assert_false(db_load_put(f->db, &l, &e)); /* no such environment */
	put_env(f, "one");
	MUST(db_load_put(f->db, &l, &f->must));
	l.file = S("b");
	l.private_bytes = INT64_MAX;
	MUST(db_load_put(f->db, &l, &f->must));
	put_env(f, "one"); /* replaced in place, with its load */
	reopen(f);
	MUST(db_load_get(f->db, "one", &got, &f->must));
	assert_string_equal(got.file, "b");
	assert_true(got.device_compute == 7 && got.private_bytes == INT64_MAX && got.at == 1);
	db_load_done(&got);
	MUST(db_env_delete(f->db, "one", &f->must));
	err_clear(&e);
	assert_false(db_load_get(f->db, "one", &got, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void what_a_driver_took_is_the_last_that_was_told(void **state)
{
	struct fix *f = *state;
	struct db_load l = {.file = S("a"), .device = S("CUDA0"), .options = S("{}")};
	int64_t bytes = 0, process = 0;

	MUST(db_load_beside(f->db, "CUDA0", &bytes, &process, &f->must));
	assert_int_equal(bytes, -1);
	for (int i = 0; i < 3; i++) {
		static const int64_t told[] = {500, 600, -1};
		char name[] = {(char)('a' + i), '\0'};

		put_env(f, name);
		l.environment = name;
		l.driver_bytes = told[i];
		l.private_bytes = 100 + i * 20;
		l.host_weights = 20;
		l.host_cache = 20;
		l.host_compute = 10;
		l.at = i;
		MUST(db_load_put(f->db, &l, &f->must));
	}
	MUST(db_load_beside(f->db, "CUDA0", &bytes, &process, &f->must));
	assert_int_equal(bytes, 600);
	assert_int_equal(process, 90); /* of the very last */
	MUST(db_load_beside(f->db, "CUDA1", &bytes, &process, &f->must));
	assert_int_equal(bytes, -1);
}

static void put_task(struct fix *f, const char *id, const char *model, const char *state)
{
	const struct db_task t = {.id = S(id),
				  .kind = S("switch"),
				  .model = S(model),
				  .state = S(state),
				  .step_count = 4,
				  .percent = 12.5};

	MUST(db_task_put(f->db, &t, &f->must));
}

/* Ids of a list, "3 2 1". */
static void assert_tasks(struct fix *f, const char *state, const char *model, int limit,
			 const char *ids)
{
	struct db_task *list = NULL;
	size_t count = 0;
	char text[256] = "";

	MUST(db_task_list(f->db, state, model, limit, &list, &count, &f->must));
	for (size_t i = 0; i < count; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			       i ? " " : "", list[i].id);
	assert_string_equal(text, ids);
	db_tasks_free(list, count);
}

static void tasks_are_listed_newest_first(void **state)
{
	struct fix *f = *state;

	put_task(f, "1", "a", "queued");
	put_task(f, "2", NULL, "running");
	put_task(f, "3", "a", "succeeded");
	put_task(f, "1", "a", "running");
	assert_tasks(f, NULL, NULL, 0, "3 2 1");
	assert_tasks(f, NULL, NULL, 2, "3 2");
	assert_tasks(f, "running", NULL, 0, "2 1");
	assert_tasks(f, "running", "a", 0, "1");
	assert_tasks(f, "lost", NULL, 0, "");
}

static void unfinished_tasks_fail_after_a_crash(void **state)
{
	struct fix *f = *state;
	struct db_task t = {0};
	int count = -1;

	put_task(f, "1", NULL, "queued");
	put_task(f, "2", NULL, "running");
	put_task(f, "3", NULL, "succeeded");
	MUST(db_task_end_unfinished(f->db, "interrupted", "the daemon stopped", "again", &count,
				    &f->must));
	assert_int_equal(count, 2);
	assert_tasks(f, "failed", NULL, 0, "2 1");
	MUST(db_task_get(f->db, "2", &t, &f->must));
	assert_string_equal(t.error_type, "interrupted");
	assert_string_equal(t.error_message, "the daemon stopped");
	assert_string_equal(t.error_hint, "again");
	assert_true(t.finished > 0 && t.percent > 12.4 && t.percent < 12.6);
	db_task_done(&t);
}

static void an_interrupted_switch_has_succeeded_once_its_model_moved(void **state)
{
	struct fix *f = *state;
	struct db_task to = {.kind = S("switch"), .model = S("a"), .state = S("running")};
	int count = -1;

	put_env(f, "llm_a_cpu");
	put_env(f, "llm_a_vulkan");
	insert_model(f, "a");
	MUST(db_model_associate(f->db, "a", "vulkan", "llm_a_vulkan", &f->must));
	to.id = S("1");
	to.environment = S("llm_a_vulkan");
	MUST(db_task_put(f->db, &to, &f->must));
	to.id = S("2");
	to.environment = S("llm_a_cpu");
	MUST(db_task_put(f->db, &to, &f->must));
	to.id = S("3");
	to.environment = S("llm_a_vulkan");
	to.kind = S("load");
	MUST(db_task_put(f->db, &to, &f->must));
	MUST(db_task_end_unfinished(f->db, "interrupted", "the daemon stopped", "again", &count,
				    &f->must));
	assert_int_equal(count, 2);
	assert_tasks(f, "succeeded", NULL, 0, "1");
	assert_tasks(f, "failed", NULL, 0, "3 2");
}

static void an_interrupted_task_that_was_done_has_succeeded(void **state)
{
	struct fix *f = *state;
	struct db_task t = {.id = S("1"), .kind = S("load"), .state = S("running"), .done = true};
	int count = -1;

	MUST(db_task_put(f->db, &t, &f->must));
	t.id = S("2");
	t.done = false;
	MUST(db_task_put(f->db, &t, &f->must));
	MUST(db_task_end_unfinished(f->db, "interrupted", "the daemon stopped", "again", &count,
				    &f->must));
	assert_int_equal(count, 1);
	MUST(db_task_get(f->db, "1", &t, &f->must));
	assert_true(t.done);
	assert_string_equal(t.state, "succeeded");
	assert_string_equal(t.step, "Done");
	assert_true(t.percent == 100 && t.finished > 0);
	assert_null(t.error_type);
	db_task_done(&t);
	assert_tasks(f, "failed", NULL, 0, "2");
}

static void tasks_of_an_older_schema_were_not_done(void **state)
{
	struct fix *f = *state;
	int count = -1;

	put_task(f, "1", NULL, "running");
	db_free(STEAL(f->db));
	with_sqlite(f->path, "DROP TABLE benchmarks; ALTER TABLE tasks DROP COLUMN done;"
			     " ALTER TABLE environments DROP COLUMN libraries_digest;"
			     " ALTER TABLE environments DROP COLUMN arch;"
			     " PRAGMA user_version=5");
	MUST(db_open(f->path, &f->db, &f->must));
	MUST(db_task_end_unfinished(f->db, "interrupted", "the daemon stopped", "again", &count,
				    &f->must));
	assert_int_equal(count, 1);
	assert_tasks(f, "failed", NULL, 0, "1");
}

static void only_old_finished_tasks_are_forgotten(void **state)
{
	struct fix *f = *state;

	put_task(f, "1", NULL, "running");
	put_task(f, "2", NULL, "failed");
	put_task(f, "3", NULL, "succeeded");
	put_task(f, "4", NULL, "cancelled");
	MUST(db_task_prune(f->db, 2, &f->must));
	assert_tasks(f, NULL, NULL, 0, "4 3 1");
}

static void events_grow_and_are_read_on(void **state)
{
	struct fix *f = *state;
	struct db_event *list = NULL;
	size_t count = 0;

	for (int i = 0; i < 5; i++)
		MUST(db_event_add(f->db, "kind", i ? "s" : NULL, "text", &f->must));
	reopen(f);
	MUST(db_event_list(f->db, 2, 2, &list, &count, &f->must));
	assert_int_equal(count, 2);
	assert_true(list[0].id == 3 && list[1].id == 4 && list[0].at > 0);
	db_events_free(list, count);
}

/* Opening says no; the file is as it was. */
static void assert_refused(const char *path, enum err_kind kind, const char *words)
{
	struct db *db = NULL;
	struct err e = {0};

	assert_false(db_open(path, &db, &e));
	assert_null(db);
	assert_int_equal(e.kind, kind);
	if (!strstr(e.msg, words))
		fail_msg("'%s' does not say '%s'", e.msg, words);
	assert_true(e.hint[0] != '\0');
}

static void a_file_that_is_no_database_of_ours_is_refused(void **state)
{
	struct fix *f = *state;
	const char *text = test_path(f->dir, "text"), *other = test_path(f->dir, "other");
	static const char words[] = "These are just words, and many more than a header needs. "
				    "These are just words, and many more than a header needs.";
	char *after;

	test_write(text, words, sizeof(words) - 1);
	assert_refused(text, ERR_SYSTEM, "is not a database");
	after = test_read(text, NULL);
	assert_string_equal(after, words);
	free(after);
	with_sqlite(other, "CREATE TABLE bookmarks (url TEXT)");
	assert_refused(other, ERR_CONFLICT, "is a database of another program");
	assert_refused(f->dir, ERR_SYSTEM, "Is a directory");
	assert_refused(test_path(f->dir, "no/such.db"), ERR_SYSTEM, "No such file");
}

static void a_newer_schema_is_refused(void **state)
{
	struct fix *f = *state;

	db_free(STEAL(f->db));
	with_sqlite(f->path, "PRAGMA user_version=99");
	assert_refused(f->path, ERR_NOT_SUPPORTED,
		       "was written by a newer Shunt (schema 99, this one knows 9)");
}

static void it_is_private_and_durable(void **state)
{
	struct fix *f = *state;
	struct stat st;
	sqlite3 *other = NULL;
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(other, "PRAGMA journal_mode", -1, &stmt, NULL), 0);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(stmt, 0), "wal");
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(other);
}

struct writer {
	struct db *db;
	int number, good;
};

static void *write_much(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < 20; i++) {
		char id[16];
		const struct db_task t = {.id = id, .kind = S("load"), .state = S("running")};
		struct db_task got = {0};
		struct err e = {0};

		(void)snprintf(id, sizeof(id), "%d-%d", w->number, i);
		w->good += db_task_put(w->db, &t, &e) && db_task_get(w->db, id, &got, &e) &&
			   db_event_add(w->db, "k", id, "t", &e) && strcmp(got.id, id) == 0;
		db_task_done(&got);
	}
	return NULL;
}

static void threads_share_it(void **state)
{
	struct fix *f = *state;
	struct writer w[4];
	pthread_t threads[4];
	struct db_event *list = NULL;
	size_t count = 0;

	for (int i = 0; i < 4; i++) {
		w[i] = (struct writer){f->db, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, write_much, &w[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		(void)pthread_join(threads[i], NULL);
		assert_int_equal(w[i].good, 20);
	}
	MUST(db_event_list(f->db, 0, 0, &list, &count, &f->must));
	assert_int_equal(count, 80);
	db_events_free(list, count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_model_comes_back_as_it_was),
		TEST(a_taken_id_and_an_absent_one_are_named),
		TEST(models_are_listed_by_id),
		TEST(a_flip_and_its_event_come_together),
		TEST(an_environment_in_use_stays),
		TEST(the_last_load_goes_with_its_environment),
		TEST(what_a_driver_took_is_the_last_that_was_told),
		TEST(tasks_are_listed_newest_first),
		TEST(unfinished_tasks_fail_after_a_crash),
		TEST(an_interrupted_switch_has_succeeded_once_its_model_moved),
		TEST(an_interrupted_task_that_was_done_has_succeeded),
		TEST(tasks_of_an_older_schema_were_not_done),
		TEST(only_old_finished_tasks_are_forgotten),
		TEST(events_grow_and_are_read_on),
		TEST(a_file_that_is_no_database_of_ours_is_refused),
		TEST(a_newer_schema_is_refused),
		TEST(it_is_private_and_durable),
		TEST(threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
