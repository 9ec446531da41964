/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fs.h"
#include "base/mem.h"
#include "store/store.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* A store in a folder of its own. */
struct fixture {
	char *dir;
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	struct err e = {0};

	f->dir = test_dir_new();
	if (!store_open(test_path(f->dir, "store"), "0123456789abcdef", &f->store, &e))
		fail_msg("%s", e.msg);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_free(f->store);
	test_dir_free(f->dir);
	free(f);
	return 0;
}

static struct store_stage *begin(struct store *s, const char *digest)
{
	struct store_stage *st = NULL;
	struct err e = {0};

	if (!store_stage_begin(s, digest, NULL, NULL, &st, &e))
		fail_msg("%s", e.msg);
	return st;
}

static void fill(const struct store_stage *st)
{
	const char *out = store_stage_out(st);

	test_write(test_path(out, "server"), "#!", 2);
	assert_int_equal(chmod(test_path(out, "server"), 0700), 0);
	test_write(test_path(out, "libx.so.0"), "library", 7);
	assert_int_equal(symlink("libx.so.0", test_path(out, "libx.so")), 0);
	assert_int_equal(mkdir(test_path(out, "sub"), 0755), 0);
	test_write(test_path(out, "sub/data"), "data", 4);
	assert_int_equal(symlink("../libx.so.0", test_path(out, "sub/up")), 0);
	test_write(test_path(store_stage_path(st), "scratch"), "x", 1);
}

static void make(struct store *s, const char *digest)
{
	struct store_stage *st = begin(s, digest);
	struct err e = {0};

	assert_non_null(st);
	fill(st);
	if (!store_stage_publish(st, "base", "what went in", &e))
		fail_msg("%s", e.msg);
}

/* Path in the store, in one of test_path()'s buffers. */
static const char *at(const struct fixture *f, const char *name)
{
	return test_path(store_dir(f->store), name);
}

static bool exists(const char *path)
{
	struct stat st = {0};

	return lstat(path, &st) == 0;
}

