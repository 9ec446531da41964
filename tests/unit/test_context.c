/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations between two fake llama-servers, whose slots hold words. */
#include "test.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/http.h"
#include "base/mem.h"
#include "model/option.h"
#include "switch/context_priv.h"

#define FAKES SOURCE_DIR "/tests/fakes"
#define WORDS 200

struct fixture {
	char *dir, *model, *folder;
	struct supervisor *sv;
	pthread_t loop;
	struct contexts *cs;
	struct worker *old, *new;
	struct context context;
	char *prompt;
};

static void *run_loop(void *arg)
{
	supervisor_run(((struct fixture *)arg)->sv, -1, NULL, NULL);
	return NULL;
}

static char *words(const char *stem, int count)
{
	CLEANUP(buf_done) struct buf text = {0};

	for (int i = 0; i < count; i++)
		buf_printf(&text, "%s%s%d", i ? " " : "", stem, i);
	return buf_steal(&text);
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	struct err e = {0};

	f->dir = test_dir_new();
	f->model = mem_dup(test_path(f->dir, "m.gguf"));
	test_write(f->model, "GGUF", 4);
	assert_true(contexts_open(test_path(f->dir, "context"), 1 << 30, &f->cs, &e));
	f->folder = contexts_folder(f->cs, "m");
	f->prompt = words("w", WORDS);
	assert_true(
		supervisor_open(test_path(f->dir, "run"), test_path(f->dir, "logs"), &f->sv, &e));
	assert_int_equal(pthread_create(&f->loop, NULL, run_loop, f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	context_done(&f->context);
	worker_unref(f->old);
	worker_unref(f->new);
	supervisor_quit(f->sv);
	pthread_join(f->loop, NULL);
	supervisor_free(f->sv);
	contexts_free(f->cs);
	test_dir_free(f->dir);
	free(f->model);
	free(f->folder);
	free(f->prompt);
	free(f);
	return 0;
}

static void behave(struct fixture *f, const char *json)
{
	CLEANUP(free) char *path = mem_printf("%s.fake.json", f->model);

	test_write(path, json, strlen(json));
}

static struct worker *start(struct fixture *f, bool gpu, const char *key)
{
	CLEANUP(strv_done) struct strv env = {0};
	static const char *const command[] = {FAKES "/llama-server", NULL};
	static const char *const args[] = {"-lv",       "4",          "--parallel", "3",
					   "--metrics", "--ctx-size", "4096",       NULL};
	struct worker_spec spec = {.model_id = "m",
				   .model_path = f->model,
				   .environment = gpu ? "llm_m_vulkan" : "llm_m_cpu",
				   .backend = gpu ? "vulkan" : "cpu",
				   .runtime = &runtime_server,
				   .command = command,
				   .device = gpu ? "Vulkan0" : "none",
				   .device_prefix = gpu ? "Vulkan" : NULL,
				   .args = args,
				   .mode = "chat",
				   .slots = 3,
				   .context_dir = f->folder,
				   .context_key = key,
				   .context_tokens = 4096};
	struct worker *w = NULL;
	struct err e = {0};

	strv_printf(&env, "PATH=%s", getenv("PATH"));
	if (gpu)
		strv_add(&env, "GGML_BACKEND_PATH=/nowhere/libggml-vulkan.so");
	spec.environ = strv_items(&env);
	if (!worker_start(f->sv, &spec, NULL, NULL, NULL, &w, &e))
		fail_msg("%s", e.msg);
	return w;
}

/* How many words of the prompt it had. */
static int ask(struct worker *w, const char *prompt)
{
	CLEANUP(free)
	char *body = mem_printf("{\"prompt\":\"%s\",\"n_predict\":2}", prompt);
	struct http_request request = {.socket = worker_socket(w),
				       .url = "http://localhost/completion",
				       .body = body,
				       .timeout_ms = 10000};
	CLEANUP(http_response_done) struct http_response answer = {0};
	struct err e = {0};
	const char *at;

	if (!http_fetch(&request, &answer, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(answer.status, 200);
	at = strstr(answer.body, "\"cache_n\":");
	assert_non_null(at);
	return (int)strtol(at + 10, NULL, 10);
}

static void save(struct fixture *f, const char *key)
{
	const struct context_target to = {.environment = "llm_m_vulkan", .key = key};

	context_save(f->cs, f->old, &to, &f->context);
}

/* An old worker with one conversation, saved; a new one. */
static void save_one(struct fixture *f)
{
	f->old = start(f, false, "key");
	assert_int_equal(ask(f->old, f->prompt), 0);
	save(f, "key");
	assert_string_equal(f->context.report.why_not, "");
	assert_int_equal(f->context.count, 1);
	f->new = start(f, true, "key");
}

static bool any_entry(void *arg, const char *name, struct err *e)
{
	(*(int *)arg)++;
	return true;
}

static int count_entries(const char *folder)
{
	int count = 0;

	assert_true(fs_each(folder, any_entry, &count, NULL));
	return count;
}

/* It was left for this reason, the worker is well, and nothing lies about. */
static void restore_is_left(struct fixture *f, const char *why)
{
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_DONE);
	if (!strstr(f->context.report.why_not, why))
		fail_msg("'%s' is not said in: %s", why, f->context.report.why_not);
	assert_int_equal(f->context.report.slots, 0);
	assert_int_equal(f->context.report.tokens, 0);
	assert_int_equal(count_entries(f->folder), 0);
	assert_int_equal(ask(f->new, f->prompt), 0);
}

static void a_conversation_comes_along(void **state)
{
	struct fixture *f = *state;
	struct context_totals totals;
	struct context_report *r = &f->context.report;

	save_one(f);
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_DONE);
	assert_string_equal(r->why_not, "");
	assert_int_equal(r->slots, 1);
	assert_int_equal(r->tokens, WORDS + 2);
	assert_true(r->bytes > 0);
	assert_int_equal(r->bytes, f->context.files[0].bytes);
	assert_int_equal(count_entries(f->folder), 0);
	assert_int_equal(ask(f->new, f->prompt), WORDS - 1);
	contexts_get_totals(f->cs, &totals);
	assert_int_equal(totals.carried, 1);
	assert_int_equal(totals.tokens, WORDS + 2);
}

/* A new conversation takes an empty slot, though all are as old. */
static void a_new_conversation_takes_another_slot(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *other = words("o", 100);

	save_one(f);
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_DONE);
	assert_int_equal(ask(f->new, other), 0);
	assert_int_equal(ask(f->new, f->prompt), WORDS - 1);
}

/* /slots says nothing of a slot that had no request since. */
static void a_conversation_comes_along_twice(void **state)
{
	struct fixture *f = *state;

	save_one(f);
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_DONE);
	context_done(&f->context);
	worker_stop(f->old);
	worker_unref(f->old);
	f->old = f->new;
	save(f, "key");
	assert_string_equal(f->context.report.why_not, "");
	assert_int_equal(f->context.count, 1);
	f->new = start(f, false, "key");
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_DONE);
	assert_int_equal(ask(f->new, f->prompt), WORDS - 1);
}

