/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/proc.h"
#include "engine/source.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A folder with a small sdist in it: top/vendor/llama.cpp/… and its archive. */
struct fixture {
	char *dir;
	struct pin pin;
	char hash[65]; /* of the archive */
	char *old_path;
};

static void run(const char *const *argv)
{
	struct proc_run r = {.argv = argv};
	struct err e = {0};
	int status = -1;

	if (!proc_run(&r, &status, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(status, 0);
}

static void make_folder(const char *dir, const char *name)
{
	assert_true(fs_mkdirs(test_path(dir, name), 0755, NULL));
}

static void put(const char *dir, const char *name, const char *text)
{
	test_write(test_path(dir, name), text, strlen(text));
}

static void make_tree(const char *dir, const char *top)
{
	CLEANUP(free) char *at = fs_join(dir, top);

	make_folder(at, "ggml/src");
	make_folder(at, "docs");
	put(at, "CMakeLists.txt", "project(x)\n");
	put(at, "ggml/src/a.cpp", "int a;\n");
	put(at, "docs/big.md", "not needed\n");
	assert_int_equal(symlink("a.cpp", test_path(at, "ggml/src/link.cpp")), 0);
}

static int setup(void **state)
{
	static char package[] = "llama-cpp-python";
	static char version[] = "1.0";
	static char sha256[] = HASH;
	static char subfolder[] = "vendor/llama.cpp";
	static char backend[] = "pip";
	struct fixture *f = mem_alloc(sizeof(*f));

	f->dir = test_dir_new();
	f->pin = (struct pin){.folder = f->dir,
			      .package = package,
			      .version = version,
			      .sha256 = sha256,
			      .size = 100,
			      .subfolder = subfolder,
			      .backend = backend};
	strv_add(&f->pin.skip, "docs");
	make_tree(f->dir, "top-1.0/vendor/llama.cpp");
	put(f->dir, "top-1.0/README", "of the package\n");
	CLEANUP(free) char *archive = fs_join(f->dir, "a.tar.gz");
	const char *const tar[] = {"tar", "-czf", archive, "-C", f->dir, "top-1.0", NULL};
	run(tar);
	assert_true(hash_file(archive, NULL, NULL, f->hash, NULL));
	f->old_path = mem_dup(getenv("PATH"));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)setenv("PATH", f->old_path, 1);
	strv_done(&f->pin.skip);
	test_dir_free(f->dir);
	free(f->old_path);
	free(f);
	return 0;
}

/* --- what engine_source may say --------------------------------------------------------------- */

static struct source *parse(struct fixture *f, const char *text)
{
	CLEANUP(free) char *cache = fs_join(f->dir, "cache");
	struct source *s = NULL;
	struct err e = {0};

	if (!source_parse(text, &f->pin, cache, &s, &e))
		fail_msg("%s", e.msg);
	return s;
}

static void nothing_means_the_pin(void **state)
{
	CLEANUP(source_free) struct source *s = parse(*state, NULL);
	CLEANUP(source_free) struct source *empty = parse(*state, "");

	assert_int_equal(s->kind, SOURCE_PIP);
	assert_int_equal(empty->kind, SOURCE_PIP);
	assert_string_equal(s->where, "llama-cpp-python");
	assert_string_equal(s->version, "1.0");
	assert_string_equal(s->sha256, HASH);
	assert_int_equal(s->size, 100);
	assert_false(source_is_here(s));
}

static void a_hash_is_cut_off_the_end(void **state)
{
	CLEANUP(source_free)
	struct source *s = parse(*state, "https://host/a b.tar.gz   sha256=" HASH "  ");
	CLEANUP(source_free) struct source *pip = parse(*state, "pip:other_x==2.0b1 sha256=" HASH);

	assert_int_equal(s->kind, SOURCE_URL);
	assert_string_equal(s->where, "https://host/a b.tar.gz");
	assert_string_equal(s->sha256, HASH);
	assert_string_equal(pip->where, "other_x");
	assert_string_equal(pip->version, "2.0b1");
}

static void is_refused(struct fixture *f, const char *text, const char *why)
{
	struct source *s = NULL;
	struct err e = {0};

	assert_false(source_parse(text, &f->pin, f->dir, &s, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	assert_true(e.hint[0] != '\0');
	if (strstr(e.msg, why) == NULL || strstr(e.msg, text) == NULL)
		fail_msg("'%s' has no '%s'", e.msg, why);
}

static void what_it_cannot_be_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *folder = mem_printf("%s sha256=" HASH, f->dir);

	is_refused(f, "pip:llama-cpp-python", "names no version");
	is_refused(f, "pip:-r==1 sha256=" HASH, "is no package");
	is_refused(f, "pip:a/b==1 sha256=" HASH, "is no package");
	is_refused(f, "pip:a==1;x sha256=" HASH, "is no package");
	is_refused(f, "pip:llama-cpp-python==2.0", "has no sha256");
	is_refused(f, "https://host/x.tar.gz", "needs a sha256");
	is_refused(f, "https://host/x.tar.gz sha256=12", "64 hex digits");
	is_refused(f, "relative/folder", "must be absolute");
	is_refused(f, "/nowhere/at/all", "is not there");
	is_refused(f, "/dev/null", "neither a folder nor an archive");
	is_refused(f, folder, "a folder has no sha256");
}

/* --- getting and unpacking -------------------------------------------------------------------- */

static void no_progress(void *arg, double fraction)
{
}

static void no_line(void *arg, const char *line)
{
}

static bool never(void *arg)
{
	return false;
}

static const struct source_watch watch = {no_progress, no_line, never, NULL};

/* Into <dir>/stage. */
static bool get(struct fixture *f, const char *text, struct err *e)
{
	CLEANUP(source_free) struct source *s = parse(f, text);
	CLEANUP(free) char *archive = NULL;
	CLEANUP(free) char *stage = fs_join(f->dir, "stage");
	char hash[65];

	assert_true(fs_mkdirs(stage, 0700, NULL));
	return source_hash(s, &f->pin, hash, e) && source_get(s, hash, &watch, &archive, e) &&
	       source_unpack(s, &f->pin, archive, hash, stage, &watch, e);
}

static void is_unpacked(struct fixture *f, const char *text)
{
	struct err e = {0};
	CLEANUP(free) char *content = NULL;

	if (!get(f, text, &e))
		fail_msg("%s", e.msg);
	content = test_read(test_path(f->dir, "stage/src/ggml/src/link.cpp"), NULL);
	assert_string_equal(content, "int a;\n");
	assert_false(fs_exists(test_path(f->dir, "stage/src/docs")));
	assert_false(fs_exists(test_path(f->dir, "stage/unpacked")));
	assert_true(fs_remove_tree(test_path(f->dir, "stage"), NULL));
}

static void each_kind_of_source_is_unpacked(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *archive = fs_join(f->dir, "a.tar.gz");
	CLEANUP(free) char *pinned = mem_printf("%s sha256=%s", archive, f->hash);
	CLEANUP(free) char *url = mem_printf("file://%s sha256=%s", archive, f->hash);
	CLEANUP(free) char *package = fs_join(f->dir, "top-1.0");
	CLEANUP(free) char *inner = fs_join(f->dir, "top-1.0/vendor/llama.cpp");
	CLEANUP(free) char *cached = mem_printf("%s/cache/source/%s", f->dir, f->hash);

	is_unpacked(f, archive);
	is_unpacked(f, pinned);
	is_unpacked(f, package);
	is_unpacked(f, inner);
	is_unpacked(f, url);
	assert_true(fs_exists(cached));
	assert_int_equal(unlink(archive), 0); /* from the cache now */
	is_unpacked(f, url);
}

static void an_archive_of_llama_cpp_itself_is_unpacked(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *archive = fs_join(f->dir, "b.tar.xz");
	CLEANUP(free) char *vendor = fs_join(f->dir, "top-1.0/vendor");
	const char *const tar[] = {"tar", "-cJf", archive, "-C", vendor, "llama.cpp", NULL};
	struct err e = {0};

	run(tar);
	if (!get(f, archive, &e))
		fail_msg("%s", e.msg);
	assert_true(fs_exists(test_path(f->dir, "stage/src/ggml/src/a.cpp")));
}

static void fails(struct fixture *f, const char *text, enum err_kind kind, const char *why)
{
	struct err e = {0};

	assert_false(get(f, text, &e));
	if (strstr(e.msg, why) == NULL || e.kind != kind)
		fail_msg("%s: '%s' has no '%s'", err_name(e.kind), e.msg, why);
	assert_true(e.hint[0] != '\0' || kind == ERR_INVALID);
	assert_true(fs_remove_tree(test_path(f->dir, "stage"), NULL));
}

static void a_wrong_hash_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *archive = mem_printf("%s/a.tar.gz sha256=" HASH, f->dir);
	CLEANUP(free) char *url = mem_printf("file://%s/a.tar.gz sha256=" HASH, f->dir);

	fails(f, archive, ERR_VERIFY, f->hash);
	fails(f, url, ERR_VERIFY, f->hash);
	assert_false(fs_exists(test_path(f->dir, "cache/source/" HASH)));
	assert_false(fs_exists(test_path(f->dir, "cache/source/" HASH ".part")));
}

static void what_was_altered_in_the_cache_is_fetched_again(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *url = mem_printf("file://%s/a.tar.gz sha256=%s", f->dir, f->hash);
	CLEANUP(free) char *cached = mem_printf("%s/cache/source/%s", f->dir, f->hash);

	is_unpacked(f, url);
	test_write(cached, "short", 5);
	is_unpacked(f, url);
}

static void a_damaged_archive_is_named(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *archive = fs_join(f->dir, "a.tar.gz");

	assert_int_equal(truncate(archive, 200), 0);
	fails(f, archive, ERR_INVALID, "a.tar.gz' failed");
	test_write(archive, "no archive at all", 17);
	fails(f, archive, ERR_INVALID, "a.tar.gz' failed");
	test_write(archive, "", 0);
	fails(f, archive, ERR_INVALID, "a.tar.gz' ");
}

static void a_folder_without_llama_cpp_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *empty = fs_join(f->dir, "empty");

	make_folder(f->dir, "empty");
	fails(f, empty, ERR_INVALID, "has no llama.cpp");
}

