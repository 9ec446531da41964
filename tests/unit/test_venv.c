/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <limits.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "engine/python.h"
#include "env/env_python.h"

/* All that a shell, and Python's own reader of pyvenv.cfg, may take for something else. */
#define ODD "it's $HOME \"&\" `id` \\ #;é"

/* An environment on vulkan in a folder with an odd name, beside a store in another. */
struct fixture {
	char *dir, *folder, *program;
	struct envs es;
	struct db_env row;
};

static void must(bool ok, const struct err *e)
{
	if (!ok)
		fail_msg("%s", e->msg);
}

static char *digest_of(char letter)
{
	char *digest = mem_alloc(65);

	memset(digest, letter, 64);
	return digest;
}

/* In the piece with Python. */
static void put(struct fixture *f, const char *name)
{
	CLEANUP(free) char *piece = store_path(f->es.s.store, f->row.python_digest);
	CLEANUP(free) char *path = mem_printf("%s/" PYTHON_PIECE_FOLDER "/%s", piece, name);
	CLEANUP(free) char *folder = fs_dirname(path);
	struct err e = {0};

	must(fs_mkdirs(folder, 0755, &e), &e);
	test_write(path, "x", 1);
}

static int setup(void **state)
{
	static const char *const worker_env[] = {"A=b=c", "EMPTY=", NULL};
	static const char script[] = "#!/bin/sh\nprintf '<%s>' \"$@\"\n";
	struct fixture *f = mem_alloc(sizeof(*f));
	struct err e = {0};

	f->dir = test_dir_new();
	f->folder = mem_printf("%s/" ODD "/llm_tiny_vulkan", f->dir);
	f->program = mem_printf("%s/" ODD "/python3.13", f->dir);
	must(store_open(test_path(f->dir, ODD " store"), "0123456789abcdef", &f->es.s.store, &e),
	     &e);
	f->es.s.worker_env = worker_env;
	must(fs_mkdirs(test_path(f->folder, "bin"), 0755, &e), &e);
	must(fs_mkdirs(test_path(f->folder, "lib"), 0755, &e), &e);
	test_write(f->program, script, sizeof(script) - 1);
	assert_int_equal(chmod(f->program, 0755), 0);
	f->row = (struct db_env){.name = mem_dup("llm_tiny_vulkan"),
				 .backend = mem_dup("vulkan"),
				 .base_digest = digest_of('b'),
				 .module_digest = digest_of('d'),
				 .python_digest = digest_of('a'),
				 .python_version = mem_dup("3.13.0rc1"),
				 .python_program = mem_dup(f->program)};
	put(f, "llama_cpp/__init__.py");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_free(f->es.s.store);
	db_env_done(&f->row);
	test_dir_free(f->dir);
	free(f->folder);
	free(f->program);
	free(f);
	return 0;
}

static void make(struct fixture *f)
{
	struct err e = {0};

	must(env_python_folder(&f->es, &f->row, f->folder, &e), &e);
}

static void expect_text(struct fixture *f, const char *name, char *text)
{
	char *found = test_read(test_path(f->folder, name), NULL);

	assert_string_equal(found, text);
	free(found);
	free(text);
}

/* In the store: of the piece with that digest. */
static void expect_link(struct fixture *f, const char *name, const char *digest, const char *rest)
{
	CLEANUP(free) char *piece = digest ? store_path(f->es.s.store, digest) : mem_dup("");
	CLEANUP(free) char *target = mem_printf("%s%s", piece, rest);
	char found[PATH_MAX] = "";

	assert_true(readlink(test_path(f->folder, name), found, sizeof(found) - 1) > 0);
	assert_string_equal(found, target);
}

static bool is_there(struct fixture *f, const char *name)
{
	struct stat st;

	return lstat(test_path(f->folder, name), &st) == 0;
}

/* The lines that a program prints, with nothing set but PATH. */
static void expect_output(const char *const *argv, const char *text)
{
	static const char *const environ[] = {"PATH=/usr/bin:/bin", NULL};
	char tail[2048] = "";
	const struct proc_run run = {
		.argv = argv, .env = environ, .tail = tail, .tail_size = sizeof(tail)};
	struct err e = {0};
	int status = -1;

	must(proc_run(&run, &status, &e), &e);
	assert_string_equal(tail, text);
	assert_int_equal(status, 0);
}

/* --- the tests ---------------------------------------------------------- */