static void each_slot_keeps_its_number(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *other = words("o", 100);

	f->old = start(f, false, "key");
	assert_int_equal(ask(f->old, other), 0);
	assert_int_equal(ask(f->old, f->prompt), 0);
	save(f, NULL);
	assert_int_equal(f->context.count, 2);
	assert_true(f->context.files[0].tokens > f->context.files[1].tokens);
	assert_int_not_equal(f->context.files[0].slot, f->context.files[1].slot);
	f->new = start(f, true, "key");
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_DONE);
	assert_int_equal(f->context.report.slots, 2);
	assert_int_equal(ask(f->new, other), 99);
	assert_int_equal(ask(f->new, f->prompt), WORDS - 1);
}

static void a_file_that_was_cut_is_left(void **state)
{
	struct fixture *f = *state;

	save_one(f);
	assert_int_equal(truncate(test_path(f->folder, "slot-2.kv"), 100), 0);
	restore_is_left(f, "has 100 bytes");
}

static void a_file_that_was_altered_is_left(void **state)
{
	struct fixture *f = *state;
	const char *path;
	int fd;

	save_one(f);
	path = test_path(f->folder, "slot-2.kv");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, 1000), 1);
	close(fd);
	restore_is_left(f, "is not what was saved");
}

static void a_link_in_its_place_is_left(void **state)
{
	struct fixture *f = *state;
	const char *path, *moved;

	save_one(f);
	path = test_path(f->folder, "slot-2.kv");
	moved = test_path(f->dir, "elsewhere");
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(symlink(moved, path), 0);
	restore_is_left(f, "slot-2.kv");
}