static void a_folders_hash_is_of_what_counts(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *inner = fs_join(f->dir, "top-1.0/vendor/llama.cpp");
	char first[65];
	char second[65];

	assert_true(tree_hash(inner, &f->pin, first, NULL));
	put(inner, "docs/more.md", "not counted");
	make_folder(inner, ".git");
	put(inner, ".git/HEAD", "not counted");
	assert_true(tree_hash(inner, &f->pin, second, NULL));
	assert_string_equal(first, second);
	put(inner, "ggml/src/a.cpp", "int b;\n");
	assert_true(tree_hash(inner, &f->pin, second, NULL));
	assert_string_not_equal(first, second);
	put(inner, "ggml/src/a.cpp", "int a;\n");
	assert_int_equal(
		rename(test_path(inner, "ggml/src/a.cpp"), test_path(inner, "ggml/src/b.cpp")), 0);
	assert_true(tree_hash(inner, &f->pin, second, NULL));
	assert_string_not_equal(first, second);
}

static void a_folder_that_changes_meanwhile_is_noticed(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *inner = fs_join(f->dir, "top-1.0/vendor/llama.cpp");
	CLEANUP(source_free) struct source *s = parse(f, inner);
	CLEANUP(free) char *stage = fs_join(f->dir, "stage");
	struct err e = {0};
	char hash[65];

	assert_true(source_hash(s, &f->pin, hash, &e));
	put(inner, "ggml/src/a.cpp", "int changed;\n");
	assert_true(fs_mkdirs(stage, 0700, &e));
	assert_false(source_unpack(s, &f->pin, NULL, hash, stage, &watch, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "was changed meanwhile"));
}