static void it_has_what_python_m_venv_writes(void **state)
{
	struct fixture *f = *state;

	make(f);
	expect_text(f, "pyvenv.cfg",
		    mem_printf("home = %s/" ODD "\ninclude-system-site-packages = false\n"
			       "version = 3.13.0rc1\nexecutable = %s\n",
			       f->dir, f->program));
	expect_link(f, "bin/python", NULL, f->program);
	expect_link(f, "bin/python3", NULL, "python");
	expect_link(f, "lib64", NULL, "lib");
}

static void it_leads_to_the_pieces(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *piece = store_path(f->es.s.store, f->row.python_digest);

	put(f, "llama_cpp/lib/libllama.so"); /* of a package that was built where it lay */
	make(f);
	expect_text(f, "lib/python3.13/site-packages/shunt.pth",
		    mem_printf("%s/python\n%s/" PYTHON_PIECE_FOLDER "\nimport _shunt_engine\n",
			       f->folder, piece));
	expect_link(f, "python/llama_cpp/__init__.py", f->row.python_digest,
		    "/" PYTHON_PIECE_FOLDER "/llama_cpp/__init__.py");
	expect_link(f, "python/llama_cpp/lib", f->row.base_digest, "");
}

static void the_hook_is_told_module_device_and_variables(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *text = NULL;

	make(f);
	text = test_read(test_path(f->folder, "python/engine.json"), NULL);
	assert_non_null(strstr(text, "dddd/libggml-vulkan.so\""));
	assert_non_null(strstr(text, "\"device\": \"Vulkan\""));
	assert_non_null(strstr(text, "\"A\": \"b=c\""));
	assert_non_null(strstr(text, "\"EMPTY\": \"\""));
}

static void a_shell_takes_no_letter_of_a_path_for_its_own(void **state)
{
	static const char script[] =
		"before=$PATH; . \"$1\"; printf '%s' \"$VIRTUAL_ENV ${PATH%%:/usr/bin:/bin}|\"\n"
		"deactivate; printf '%s' \"${VIRTUAL_ENV-none}\"; [ \"$PATH\" = \"$before\" ]";
	struct fixture *f = *state;
	CLEANUP(free) char *pip = fs_join(f->folder, "bin/pip");
	CLEANUP(free) char *activate = fs_join(f->folder, "bin/activate");
	CLEANUP(free) char *said = mem_printf("%s %s/bin|none\n", f->folder, f->folder);
	const char *const install[] = {pip, "install", "a b", "$x", NULL};
	const char *const source[] = {"sh", "-eu", "-c", script, "sh", activate, NULL};

	make(f);
	expect_output(install, "<-m><pip><install><a b><$x>\n");
	expect_output(source, said);
}

static void made_again_it_keeps_the_users_packages_and_drops_the_old_links(void **state)
{
	struct fixture *f = *state;
	const char *mine = "lib/python3.13/site-packages/mine.py";

	put(f, "llama_cpp/old.py");
	make(f);
	assert_true(is_there(f, "python/llama_cpp/old.py"));
	test_write(test_path(f->folder, mine), "x", 1);
	memset(f->row.python_digest, 'e', 64);
	memset(f->row.base_digest, 'c', 64);
	put(f, "llama_cpp/new.py");
	make(f);
	assert_false(is_there(f, "python/llama_cpp/old.py"));
	expect_link(f, "python/llama_cpp/new.py", f->row.python_digest,
		    "/" PYTHON_PIECE_FOLDER "/llama_cpp/new.py");
	expect_link(f, "python/llama_cpp/lib", f->row.base_digest, "");
	assert_true(is_there(f, mine));

	free(STEAL(f->row.python_digest));
	make(f);
	assert_false(is_there(f, "bin/python"));
	assert_true(is_there(f, mine));
}

static void a_package_that_is_not_there_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	memset(f->row.python_digest, 'f', 64);
	assert_false(env_python_folder(&f->es, &f->row, f->folder, &e));
	assert_non_null(strstr(e.msg, "llama_cpp"));
	assert_false(is_there(f, "bin/python")); /* the last of all that is written */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(it_has_what_python_m_venv_writes),
		TEST(it_leads_to_the_pieces),
		TEST(the_hook_is_told_module_device_and_variables),
		TEST(a_shell_takes_no_letter_of_a_path_for_its_own),
		TEST(made_again_it_keeps_the_users_packages_and_drops_the_old_links),
		TEST(a_package_that_is_not_there_is_an_error),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