static void another_model_gets_nothing(void **state)
{
	struct fixture *f = *state;

	f->old = start(f, false, "file=1\nadapters=\nengine=e\noptions={}");
	(void)ask(f->old, f->prompt);
	save(f, "file=2\nadapters=\nengine=e\noptions={}");
	assert_int_equal(f->context.count, 0);
	assert_non_null(strstr(f->context.report.why_not, "model's file"));
	context_done(&f->context);
	save(f, NULL);
	assert_int_equal(f->context.count, 1);
	f->new = start(f, true, "file=1\nadapters=\nengine=e\noptions={\"parallel\":4}");
	restore_is_left(f, "options");
}

static void what_cannot_be_saved_is_not_tried(void **state)
{
	struct fixture *f = *state;

	f->old = start(f, false, "!with a draft model");
	(void)ask(f->old, f->prompt);
	save(f, NULL);
	assert_int_equal(f->context.count, 0);
	assert_string_equal(f->context.report.why_not, "with a draft model");
}

static void a_greeting_is_no_conversation(void **state)
{
	struct fixture *f = *state;

	f->old = start(f, false, "key");
	(void)ask(f->old, "hello");
	save(f, "key");
	assert_int_equal(f->context.count, 0);
	assert_non_null(strstr(f->context.report.why_not, "no conversation"));
	assert_int_equal(context_restore(&f->context, f->old, NULL, NULL), CONTEXT_DONE);
}

static void bytes_are_bounded(void **state)
{
	struct fixture *f = *state;

	contexts_free(f->cs);
	assert_true(contexts_open(test_path(f->dir, "context"), 4000, &f->cs, NULL));
	f->old = start(f, false, "key");
	(void)ask(f->old, f->prompt);
	save(f, "key");
	assert_int_equal(f->context.count, 0);
	assert_non_null(strstr(f->context.report.why_not, "context_bytes"));
	assert_int_equal(count_entries(f->folder), 0);
}

/* The fake's file has 64 bytes a word; at this speed of the disk that takes longer. */
static void what_does_not_pay_is_left(void **state)
{
	struct fixture *f = *state;

	f->cs->bytes_per_ms = 0.1;
	f->old = start(f, false, "key");
	(void)ask(f->old, f->prompt);
	save(f, "key");
	assert_int_equal(f->context.count, 0);
	assert_non_null(strstr(f->context.report.why_not, "computed again"));
}

/* The estimate held, but the target turns out to be fast. */
static void a_fast_target_computes_again(void **state)
{
	struct fixture *f = *state;

	save_one(f);
	f->cs->bytes_per_ms = 10;
	restore_is_left(f, "computed again");
}

static void a_failed_save_is_said(void **state)
{
	struct fixture *f = *state;

	f->old = start(f, false, "key");
	(void)ask(f->old, f->prompt);
	behave(f, "{\"save_fails\":true}");
	save(f, "key");
	assert_int_equal(f->context.count, 0);
	assert_non_null(strstr(f->context.report.why_not, "Unable to save"));
	context_done(&f->context);
	behave(f, "{\"save_cuts\":7}");
	save(f, "key");
	assert_int_equal(f->context.count, 0);
	assert_non_null(strstr(f->context.report.why_not, "bytes, not"));
	assert_int_equal(count_entries(f->folder), 0);
}

static bool always(void *arg)
{
	return true;
}

static void a_save_can_be_cancelled(void **state)
{
	struct fixture *f = *state;

	const struct context_target to = {
		.environment = "llm_m_vulkan", .key = "key", .cancelled = always};

	f->old = start(f, false, "key");
	(void)ask(f->old, f->prompt);
	behave(f, "{\"save_seconds\":20}");
	context_save(f->cs, f->old, &to, &f->context);
	assert_int_equal(f->context.count, 0);
	behave(f, "{}");
}