/* --- pip -------------------------------------------------------------------------------------- */

/* A python3 that does this, before the real PATH. */
static void fake_python(struct fixture *f, const char *script)
{
	CLEANUP(free) char *text = mem_printf("#!/bin/sh\n%s\n", script);
	CLEANUP(free) char *path = mem_printf("%s/bin:%s", f->dir, f->old_path);

	make_folder(f->dir, "bin");
	put(f->dir, "bin/python3", text);
	assert_int_equal(chmod(test_path(f->dir, "bin/python3"), 0755), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
}

/* The argument after --dest is $dest. */
#define DEST "while [ $# -gt 0 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done; "

static void pips_failures_are_named(void **state)
{
	struct fixture *f = *state;

	fake_python(f, "echo '/usr/bin/python3: No module named pip'; exit 1");
	fails(f, "", ERR_TOOLKIT, "python3 has no pip");
	fake_python(f, "echo 'WARNING: Retrying: NewConnectionError: Failed to establish a new "
		       "connection: [Errno 101] Network is unreachable'; "
		       "echo 'ERROR: No matching distribution found for x'; exit 1");
	fails(f, "", ERR_UNAVAILABLE, "fetching llama-cpp-python==1.0 with pip failed");
	fake_python(f, "echo 'ERROR: No matching distribution found for x'; exit 1");
	fails(f, "", ERR_NOT_FOUND, "No matching distribution found for x");
	fake_python(f, "echo 'ERROR: Could not install: [Errno 28] No space left on device'; "
		       "exit 1");
	fails(f, "", ERR_NO_SPACE, "No space left on device");
	fake_python(f, DEST "echo something else > $dest/llama.tar.gz");
	fails(f, "", ERR_VERIFY, "pip's llama-cpp-python 1.0 has the SHA-256");
	fake_python(f, "exit 0");
	fails(f, "", ERR_SYSTEM, "fetched nothing");
	assert_false(fs_exists(test_path(f->dir, "cache/source/.pip-" HASH)));
	assert_false(fs_exists(test_path(f->dir, "cache/source/" HASH)));
}

static void pip_gets_our_backend_and_its_file_is_kept(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *log = fs_join(f->dir, "args");
	CLEANUP(free)
	char *script = mem_printf("echo \"$PYTHONPATH $*\" > %s; " DEST "cp %s/a.tar.gz $dest/",
				  log, f->dir);
	CLEANUP(free) char *cached = mem_printf("%s/cache/source/%s", f->dir, f->hash);
	CLEANUP(free) char *args = NULL;

	f->pin.sha256 = f->hash;
	fake_python(f, script);
	is_unpacked(f, "");
	args = test_read(log, NULL);
	assert_non_null(
		strstr(args, "/pip -m pip download --no-deps --no-binary llama-cpp-python"));
	assert_non_null(strstr(args, "--no-build-isolation"));
	assert_true(fs_exists(cached));
	fake_python(f, "exit 1");
	is_unpacked(f, "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_means_the_pin),
		TEST(a_hash_is_cut_off_the_end),
		TEST(what_it_cannot_be_is_refused),
		TEST(each_kind_of_source_is_unpacked),
		TEST(an_archive_of_llama_cpp_itself_is_unpacked),
		TEST(a_wrong_hash_leaves_nothing),
		TEST(what_was_altered_in_the_cache_is_fetched_again),
		TEST(a_damaged_archive_is_named),
		TEST(a_folder_without_llama_cpp_is_refused),
		TEST(a_folders_hash_is_of_what_counts),
		TEST(a_folder_that_changes_meanwhile_is_noticed),
		TEST(pips_failures_are_named),
		TEST(pip_gets_our_backend_and_its_file_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
