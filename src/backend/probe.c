/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"

enum { LIMIT_MS = 2000, OUTPUT_MAX = 256 * 1024 };

static bool absent(const struct probe *p, const char *output, struct err *e)
{
	/* dlopen's words for one that is not there; any other is a broken one */
	if (!strstr(output, "No such file or directory")) {
		(void)err_set(e, ERR_UNAVAILABLE, "%s cannot be loaded: %.200s", p->library,
			      output);
		return err_hint(e, "%s", p->again);
	}
	(void)err_set(e, ERR_NOT_FOUND, "%s", p->absent);
	return err_hint(e, "%s", p->absent_remedy);
}

static bool hangs(const struct probe *p, struct err *e)
{
	(void)err_set(e, ERR_UNAVAILABLE, "%s did not answer within %d s", p->driver,
		      LIMIT_MS / 1000);
	return err_hint(e, "%s", p->hangs);
}

static bool judge(const struct probe *p, int status, const char *output, struct err *e)
{
	const char *code = strstr(output, "refused\t");
	char text[128];

	if (WIFEXITED(status) && WEXITSTATUS(status) == PROBE_NO_LIBRARY)
		return absent(p, output, e);
	if (WIFEXITED(status) && WEXITSTATUS(status) == PROBE_REFUSED)
		return p->refused(code ? (int)strtol(code + strlen("refused\t"), NULL, 10) : 0, e);
	(void)err_set(e, ERR_UNAVAILABLE, "asking %s ended with %s", p->driver,
		      proc_status_text(status, text, sizeof(text)));
	return err_hint(e, "%s", p->again);
}

struct reader {
	struct buf output;
	int64_t deadline_ms;
};

static void add_line(void *arg, const char *line)
{
	struct reader *r = arg;

	if (r->output.len < OUTPUT_MAX)
		buf_printf(&r->output, "%s\n", line);
}

static bool too_late(void *arg)
{
	const struct reader *r = arg;

	return clock_ms() > r->deadline_ms;
}

/* The library may lie where only LD_LIBRARY_PATH says (NixOS, some containers). */
static void child_env(struct strv *env)
{
	const char *path = getenv("LD_LIBRARY_PATH");

	proc_clean_env(env);
	if (path)
		strv_printf(env, "LD_LIBRARY_PATH=%s", path);
}

bool probe_ask(const struct probe *p, const char *self, char **ret, struct err *e)
{
	const char *const argv[] = {self, p->word, NULL};
	struct reader r = {.deadline_ms = clock_ms() + LIMIT_MS};
	CLEANUP(strv_done) struct strv env = {0};
	CLEANUP(free) char *output = NULL;
	struct proc_run run = {.argv = argv, .on_line = add_line, .cancelled = too_late, .arg = &r};
	struct err why = {0};
	int status = 0;
	bool ok;

	child_env(&env);
	run.env = strv_items(&env);
	ok = proc_run(&run, &status, &why);
	output = buf_steal(&r.output);
	if (!ok && why.kind == ERR_CANCELLED)
		return hangs(p, e);
	if (!ok)
		return err_set(e, why.kind, "asking %s: %s", p->driver, why.msg);
	if (status != 0)
		return judge(p, status, output, e);
	*ret = STEAL(output);
	return true;
}

size_t probe_fields(char *line, char **ret, size_t max)
{
	char *rest = line;
	size_t count = 0;

	while (rest && count < max)
		ret[count++] = strsep(&rest, "\t");
	return count;
}

int64_t probe_number(const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	return end == text || n < 0 ? -1 : (int64_t)n;
}