static void a_published_piece_is_whole_read_only_and_described(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *manifest = NULL;
	struct stat st = {0};
	int64_t size = 0;
	struct err e = {0};

	assert_false(store_has(f->store, A));
	make(f->store, A);
	assert_true(store_has(f->store, A));
	assert_true(store_check(f->store, A, &e));
	assert_true(store_size(f->store, A, &size, &e));
	assert_true(size > 13);
	assert_int_equal(stat(at(f, A "/server"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0555);
	assert_int_equal(stat(at(f, A "/sub/data"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(stat(at(f, A), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0555);
	manifest = test_read(at(f, A "/manifest.json"), NULL);
	assert_non_null(strstr(manifest, "\"inputs\": \"what went in\""));
	assert_non_null(strstr(manifest, "\"link\": \"libx.so.0\""));
	assert_non_null(strstr(manifest, "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb"
					 "23adc8b7")); /* of "data" */
	assert_false(exists(at(f, ".stage-" A)));
	assert_false(exists(at(f, ".lock-" A)));
}

static void damage_is_found(const struct fixture *f, const char *name, const char *content,
			    bool cheap)
{
	const char *path = test_path(at(f, A), name);
	CLEANUP(free) char *old = test_read(path, NULL);
	struct err e = {0};

	assert_int_equal(chmod(path, 0644), 0);
	test_write(path, content, strlen(content));
	assert_int_equal(store_has(f->store, A), !cheap);
	assert_false(store_check(f->store, A, &e));
	assert_non_null(strstr(e.msg, name));
	test_write(path, old, strlen(old));
	assert_true(store_has(f->store, A));
}

static void what_was_damaged_is_named(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	make(f->store, A);
	damage_is_found(f, "libx.so.0", "longer content", true);
	damage_is_found(f, "libx.so.0", "LIBRARY", false);
	damage_is_found(f, "manifest.json", "{\"format\": 1, \"dig", true);
	damage_is_found(f, "manifest.json", "", true);
	assert_int_equal(chmod(at(f, A), 0755), 0);
	assert_int_equal(unlink(at(f, A "/libx.so")), 0);
	assert_false(store_has(f->store, A));
	assert_int_equal(symlink("server", at(f, A "/libx.so")), 0);
	assert_false(store_check(f->store, A, &e));
	assert_non_null(strstr(e.msg, "leads to 'server', not to 'libx.so.0'"));
}

static void a_damaged_piece_is_built_again(void **state)
{
	struct fixture *f = *state;

	make(f->store, A);
	assert_int_equal(chmod(at(f, A), 0755), 0);
	assert_int_equal(unlink(at(f, A "/server")), 0);
	make(f->store, A);
	assert_true(store_has(f->store, A));
	assert_false(exists(at(f, ".stage-" A)));
}

static void a_folder_without_a_row_is_adopted(void **state)
{
	struct fixture *f = *state;
	CLEANUP(store_free) struct store *other = NULL;
	struct err e = {0};

	make(f->store, A);
	assert_true(store_open(store_dir(f->store), "another", &other, &e));
	assert_null(begin(other, A));
	assert_true(store_root_add(other, A, &e));
}

static void an_aborted_stage_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_stage *st = begin(f->store, A);

	fill(st);
	store_stage_abort(st);
	assert_false(exists(at(f, ".stage-" A)));
	assert_false(exists(at(f, ".lock-" A)));
	assert_false(store_has(f->store, A));
	store_stage_abort(NULL);
}

static void a_stage_with(struct fixture *f, const char *link, const char *why)
{
	struct store_stage *st = begin(f->store, A);
	struct err e = {0};

	if (link != NULL)
		assert_int_equal(symlink(link, test_path(store_stage_out(st), "link")), 0);
	assert_false(store_stage_publish(st, "base", "", &e));
	if (strstr(e.msg, why) == NULL)
		fail_msg("'%s' has no '%s'", e.msg, why);
	assert_false(exists(at(f, ".stage-" A)));
	assert_false(exists(at(f, A)));
}

static void what_leads_out_is_not_published(void **state)
{
	a_stage_with(*state, "/etc/passwd", "leads out of its piece, to '/etc/passwd'");
	a_stage_with(*state, "../../x", "leads out of its piece");
	a_stage_with(*state, "sub/../../x", "leads out of its piece");
	a_stage_with(*state, NULL, "has no files");
}

#ifdef SHUNT_FAULTS
static void publishing_fails_at(struct fixture *f, const char *fault, enum err_kind kind)
{
	struct store_stage *st = begin(f->store, A);
	struct err e = {0};

	fill(st);
	assert_int_equal(setenv("FAULT", fault, 1), 0);
	assert_false(store_stage_publish(st, "base", "", &e));
	assert_int_equal(unsetenv("FAULT"), 0);
	assert_int_equal(e.kind, kind);
	assert_false(exists(at(f, A)));
	assert_false(exists(at(f, ".stage-" A)));
	assert_false(exists(at(f, ".lock-" A)));
}

static void a_failed_publication_leaves_nothing(void **state)
{
	publishing_fails_at(*state, "fs.write", ERR_SYSTEM);
	publishing_fails_at(*state, "fs.write:1:full", ERR_NO_SPACE);
	publishing_fails_at(*state, "fs.rename", ERR_SYSTEM);
	publishing_fails_at(*state, "fs.rename:2", ERR_SYSTEM);
	publishing_fails_at(*state, "store.publish", ERR_SYSTEM);
	make(((struct fixture *)*state)->store, A);
}

static void after_a_crash_the_stage_is_swept(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	int removed = -1;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct store_stage *st = begin(f->store, A);

		fill(st);
		(void)setenv("FAULT", "store.publish:1:crash", 1);
		(void)!store_stage_publish(st, "base", "", NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(exists(at(f, ".stage-" A)));
	assert_true(store_sweep(f->store, &removed, &e));
	assert_int_equal(removed, 1);
	assert_false(exists(at(f, ".stage-" A)));
	assert_false(exists(at(f, ".lock-" A)));
	assert_false(store_has(f->store, A));
	make(f->store, A);
}
#endif

/* A stage whose builder died: one that is noted in it, and what the next to sweep removes. */
static void die_in_stage(struct fixture *f, const char *note, bool left)
{
	struct store_stage *st = NULL;
	struct err e = {0};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		st = begin(f->store, A);
		fill(st);
		if (note && !store_stage_set_note(st, note, &e))
			_exit(1);
		if (left)
			store_stage_leave(st);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int sweep(const struct fixture *f)
{
	struct err e = {0};
	int removed = -1;

	assert_true(store_sweep(f->store, &removed, &e));
	assert_false(exists(at(f, ".lock-" A)));
	return removed;
}

static void a_stage_with_a_note_is_taken_up(void **state)
{
	struct fixture *f = *state;
	struct store_stage *st = NULL;
	struct err e = {0};

	die_in_stage(f, "compiling\nfast", false);
	assert_int_equal(sweep(f), 0);
	st = begin(f->store, A);
	assert_string_equal(store_stage_note(st), "compiling\nfast");
	assert_true(exists(test_path(store_stage_path(st), "scratch")));
	assert_false(exists(test_path(store_stage_out(st), "server"))); /* half of it, perhaps */
	fill(st);
	assert_true(store_stage_publish(st, "base", "", &e));
	assert_true(store_check(f->store, A, &e));
	assert_false(exists(at(f, ".stage-" A)));
}

static void a_stage_is_emptied_when_its_note_is_of_no_use(void **state)
{
	struct fixture *f = *state;
	struct store_stage *st = NULL;
	struct err e = {0};

	die_in_stage(f, "something else", false);
	st = begin(f->store, A);
	assert_true(store_stage_clear(st, &e));
	assert_null(store_stage_note(st));
	assert_false(exists(test_path(store_stage_path(st), "scratch")));
	assert_true(exists(store_stage_out(st)));
	store_stage_leave(st); /* as an abort: nothing is noted */
	assert_false(exists(at(f, ".stage-" A)));
}

/* Its first line is the machine's boot. */
static void change_note(const struct fixture *f, const char *text)
{
	test_write(at(f, ".stage-" A "/note"), text, strlen(text));
}

static void a_note_is_for_one_boot_unless_the_stage_was_left_in_order(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *note = NULL;
	struct store_stage *st = NULL;

	die_in_stage(f, "x", false);
	change_note(f, "11111111-2222-3333-4444-555555555555\nx");
	assert_int_equal(sweep(f), 1);
	assert_false(exists(at(f, ".stage-" A)));

	die_in_stage(f, "x", true);
	note = test_read(at(f, ".stage-" A "/note"), NULL);
	assert_string_equal(note, "any\nx");
	assert_int_equal(sweep(f), 0);
	st = begin(f->store, A);
	free(note);
	note = test_read(at(f, ".stage-" A "/note"), NULL);
	assert_string_not_equal(note, "any\nx"); /* we may die with the machine */
	store_stage_abort(st);
}

static void a_stage_that_nobody_takes_up_goes(void **state)
{
	struct fixture *f = *state;
	const struct timespec old[2] = {{.tv_sec = time(NULL) - 4 * 24 * 3600},
					{.tv_sec = time(NULL) - 4 * 24 * 3600}};

	die_in_stage(f, NULL, false); /* died before there was anything to note */
	assert_int_equal(sweep(f), 1);
	die_in_stage(f, "x", false);
	change_note(f, "cut of");
	assert_int_equal(sweep(f), 1);
	die_in_stage(f, "x", false);
	assert_int_equal(utimensat(AT_FDCWD, at(f, ".stage-" A "/note"), old, 0), 0);
	assert_int_equal(sweep(f), 1);
	assert_false(exists(at(f, ".stage-" A)));
}

static void a_living_stage_is_not_swept(void **state)
{
	struct fixture *f = *state;
	struct store_stage *st = begin(f->store, A);
	struct err e = {0};
	int removed = -1;

	fill(st);
	assert_true(store_sweep(f->store, &removed, &e));
	assert_int_equal(removed, 0);
	assert_true(store_stage_publish(st, "base", "", &e));
}

static void what_still_works_in_a_stage_is_killed(void **state)
{
	struct fixture *f = *state;
	struct store_stage *st = begin(f->store, A);
	int ready[2];
	int status = 0;
	char byte = 0;
	pid_t pid = 0;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (setpgid(0, 0) == 0 && chdir(store_stage_path(st)) == 0)
			(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	store_stage_abort(st);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static bool give_up(void *arg)
{
	int *asked = arg;

	return ++*asked > 1;
}

static void a_second_builder_waits_and_can_give_up(void **state)
{
	struct fixture *f = *state;
	CLEANUP(store_stage_abort) struct store_stage *first = begin(f->store, A);
	struct store_stage *second = NULL;
	struct err e = {0};
	int asked = 0;

	assert_false(store_stage_begin(f->store, A, give_up, &asked, &second, &e));
	assert_int_equal(e.kind, ERR_CANCELLED);
	assert_int_equal(asked, 2);
	second = begin(f->store, B); /* another digest does not wait */
	store_stage_abort(second);
}

/* Publishes the first stage once the second builder has asked twice: it is waiting then. */
struct meeting {
	struct store_stage *first;
	int asked;
};

static bool publish_first(void *arg)
{
	struct meeting *m = arg;
	struct err e = {0};

	if (++m->asked == 2 && !store_stage_publish(STEAL(m->first), "base", "", &e))
		fail_msg("%s", e.msg);
	return false;
}

static bool abort_first(void *arg)
{
	struct meeting *m = arg;

	if (++m->asked == 2)
		store_stage_abort(STEAL(m->first));
	return false;
}

static void a_second_builder_takes_the_first_ones_result(void **state)
{
	struct fixture *f = *state;
	struct meeting m = {.first = begin(f->store, A)};
	struct store_stage *second = NULL;
	struct err e = {0};

	fill(m.first);
	assert_true(store_stage_begin(f->store, A, publish_first, &m, &second, &e));
	assert_null(second);
	assert_true(store_has(f->store, A));
	assert_false(exists(at(f, ".lock-" A)));
}

static void a_second_builder_builds_when_the_first_fails(void **state)
{
	struct fixture *f = *state;
	struct meeting m = {.first = begin(f->store, A)};
	struct store_stage *second = NULL;
	struct err e = {0};

	assert_true(store_stage_begin(f->store, A, abort_first, &m, &second, &e));
	assert_non_null(second);
	store_stage_abort(second);
}

static void another_daemons_builder_dying_lets_us_build(void **state)
{
	struct fixture *f = *state;
	int ready[2];
	char byte = 0;
	struct store_stage *st = NULL;
	pid_t pid = 0;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		fill(begin(f->store, A));
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	st = begin(f->store, A);
	assert_non_null(st);
	assert_false(exists(test_path(store_stage_path(st), "scratch")));
	fill(st);
	assert_true(store_stage_publish(st, "base", "", NULL));
}

enum { BUILDERS = 8 };

struct builder {
	pthread_t thread;
	struct store *store;
	bool built;
	bool ok;
};

static void *build_one(void *arg)
{
	struct builder *b = arg;
	struct store_stage *st = NULL;

	b->ok = store_stage_begin(b->store, A, NULL, NULL, &st, NULL);
	b->built = st != NULL;
	if (st != NULL) {
		fill(st);
		b->ok = store_stage_publish(st, "base", "", NULL);
	}
	return NULL;
}

static void of_many_builders_one_builds(void **state)
{
	struct fixture *f = *state;
	struct builder all[BUILDERS] = {0};
	int built = 0;

	for (int i = 0; i < BUILDERS; i++) {
		all[i].store = f->store;
		assert_int_equal(pthread_create(&all[i].thread, NULL, build_one, &all[i]), 0);
	}
	for (int i = 0; i < BUILDERS; i++) {
		assert_int_equal(pthread_join(all[i].thread, NULL), 0);
		assert_true(all[i].ok);
		built += all[i].built;
	}
	assert_int_equal(built, 1);
}

/* --- roots and garbage ------------------------------------------------------------------------ */

static size_t collect_kind(struct store *s, bool dry_run, const char *kind, char *ret_digest)
{
	struct store_item *items = NULL;
	size_t count = 0;
	struct err e = {0};

	if (!store_gc(s, dry_run, &items, &count, &e))
		fail_msg("%s", e.msg);
	if (count > 0) {
		memcpy(ret_digest, items[0].digest, 65);
		assert_true(items[0].size_bytes > 13);
		assert_string_equal(items[0].kind, kind);
	}
	store_items_free(items, count);
	return count;
}

static size_t collect(struct store *s, bool dry_run, char *ret_digest)
{
	return collect_kind(s, dry_run, "base", ret_digest);
}

static void a_stage_that_nobody_works_in_is_collected(void **state)
{
	struct fixture *f = *state;
	struct store_stage *st = NULL;
	char digest[65] = "";

	st = begin(f->store, B);
	die_in_stage(f, "x", false);
	assert_int_equal(collect_kind(f->store, true, "stage", digest), 1);
	assert_string_equal(digest, A);
	assert_true(exists(at(f, ".stage-" A)));
	assert_int_equal(collect_kind(f->store, false, "stage", digest), 1);
	assert_false(exists(at(f, ".stage-" A)));
	assert_true(exists(at(f, ".stage-" B)));
	store_stage_abort(st);
}

static void what_any_root_names_stays(void **state)
{
	struct fixture *f = *state;
	CLEANUP(store_free) struct store *other = NULL;
	char digest[65] = "";
	struct err e = {0};

	assert_true(store_open(store_dir(f->store), "fedcba9876543210", &other, &e));
	make(f->store, A);
	make(f->store, B);
	assert_true(store_root_add(other, A, &e));
	assert_true(store_root_add(other, A, &e));
	assert_int_equal(collect(f->store, true, digest), 1);
	assert_string_equal(digest, B);
	assert_true(store_has(f->store, B));
	assert_int_equal(collect(f->store, false, digest), 1);
	assert_false(exists(at(f, B)));
	assert_true(store_has(f->store, A));
	assert_true(store_root_remove(f->store, A, &e)); /* not ours: nothing happens */
	assert_int_equal(collect(f->store, false, digest), 0);
	assert_true(store_root_remove(other, A, &e));
	assert_true(store_root_remove(other, A, &e));
	assert_int_equal(collect(f->store, false, digest), 1);
	assert_false(exists(at(f, A)));
	assert_false(exists(at(f, ".stage-" A)));
	assert_false(exists(at(f, ".lock-" A)));
}

static void a_root_needs_its_piece(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_false(store_root_add(f->store, A, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_true(e.hint[0] != '\0');
	assert_false(exists(at(f, "roots/0123456789abcdef/" A)));
}

static void a_held_piece_is_not_collected(void **state)
{
	struct fixture *f = *state;
	CLEANUP(close) int lock = -1;
	char digest[65] = "";
	struct err e = {0};

	make(f->store, A);
	assert_true(fs_lock(at(f, ".lock-" A), FS_LOCK_TRY, &lock, &e));
	assert_int_equal(collect(f->store, false, digest), 0);
	assert_true(store_has(f->store, A));
}

static void a_store_that_cannot_be_made_says_so(void **state)
{
	struct fixture *f = *state;
	struct store *none = NULL;
	struct err e = {0};

	test_write(test_path(f->dir, "file"), "", 0);
	assert_false(store_open(test_path(f->dir, "file"), "x", &none, &e));
	assert_non_null(strstr(e.msg, "/file"));
	assert_non_null(strstr(e.hint, "--store-dir"));
	err_clear(&e);
	assert_false(store_open(store_dir(f->store), "../x", &none, &e));
	assert_non_null(strstr(e.msg, "'../x'"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_published_piece_is_whole_read_only_and_described),
		TEST(what_was_damaged_is_named),
		TEST(a_damaged_piece_is_built_again),
		TEST(a_folder_without_a_row_is_adopted),
		TEST(an_aborted_stage_leaves_nothing),
		TEST(what_leads_out_is_not_published),
#ifdef SHUNT_FAULTS
		TEST(a_failed_publication_leaves_nothing),
		TEST(after_a_crash_the_stage_is_swept),
#endif
		TEST(a_stage_with_a_note_is_taken_up),
		TEST(a_stage_is_emptied_when_its_note_is_of_no_use),
		TEST(a_note_is_for_one_boot_unless_the_stage_was_left_in_order),
		TEST(a_stage_that_nobody_takes_up_goes),
		TEST(a_living_stage_is_not_swept),
		TEST(what_still_works_in_a_stage_is_killed),
		TEST(a_second_builder_waits_and_can_give_up),
		TEST(a_second_builder_takes_the_first_ones_result),
		TEST(a_second_builder_builds_when_the_first_fails),
		TEST(another_daemons_builder_dying_lets_us_build),
		TEST(of_many_builders_one_builds),
		TEST(what_any_root_names_stays),
		TEST(a_stage_that_nobody_works_in_is_collected),
		TEST(a_root_needs_its_piece),
		TEST(a_held_piece_is_not_collected),
		TEST(a_store_that_cannot_be_made_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
