/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"

/* What a child writes to stderr, which is a file here. */
static char *written(const char *dir, bool journal, void (*f)(void))
{
	CLEANUP(free) char *path = mem_dup(test_path(dir, "log"));
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		struct stat st = {0};
		char stream[64];

		(void)dup2(fd, STDERR_FILENO);
		(void)fstat(fd, &st);
		(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
			       (unsigned long long)st.st_ino + (journal ? 0 : 1));
		(void)setenv("JOURNAL_STREAM", stream, 1);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return test_read(path, NULL);
}

static void two_lines(void)
{
	log_debug("unseen");
	log_info("model loaded model=%s", "tiny");
	log_warn("odd name=\"%s\"", "a\nb\x1b[2J\x7f"
				    "é");
}

static void a_line_has_time_level_and_text(void **state)
{
	CLEANUP(free) char *text = written(*state, false, two_lines);
	const char *second = strchr(text, '\n') + 1;

	assert_non_null(strstr(text, "Z info  model loaded model=tiny\n"));
	assert_int_equal(text[10], 'T');
	assert_non_null(strstr(second, "Z warn  odd name=\"a b [2J é\"\n"));
	assert_int_equal(strchr(second, '\n')[1], '\0');
}

static void the_journal_gets_a_priority_instead(void **state)
{
	CLEANUP(free) char *text = written(*state, true, two_lines);

	assert_string_equal(text, "<6>model loaded model=tiny\n<4>odd name=\"a b [2J é\"\n");
}

static void long_and_quiet(void)
{
	char name[8192];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("unseen");
	log_error("long name=%s", name);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("seen");
}

static void levels_are_kept_and_long_lines_cut(void **state)
{
	CLEANUP(free) char *text = written(*state, true, long_and_quiet);
	size_t first = strcspn(text, "\n");

	assert_memory_equal(text, "<3>long name=xxx", 16);
	assert_in_range(first, 4000, 4095);
	assert_string_equal(text + first, "\n<7>seen\n");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(a_line_has_time_level_and_text),
		IN_FOLDER(the_journal_gets_a_priority_instead),
		IN_FOLDER(levels_are_kept_and_long_lines_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
