/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/err.h"

static void an_error_has_kind_message_and_hint(void **state)
{
	struct err e = {0};

	assert_false(err_set(&e, ERR_NOT_FOUND, "no model '%s'", "x"));
	assert_false(err_hint(&e, "run %s", "shunt add"));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "no model 'x'");
	assert_string_equal(e.hint, "run shunt add");
}

static void an_earlier_hint_stays(void **state)
{
	struct err e = {0};

	(void)err_set(&e, ERR_BUSY, "full");
	(void)err_hint(&e, "near the cause");
	(void)err_hint(&e, "far from it");
	assert_string_equal(e.hint, "near the cause");
}

static void a_full_disk_has_its_own_kind(void **state)
{
	struct err e = {0};

	assert_false(err_sys(&e, ENOSPC, "write '%s'", "a"));
	assert_int_equal(e.kind, ERR_NO_SPACE);
	assert_string_equal(e.msg, "write 'a': No space left on device");
	err_clear(&e);
	(void)err_sys(&e, EDQUOT, "write");
	assert_int_equal(e.kind, ERR_NO_SPACE);
	err_clear(&e);
	(void)err_sys(&e, ENOENT, "open 'a'");
	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_string_equal(e.msg, "open 'a': No such file or directory");
}

static void wrapping_puts_text_in_front_and_keeps_the_rest(void **state)
{
	struct err e = {0};

	(void)err_set(&e, ERR_CONFLICT, "in use");
	(void)err_hint(&e, "wait");
	assert_false(err_wrap(&e, "removing '%s'", "env"));
	assert_string_equal(e.msg, "removing 'env': in use");
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.hint, "wait");
}

static void a_message_too_long_is_cut_between_characters(void **state)
{
	char text[1024] = {0};
	struct err e = {0};

	for (size_t i = 0; i + 3 < sizeof(text); i += 3)
		(void)stpcpy(text + i, "€"); /* three bytes each: 511 is not a multiple */
	(void)err_set(&e, ERR_SYSTEM, "%s", text);
	assert_int_equal(strlen(e.msg), 510);
	(void)err_wrap(&e, "%s", "ab");
	assert_int_equal(strlen(e.msg), 4 + 507);
	(void)err_wrap(&e, "%s", text);
	assert_int_equal(strlen(e.msg), 511); /* "€…€", no room for more than ":" */
	assert_memory_equal(e.msg, text, 510);
	(void)err_hint(&e, "%s", text);
	assert_int_equal(strlen(e.hint), 255);
}

static void nobody_need_look(void **state)
{
	assert_false(err_set(NULL, ERR_SYSTEM, "x"));
	assert_false(err_sys(NULL, EIO, "x"));
	assert_false(err_wrap(NULL, "x"));
	assert_false(err_hint(NULL, "x"));
	err_clear(NULL);
}

/* The signal that ends a child which does this. */
static int signal_of(void (*f)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void set_twice(void)
{
	struct err e = {0};

	(void)err_set(&e, ERR_BUSY, "one");
	(void)err_set(&e, ERR_BUSY, "two");
}

static void wrap_nothing(void)
{
	struct err e = {0};

	(void)err_wrap(&e, "text");
}

static void bugs_abort(void **state)
{
	assert_int_equal(signal_of(set_twice), SIGABRT);
	assert_int_equal(signal_of(wrap_nothing), SIGABRT);
}

static void every_kind_has_a_name_that_leads_back(void **state)
{
	for (int kind = 0; kind < ERR_KIND_COUNT; kind++) {
		assert_non_null(err_name(kind));
		assert_int_equal(err_kind_from_name(err_name(kind)), kind);
		assert_in_range(err_http_status(kind), 200, 599);
		assert_in_range(err_exit_code(kind), 0, 5);
	}
	assert_int_equal(err_kind_from_name("from the future"), ERR_SYSTEM);
	assert_int_equal(err_kind_from_name(NULL), ERR_SYSTEM);
	assert_int_equal(err_http_status(ERR_NOT_FOUND), 404);
	assert_int_equal(err_exit_code(ERR_CONFLICT), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_has_kind_message_and_hint),
		cmocka_unit_test(an_earlier_hint_stays),
		cmocka_unit_test(a_full_disk_has_its_own_kind),
		cmocka_unit_test(wrapping_puts_text_in_front_and_keeps_the_rest),
		cmocka_unit_test(a_message_too_long_is_cut_between_characters),
		cmocka_unit_test(nobody_need_look),
		cmocka_unit_test(bugs_abort),
		cmocka_unit_test(every_kind_has_a_name_that_leads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
