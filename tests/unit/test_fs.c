/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

static void folders_are_made_with_their_parents(void **state)
{
	const char *path = test_path(*state, "a/b//c/");
	struct err e = {0};

	assert_true(fs_mkdirs(path, 0750, &e));
	assert_true(fs_mkdirs(path, 0750, &e));
	assert_true(fs_is_folder(path));
	test_write(test_path(*state, "file"), "", 0);
	assert_false(fs_mkdirs(test_path(*state, "file/x"), 0750, &e));
	assert_non_null(strstr(e.msg, "/file': Not a directory"));
	err_clear(&e);
	assert_false(fs_mkdirs("", 0750, &e));
}

static void a_file_is_read_whole_or_not_at_all(void **state)
{
	const char *path = test_path(*state, "f");
	CLEANUP(free) char *text = NULL;
	CLEANUP(free) char *none = NULL;
	size_t len = 0;
	struct err e = {0};

	test_write(path, "a\0bc", 4);
	assert_true(fs_read(path, 4, &text, &len, &e));
	assert_int_equal(len, 4);
	assert_memory_equal(text, "a\0bc", 5);
	assert_false(fs_read(path, 3, &none, &len, &e));
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_null(none);
	err_clear(&e);
	assert_false(fs_read(test_path(*state, "none"), 3, &none, NULL, &e));
	assert_non_null(strstr(e.msg, "none': No such file"));
	assert_true(fs_read("/proc/self/stat", 1 << 16, &none, NULL, NULL));
	assert_true(strlen(none) > 0);
}