static void a_refusal_leaves_the_worker_well(void **state)
{
	struct fixture *f = *state;

	save_one(f);
	behave(f, "{\"restore_fails\":\"refuse\"}");
	restore_is_left(f, "No available space");
}

static void a_worker_that_dies_of_it_is_lost(void **state)
{
	struct fixture *f = *state;

	save_one(f);
	behave(f, "{\"restore_fails\":\"crash\"}");
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_LOST);
	assert_int_equal(f->context.report.slots, 0);
	assert_int_not_equal(f->context.report.why_not[0], '\0');
	assert_int_equal(count_entries(f->folder), 0);
}

/* --- kept over a restart ------------------------------------------------ */

static void restart_contexts(struct fixture *f)
{
	context_done(&f->context);
	contexts_free(f->cs);
	assert_true(contexts_open(test_path(f->dir, "context"), 1 << 30, &f->cs, NULL));
}

static bool wants(void *arg, const char *model_id)
{
	return *(bool *)arg && strcmp(model_id, "m") == 0;
}

static void kept_conversations_outlive_a_restart(void **state)
{
	struct fixture *f = *state;
	bool yes = true;

	save_one(f);
	assert_true(context_keep(&f->context, NULL));
	assert_true(fs_mkdirs(test_path(f->dir, "context/nobody"), 0700, NULL));
	restart_contexts(f);
	contexts_sweep(f->cs, wants, &yes);
	assert_false(fs_exists(test_path(f->dir, "context/nobody")));
	context_find_kept(f->cs, "m", &f->context);
	assert_int_equal(f->context.count, 1);
	assert_int_equal(context_restore(&f->context, f->new, NULL, NULL), CONTEXT_DONE);
	assert_int_equal(ask(f->new, f->prompt), WORDS - 1);
	assert_int_equal(count_entries(f->folder), 0);
}

static void what_nobody_wants_is_swept(void **state)
{
	struct fixture *f = *state;
	bool no = false;

	save_one(f);
	assert_true(context_keep(&f->context, NULL));
	restart_contexts(f);
	contexts_sweep(f->cs, wants, &no);
	assert_false(fs_exists(f->folder));
	context_find_kept(f->cs, "m", &f->context);
	assert_int_equal(f->context.count, 0);
}

static void files_without_a_manifest_are_swept(void **state)
{
	struct fixture *f = *state;
	bool yes = true;

	save_one(f);
	contexts_sweep(f->cs, wants, &yes);
	assert_false(fs_exists(f->folder));
}

static void a_manifest_that_is_not_whole_is_deleted(void **state)
{
	static const char *const texts[] = {
		"",
		"{\"key\":\"key\"",
		"{\"key\":\"key\",\"files\":[]}",
		"{\"key\":\"key\",\"files\":[{\"slot\":1,\"tokens\":5,\"bytes\":9,\"sum\":\"x\"}]}",
		"{\"key\":\"key\",\"files\":[{\"slot\":64,\"tokens\":5,\"bytes\":9,\"sum\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000\"}]}",
		"{\"files\":[{\"slot\":1,\"tokens\":5,\"bytes\":9,\"sum\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000\"}]}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		test_write(test_path(f->folder, "slot-1.kv"), "123456789", 9);
		test_write(test_path(f->folder, "kept.json"), texts[i], strlen(texts[i]));
		context_find_kept(f->cs, "m", &f->context);
		assert_int_equal(f->context.count, 0);
		assert_int_equal(count_entries(f->folder), 0);
	}
}

/* --- keys --------------------------------------------------------------- */

static char *key_of(struct fixture *f, const char *options, const char *base)
{
	struct db_model m = {.id = (char *)"m",
			     .path = f->model,
			     .size_bytes = 4,
			     .mode = (char *)"chat",
			     .options = (char *)options};

	return context_key(&m, base);
}

