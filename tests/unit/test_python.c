/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "engine/python.h"

/* PATH is a folder with nothing in it but the python3 that a test puts there. */
struct fixture {
	char *dir, *old_path;
};

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->dir = test_dir_new();
	f->old_path = mem_dup(getenv("PATH"));
	assert_int_equal(setenv("PATH", f->dir, 1), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)setenv("PATH", f->old_path, 1);
	test_dir_free(f->dir);
	free(f->old_path);
	free(f);
	return 0;
}

static const char *put_python(struct fixture *f, const char *script)
{
	const char *path = test_path(f->dir, "python3");

	test_write(path, script, strlen(script));
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

static void expect(const char *message, const char *hint)
{
	struct python p = {0};
	struct err e = {0};

	assert_false(python_find(&p, &e));
	assert_int_equal(e.kind, ERR_TOOLKIT);
	assert_non_null(strstr(e.msg, message));
	assert_non_null(strstr(e.hint, hint));
}

static void no_python_says_what_to_install(void **state)
{
	expect("there is no python3 in PATH", "pip");
}

static void an_old_python_is_refused(void **state)
{
	put_python(*state, "#!/bin/sh\nprintf '/usr/bin/python3.8\\n3.8.19\\ncpython-38-x\\n'\n");
	expect("is Python 3.8.19, llama-cpp-python needs 3.9", "newer python3");
}

static void one_that_does_not_answer_is_refused(void **state)
{
	put_python(*state, "#!/bin/sh\nexit 1\n");
	expect("does not answer", "--version");
	put_python(*state, "#!/bin/sh\necho hello\n");
	expect("does not answer", "--version");
}

static void its_answer_is_read(void **state)
{
	struct python p = {0};
	struct err e = {0};

	put_python(*state, "#!/bin/sh\nprintf '/opt/py/bin/python3.13\\n3.13.0rc1\\n"
			   "cpython-313-x86_64-linux-gnu\\n'\n");
	assert_true(python_find(&p, &e));
	assert_string_equal(p.program, "/opt/py/bin/python3.13");
	assert_string_equal(p.version, "3.13.0rc1");
	assert_string_equal(p.abi, "cpython-313-x86_64-linux-gnu");
	python_done(&p);
}

static void another_python_is_another_text(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *none = python_seen(NULL);
	CLEANUP(free) char *program = mem_dup(put_python(f, "#!/bin/sh\n"));
	CLEANUP(free) char *one = python_seen(program);
	CLEANUP(free) char *same = python_seen(program);
	CLEANUP(free) char *other = NULL;
	CLEANUP(free) char *removed = NULL;

	assert_string_not_equal(none, one);
	assert_string_equal(one, same);
	put_python(f, "#!/bin/sh\nexit 1\n");
	other = python_seen(program);
	assert_string_not_equal(one, other);
	assert_int_equal(unlink(program), 0);
	removed = python_seen(program);
	assert_string_equal(removed, none);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_python_says_what_to_install),      T(an_old_python_is_refused),
		T(one_that_does_not_answer_is_refused), T(its_answer_is_read),
		T(another_python_is_another_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
