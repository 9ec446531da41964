/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of this program, in another place, is asked where it finds its data. */
#include "test.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "daemon/data_dir.h"

static void take_line(void *arg, const char *line)
{
	char **ret = arg;

	free(*ret);
	*ret = mem_dup(line);
}

/* Copies us to <dir>/bin/shunt and runs that. The caller frees the answer. */
static char *ask_copy_in(const char *dir)
{
	const char *program = test_path(dir, "bin/shunt");
	const char *const argv[] = {program, "tell", NULL};
	CLEANUP(free) char *self = NULL;
	size_t size = 0;
	char *answer = NULL;
	struct proc_run run = {.argv = argv, .on_line = take_line, .arg = &answer};
	struct err e = {0};
	int status = -1;

	assert_int_equal(mkdir(test_path(dir, "bin"), 0700), 0);
	self = test_read("/proc/self/exe", &size);
	test_write(program, self, size);
	assert_int_equal(chmod(program, 0700), 0);
	if (!proc_run(&run, &status, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(status, 0);
	return answer;
}

static void a_binary_in_the_checkout_uses_the_checkout(void **state)
{
	CLEANUP(free) char *found = data_dir();
	CLEANUP(free) char *self = fs_real("/proc/self/exe");

	if (strncmp(self, SOURCE_DIR "/", strlen(SOURCE_DIR) + 1) != 0)
		skip(); /* built somewhere else */
	assert_string_equal(found, SOURCE_DIR);
	assert_true(fs_is_folder(SOURCE_DIR "/engine"));
}

static void an_installed_one_uses_what_lies_beside_it(void **state)
{
	CLEANUP(free) char *answer = NULL;
	CLEANUP(free) char *real = NULL;
	CLEANUP(free) char *expected = NULL;

	assert_int_equal(mkdir(test_path(*state, "share"), 0700), 0);
	assert_int_equal(mkdir(test_path(*state, "share/shunt"), 0700), 0);
	answer = ask_copy_in(*state);
	real = fs_real(answer);
	expected = fs_real(test_path(*state, "share/shunt"));
	assert_non_null(real);
	assert_string_equal(real, expected);
}

static void without_that_it_uses_the_packages_place(void **state)
{
	CLEANUP(free) char *answer = ask_copy_in(*state);

	assert_string_equal(answer, SHUNT_DATA_DIR);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_binary_in_the_checkout_uses_the_checkout),
		cmocka_unit_test_setup_teardown(an_installed_one_uses_what_lies_beside_it,
						test_dir_setup, test_dir_teardown),
		cmocka_unit_test_setup_teardown(without_that_it_uses_the_packages_place,
						test_dir_setup, test_dir_teardown),
	};

	if (argc > 1) {
		CLEANUP(free) char *found = data_dir();

		return puts(found) < 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