static void a_key_is_of_all_that_matters(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *first = key_of(f, "{}", "/store/aa");
	static const char *const same[] = {"{\"temperature\":1}", "{\"n_gpu_layers\":3}",
					   "{\"migrate\":\"auto\",\"keep_context\":true}"};
	static const char *const others[] = {"{\"parallel\":2}", "{\"n_ctx\":512}",
					     "{\"flash_attn\":\"off\"}", "{\"rope_scale\":2}",
					     "{\"cache_type_k\":\"q8_0\"}"};

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		CLEANUP(free) char *key = key_of(f, same[i], "/elsewhere/aa");

		assert_string_equal(key, first);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		CLEANUP(free) char *key = key_of(f, others[i], "/store/aa");

		assert_non_null(strstr(key_difference(first, key), "options"));
	}
	CLEANUP(free) char *engine = key_of(f, "{}", "/store/bb");
	assert_non_null(strstr(key_difference(first, engine), "llama.cpp"));
	test_write(f->model, "GGUX", 4);
	CLEANUP(free) char *file = key_of(f, "{}", "/store/aa");
	assert_non_null(strstr(key_difference(first, file), "model's file"));
}

static void some_models_have_no_key(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *draft = key_of(f, "{\"draft_model\":\"/d\"}", "/b");
	CLEANUP(free) char *image = key_of(f, "{\"mmproj\":\"/d\"}", "/b");
	CLEANUP(free) char *embed = key_of(f, "{\"mode\":\"embedding\"}", "/b");

	struct db_model chunks = {.id = (char *)"m",
				  .path = f->model,
				  .mode = (char *)"chat",
				  .architecture = (char *)"llama4",
				  .options = (char *)"{}"};
	CLEANUP(free) char *llama4 = context_key(&chunks, "/b");

	assert_int_equal(draft[0], '!');
	assert_int_equal(llama4[0], '!');
	assert_int_equal(image[0], '!');
	assert_int_equal(embed[0], '!');
	assert_string_equal(key_difference("file=x", draft), draft + 1);
}

static void a_report_is_json(void **state)
{
	struct context_report r = {.slots = 1,
				   .tokens = 2,
				   .bytes = 3,
				   .save_ms = 4,
				   .restore_ms = 5,
				   .spared_ms = -6};
	json_t *report = context_report_json(&r);
	CLEANUP(free) char *text = json_dumps(report, JSON_COMPACT);

	json_decref(report);
	assert_string_equal(text, "{\"slots\":1,\"tokens\":2,\"bytes\":3,\"save_ms\":4,"
				  "\"restore_ms\":5,\"spared_ms\":-6,\"why_not\":null}");
}

/* More than one chunk, the last one short. */
static void a_sum_is_of_the_whole_file(void **state)
{
	struct fixture *f = *state;
	const char *path = test_path(f->dir, "big");
	char first[HASH_HEX_SIZE], again[HASH_HEX_SIZE];
	const int64_t bytes = (20 << 20) + 5;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(fd, bytes), 0);
	assert_true(file_sum(path, bytes, first, NULL));
	assert_true(file_sum(path, bytes, again, NULL));
	assert_string_equal(first, again);
	assert_int_equal(pwrite(fd, "x", 1, bytes - 1), 1);
	assert_true(file_sum(path, bytes, again, NULL));
	assert_string_not_equal(first, again);
	assert_false(file_sum(path, bytes + 1, again, NULL));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_conversation_comes_along),
		TEST(a_conversation_comes_along_twice),
		TEST(a_new_conversation_takes_another_slot),
		TEST(each_slot_keeps_its_number),
		TEST(a_file_that_was_cut_is_left),
		TEST(a_file_that_was_altered_is_left),
		TEST(a_link_in_its_place_is_left),
		TEST(another_model_gets_nothing),
		TEST(what_cannot_be_saved_is_not_tried),
		TEST(a_greeting_is_no_conversation),
		TEST(bytes_are_bounded),
		TEST(what_does_not_pay_is_left),
		TEST(a_fast_target_computes_again),
		TEST(a_failed_save_is_said),
		TEST(a_save_can_be_cancelled),
		TEST(a_refusal_leaves_the_worker_well),
		TEST(a_worker_that_dies_of_it_is_lost),
		TEST(kept_conversations_outlive_a_restart),
		TEST(what_nobody_wants_is_swept),
		TEST(files_without_a_manifest_are_swept),
		TEST(a_manifest_that_is_not_whole_is_deleted),
		TEST(a_key_is_of_all_that_matters),
		TEST(some_models_have_no_key),
		TEST(a_report_is_json),
		TEST(a_sum_is_of_the_whole_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