static void what_is_no_file_is_refused_without_blocking(void **state)
{
	CLEANUP(free) char *text = NULL;
	struct err e = {0};

	assert_int_equal(mkfifo(test_path(*state, "fifo"), 0600), 0);
	assert_false(fs_read(test_path(*state, "fifo"), 10, &text, NULL, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	err_clear(&e);
	assert_false(fs_read(*state, 10, &text, NULL, &e));
	assert_non_null(strstr(e.msg, "is not a regular file"));
}

static void replacing_gives_new_content_and_mode(void **state)
{
	const char *path = test_path(*state, "f");
	CLEANUP(free) char *text = NULL;
	struct stat st = {0};
	struct err e = {0};

	test_write(path, "a longer old text", 17);
	test_write(test_path(*state, "f.new"), "left by a crash, longer still", 29);
	assert_true(fs_replace(path, "new", 3, 0600, &e));
	text = test_read(path, NULL);
	assert_string_equal(text, "new");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_false(fs_exists(test_path(*state, "f.new")));
	assert_true(fs_replace(test_path(*state, "empty"), NULL, 0, 0644, &e));
}

#ifdef SHUNT_FAULTS
static void replace_fails(const char *path, const char *fault, enum err_kind kind)
{
	CLEANUP(free) char *fresh = mem_printf("%s.new", path);
	CLEANUP(free) char *text = NULL;
	struct err e = {0};

	assert_int_equal(setenv("FAULT", fault, 1), 0);
	assert_false(fs_replace(path, "new", 3, 0600, &e));
	assert_int_equal(unsetenv("FAULT"), 0);
	assert_int_equal(e.kind, kind);
	assert_non_null(strstr(e.msg, path));
	text = test_read(path, NULL);
	assert_string_equal(text, "old");
	assert_false(fs_exists(fresh));
}

static void the_old_file_stays_when_replacing_fails(void **state)
{
	const char *path = test_path(*state, "f");

	test_write(path, "old", 3);
	replace_fails(path, "fs.write", ERR_SYSTEM);
	replace_fails(path, "fs.write:1:full", ERR_NO_SPACE);
	replace_fails(path, "fs.rename:1", ERR_SYSTEM);
}

static void a_fault_comes_at_its_visit(void **state)
{
	const char *path = test_path(*state, "f");
	int status = 0;
	pid_t pid = 0;
	CLEANUP(free) char *text = NULL;

	assert_int_equal(setenv("FAULT", "fs.rename:2:crash", 1), 0);
	pid = fork();
	if (pid == 0) {
		if (fs_replace(path, "one", 3, 0600, NULL))
			_exit(fs_replace(path, "two", 3, 0600, NULL));
		_exit(3);
	}
	assert_int_equal(unsetenv("FAULT"), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	text = test_read(path, NULL);
	assert_string_equal(text, "one");
}
#endif

static void a_short_write_is_gone_on_with_and_a_failed_one_told(void **state)
{
	const char *path = test_path(*state, "f");
	struct rlimit old = {0};
	struct rlimit small = {0};
	char data[8192] = {0};
	struct err e = {0};

	/* The limit cuts the first write short and fails the second. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){5000, old.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_false(fs_replace(path, data, sizeof(data), 0600, &e));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(e.msg, "File too large"));
	assert_false(fs_exists(path));
	assert_false(fs_exists(test_path(*state, "f.new")));
}

static void removing_never_follows_links(void **state)
{
	CLEANUP(free) char *kept = fs_join(*state, "kept/file");
	struct err e = {0};

	assert_true(fs_mkdirs(test_path(*state, "tree/a/b"), 0755, &e));
	assert_true(fs_mkdirs(test_path(*state, "kept"), 0755, &e));
	test_write(kept, "x", 1);
	test_write(test_path(*state, "tree/a/b/f"), "x", 1);
	assert_int_equal(symlink(test_path(*state, "kept"), test_path(*state, "tree/a/out")), 0);
	assert_int_equal(symlink(test_path(*state, "kept"), test_path(*state, "link")), 0);
	assert_int_equal(mkfifo(test_path(*state, "tree/fifo"), 0600), 0);
	assert_int_equal(chmod(test_path(*state, "tree/a/b"), 0500), 0);
	assert_int_equal(chmod(test_path(*state, "tree/a"), 0000), 0);

	assert_true(fs_remove_tree(test_path(*state, "tree"), &e));
	assert_false(fs_exists(test_path(*state, "tree")));
	assert_true(fs_remove_tree(test_path(*state, "tree"), &e));
	assert_true(fs_remove_tree(test_path(*state, "link/"), &e));
	assert_int_equal(access(test_path(*state, "link"), F_OK), -1);
	assert_true(fs_exists(kept));
	assert_true(fs_remove_tree(kept, &e));
	assert_false(fs_exists(kept));
}

static void a_tree_is_copied_with_its_links_and_modes(void **state)
{
	CLEANUP(free) char *copy = fs_join(*state, "copy");
	CLEANUP(free) char *text = NULL;
	char target[64] = {0};
	char big[300000];
	size_t size = 0;
	struct stat st = {0};
	struct err e = {0};

	memset(big, 'b', sizeof(big));
	assert_true(fs_mkdirs(test_path(*state, "tree/a/b"), 0755, &e));
	test_write(test_path(*state, "tree/a/b/run"), big, sizeof(big));
	assert_int_equal(chmod(test_path(*state, "tree/a/b/run"), 04755), 0);
	assert_int_equal(symlink("../a/./b/run", test_path(*state, "tree/a/link")), 0);
	assert_int_equal(symlink("nowhere", test_path(*state, "tree/dangling")), 0);
	assert_int_equal(chmod(test_path(*state, "tree/a/b"), 0500), 0);

	assert_true(fs_copy_tree(test_path(*state, "tree"), copy, &e));
	text = test_read(test_path(*state, "copy/a/link"), &size);
	assert_int_equal(size, sizeof(big));
	assert_memory_equal(text, big, size);
	assert_int_equal(stat(test_path(*state, "copy/a/b/run"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(test_path(*state, "copy/a/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0500);
	assert_int_equal(readlink(test_path(*state, "copy/dangling"), target, sizeof(target) - 1),
			 7);
	assert_string_equal(target, "nowhere");
}

static void links_that_leave_the_tree_are_refused(void **state)
{
	static const char *const bad[] = {"/etc/passwd", "../../x", "..//../x", "sub/../../x",
					  "sub/.."};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};
		const char *link = test_path(*state, "tree/sub/link");

		assert_true(fs_mkdirs(test_path(*state, "tree/sub"), 0755, &e));
		(void)unlink(link);
		assert_int_equal(symlink(bad[i], link), 0);
		assert_false(
			fs_copy_tree(test_path(*state, "tree"), test_path(*state, "copy"), &e));
		assert_int_equal(e.kind, ERR_INVALID);
		assert_non_null(strstr(e.msg, "leads out of its tree"));
		assert_non_null(strstr(e.msg, link));
		err_clear(&e);
		assert_true(fs_remove_tree(test_path(*state, "copy"), &e));
	}
}

static void what_cannot_be_copied_is_named(void **state)
{
	struct err e = {0};

	assert_true(fs_mkdirs(test_path(*state, "tree"), 0755, &e));
	assert_int_equal(mkfifo(test_path(*state, "tree/fifo"), 0600), 0);
	assert_false(fs_copy_tree(test_path(*state, "tree"), test_path(*state, "copy"), &e));
	assert_non_null(strstr(e.msg, "tree/fifo' is no file, folder or link"));
	err_clear(&e);
	assert_false(
		fs_copy_tree(test_path(*state, "tree"), test_path(*state, "tree/sub/copy"), &e));
	assert_non_null(strstr(e.msg, "into itself"));
	err_clear(&e);
	assert_false(fs_copy_tree(test_path(*state, "none"), test_path(*state, "copy"), &e));
	err_clear(&e);
	/* Nothing is overwritten. */
	assert_int_equal(unlink(test_path(*state, "tree/fifo")), 0);
	test_write(test_path(*state, "tree/f"), "new", 3);
	test_write(test_path(*state, "copy/f"), "old", 3);
	assert_false(fs_copy_tree(test_path(*state, "tree"), test_path(*state, "copy"), &e));
	assert_non_null(strstr(e.msg, "File exists"));
}

static void a_tree_is_measured_without_following_links(void **state)
{
	int64_t bytes = 0;
	struct err e = {0};

	assert_true(fs_mkdirs(test_path(*state, "tree/sub"), 0755, &e));
	test_write(test_path(*state, "tree/a"), "12345", 5);
	test_write(test_path(*state, "tree/sub/b"), "123", 3);
	test_write(test_path(*state, "outside"), "1234567", 7);
	assert_int_equal(symlink("../outside", test_path(*state, "tree/link")), 0);
	assert_true(fs_tree_size(test_path(*state, "tree"), &bytes, &e));
	assert_int_equal(bytes, 8);
	assert_true(fs_tree_size(test_path(*state, "outside"), &bytes, &e));
	assert_int_equal(bytes, 7);
	assert_false(fs_tree_size(test_path(*state, "none"), &bytes, &e));
	assert_true(fs_sync_tree(test_path(*state, "tree"), NULL));
}

static void free_space_is_that_of_the_nearest_folder(void **state)
{
	int64_t here = 0;
	int64_t below = 0;
	struct err e = {0};

	assert_true(fs_free_bytes(*state, &here, &e));
	assert_true(fs_free_bytes(test_path(*state, "not/yet/there"), &below, &e));
	assert_true(here > 0);
	assert_true(below > 0);
	assert_true(fs_free_bytes("not-there-either", &here, &e));
}

static bool collect(void *arg, const char *name, struct err *e)
{
	struct buf *b = arg;

	buf_printf(b, "%s ", name);
	return strcmp(name, "b") != 0 || err_set(e, ERR_CONFLICT, "enough");
}

static void entries_come_sorted_until_one_is_enough(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct err e = {0};

	test_write(test_path(*state, "c"), "", 0);
	test_write(test_path(*state, "a"), "", 0);
	assert_true(fs_each(*state, collect, &b, &e));
	assert_string_equal(b.data, "a c ");
	test_write(test_path(*state, "b"), "", 0);
	assert_false(fs_each(*state, collect, &b, &e));
	assert_string_equal(b.data, "a c a b ");
	assert_string_equal(e.msg, "enough");
	err_clear(&e);
	assert_false(fs_each(test_path(*state, "none"), collect, &b, &e));
	assert_non_null(strstr(e.msg, "none"));
}

static void a_link_is_replaced(void **state)
{
	char target[16] = {0};
	struct err e = {0};

	assert_true(fs_link("one", test_path(*state, "l"), &e));
	assert_int_equal(symlink("left", test_path(*state, "l.new")), 0);
	assert_true(fs_link("two", test_path(*state, "l"), &e));
	assert_int_equal(readlink(test_path(*state, "l"), target, sizeof(target) - 1), 3);
	assert_string_equal(target, "two");
}

static void joined(const char *a, const char *b, const char *expected)
{
	CLEANUP(free) char *path = fs_join(a, b);

	assert_string_equal(path, expected);
}

static void dir_of(const char *path, const char *expected)
{
	CLEANUP(free) char *dir = fs_dirname(path);

	assert_string_equal(dir, expected);
}

static void paths_are_joined_and_cut(void **state)
{
	joined("a", "b", "a/b");
	joined("a//", "//b/c", "a/b/c");
	joined("/", "b", "/b");
	joined("", "b", "b");
	joined("a/", "", "a");
	joined("/", "", "/");
	dir_of("a/b", "a");
	dir_of("a/b//", "a");
	dir_of("/a", "/");
	dir_of("/", "/");
	dir_of("a", ".");
	dir_of("", ".");
	dir_of("a//b", "a");
}

static void programs_are_found_in_path_only(void **state)
{
	CLEANUP(free) char *sh = fs_which("sh");
	CLEANUP(free) char *old = mem_dup(getenv("PATH"));
	CLEANUP(free) char *mine = NULL;

	assert_non_null(sh);
	assert_int_equal(sh[0], '/');
	assert_null(fs_which("no-such-program-at-all"));
	assert_null(fs_which("/bin/sh"));
	assert_null(fs_which(""));
	test_write(test_path(*state, "plain"), "", 0);
	test_write(test_path(*state, "tool"), "", 0);
	assert_int_equal(chmod(test_path(*state, "tool"), 0755), 0);
	assert_int_equal(setenv("PATH", *state, 1), 0);
	mine = fs_which("tool");
	assert_string_equal(mine, test_path(*state, "tool"));
	assert_null(fs_which("plain"));
	assert_int_equal(setenv("PATH", old, 1), 0);
}

static void tail_is(const char *path, size_t max, const char *expected)
{
	CLEANUP(free) char *text = fs_tail(path, max);

	assert_string_equal(text, expected);
}

static void the_tail_starts_with_a_line(void **state)
{
	const char *path = test_path(*state, "log");

	test_write(path, "one\ntwo\nthree\n", 14);
	tail_is(path, 100, "one\ntwo\nthree\n");
	tail_is(path, 14, "one\ntwo\nthree\n");
	tail_is(path, 10, "two\nthree\n");
	tail_is(path, 9, "three\n");
	tail_is(path, 4, "ree\n");
	tail_is(test_path(*state, "none"), 10, "");
}

static void a_lock_has_one_holder(void **state)
{
	const char *path = test_path(*state, "lock");
	int first = -1;
	int second = -2;
	struct err e = {0};

	assert_int_equal(fs_lock_holder(path), 0);
	assert_true(fs_lock(path, FS_LOCK_TRY, &first, &e));
	assert_true(first >= 0);
	assert_int_equal(fs_lock_holder(path), getpid());
	assert_true(fs_lock(path, FS_LOCK_TRY, &second, &e));
	assert_int_equal(second, -1);
	(void)close(first);
	assert_true(fs_lock(path, FS_LOCK_WAIT, &second, &e));
	assert_true(second >= 0);
	(void)close(second);
	assert_false(fs_lock(test_path(*state, "no/lock"), FS_LOCK_TRY, &second, &e));
	assert_non_null(strstr(e.msg, "no/lock"));
}

/* A child waits for the lock that we hold and remove: it must get the new file's, not the old's. */
static void a_removed_lock_file_locks_nothing(void **state)
{
	const char *path = test_path(*state, "lock");
	int ready[2];
	int ours = -1;
	int status = 0;
	char byte = 0;
	pid_t pid = 0;

	assert_true(fs_lock(path, FS_LOCK_TRY, &ours, NULL));
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int fd = -1;

		(void)close(ours); /* of the shared description; the parent's still holds it */
		(void)!write(ready[1], "x", 1);
		_exit(fs_lock(path, FS_LOCK_WAIT, &fd, NULL) && fs_lock_holder(path) == getpid()
			      ? 0
			      : 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(unlink(path), 0);
	(void)close(ours);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(folders_are_made_with_their_parents),
		IN_FOLDER(a_file_is_read_whole_or_not_at_all),
		IN_FOLDER(what_is_no_file_is_refused_without_blocking),
		IN_FOLDER(replacing_gives_new_content_and_mode),
#ifdef SHUNT_FAULTS
		IN_FOLDER(the_old_file_stays_when_replacing_fails),
		IN_FOLDER(a_fault_comes_at_its_visit),
#endif
		IN_FOLDER(a_short_write_is_gone_on_with_and_a_failed_one_told),
		IN_FOLDER(removing_never_follows_links),
		IN_FOLDER(a_tree_is_copied_with_its_links_and_modes),
		IN_FOLDER(links_that_leave_the_tree_are_refused),
		IN_FOLDER(what_cannot_be_copied_is_named),
		IN_FOLDER(a_tree_is_measured_without_following_links),
		IN_FOLDER(free_space_is_that_of_the_nearest_folder),
		IN_FOLDER(entries_come_sorted_until_one_is_enough),
		IN_FOLDER(a_link_is_replaced),
		cmocka_unit_test(paths_are_joined_and_cut),
		IN_FOLDER(programs_are_found_in_path_only),
		IN_FOLDER(the_tail_starts_with_a_line),
		IN_FOLDER(a_lock_has_one_holder),
		IN_FOLDER(a_removed_lock_file_locks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
