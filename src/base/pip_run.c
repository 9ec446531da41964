/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pip_run.h"

#include <stddef.h>
#include <string.h>

#include "base/complaint.h"
#include "base/mem.h"
#include "base/proc.h"

struct running {
	const struct pip_run *r;
	struct complaint complaint;
	bool no_pip, no_network, no_package, wrong_hash;
};

/* clang-format off */
static const struct {
	const char *text;
	size_t flag;
} signs[] = {
	{"No module named pip",                  offsetof(struct running, no_pip)},
	{"Failed to establish a new connection", offsetof(struct running, no_network)},
	{"NewConnectionError",                   offsetof(struct running, no_network)},
	{"ConnectTimeoutError",                  offsetof(struct running, no_network)},
	{"ReadTimeoutError",                     offsetof(struct running, no_network)},
	{"NameResolutionError",                  offsetof(struct running, no_network)},
	{"ProxyError",                           offsetof(struct running, no_network)},
	{"Connection aborted",                   offsetof(struct running, no_network)},
	{"Connection broken",                    offsetof(struct running, no_network)},
	{"Connection reset",                     offsetof(struct running, no_network)},
	{"SSLError",                             offsetof(struct running, no_network)},
	{"No matching distribution",             offsetof(struct running, no_package)},
	{"DO NOT MATCH THE HASHES",              offsetof(struct running, wrong_hash)},
};
/* clang-format on */

static void on_line(void *arg, const char *line)
{
	struct running *run = arg;

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (strstr(line, signs[i].text) != NULL)
			*(bool *)((char *)run + signs[i].flag) = true;
	}
	complaint_line(&run->complaint, line);
	run->r->on_line(run->r->arg, line);
}

static bool cancelled(void *arg)
{
	const struct running *run = arg;

	return run->r->cancelled(run->r->arg);
}

/* Settings that would send packages elsewhere, or forbid it; the first two also stand in pip.conf.
 */
static const char *const unwanted[] = {
	"PIP_USER=", "PIP_REQUIRE_VIRTUALENV=", "PIP_TARGET=", "PIP_PREFIX=", "PIP_ROOT=",
	"TMPDIR="};

static bool is_unwanted(const char *setting)
{
	for (size_t i = 0; i < ARRAY_LEN(unwanted); i++) {
		if (strncmp(setting, unwanted[i], strlen(unwanted[i])) == 0)
			return true;
	}
	return false;
}

void pip_pinned(const char *pins, const char *folder, struct strv *ret)
{
	static const char *const always[] = {
		"--no-deps", "--require-hashes", "--only-binary",
		":all:",     "--no-compile",     "--retries",
		"2",
	};

	strv_add(ret, "install");
	strv_add(ret, "--target");
	strv_add(ret, folder);
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		strv_add(ret, always[i]);
	strv_add(ret, "-r");
	strv_add(ret, pins);
}

void pip_environ(const char *tmp, struct strv *ret)
{
	CLEANUP(strv_done) struct strv clean = {0};

	proc_clean_env(&clean);
	for (size_t i = 0; i < clean.count; i++) {
		if (!is_unwanted(clean.items[i]))
			strv_add(ret, clean.items[i]);
	}
	strv_add(ret, "PIP_USER=0");
	strv_add(ret, "PIP_REQUIRE_VIRTUALENV=0");
	strv_printf(ret, "TMPDIR=%s", tmp);
	strv_add(ret, "PYTHONDONTWRITEBYTECODE=1");
}

static bool say_missing(const struct pip_run *r, const char *what, struct err *e)
{
	if (r->missing)
		return r->missing(what, e);
	(void)err_set(e, ERR_TOOLKIT, "%s", what);
	return err_hint(e, "install it: the package is python3-pip (Debian, Ubuntu, Fedora, "
			   "openSUSE) or python-pip (Arch)");
}

static bool explain(const struct running *run, struct err *e)
{
	const struct pip_run *r = run->r;
	CLEANUP(free) char *what = mem_printf("%s with pip failed", r->doing);
	CLEANUP(free) char *no_pip = mem_printf("python3 has no pip, %s", r->purpose);

	if (run->no_pip)
		return say_missing(r, no_pip, e);
	if (run->complaint.no_space) {
		(void)complaint_err(&run->complaint, ERR_NO_SPACE, what, e);
		return err_hint(e, "make room where '%s' is", r->cwd);
	}
	if (run->wrong_hash) {
		(void)complaint_err(&run->complaint, ERR_VERIFY, what, e);
		return err_hint(e, "pip's index has another file under this name: check pip's "
				   "settings (mirror), or a cache on the way");
	}
	if (run->no_network) {
		(void)complaint_err(&run->complaint, ERR_UNAVAILABLE, what, e);
		return err_hint(e, "check the network or pip's settings (proxy, mirror)%s",
				r->otherwise);
	}
	(void)complaint_err(&run->complaint, run->no_package ? ERR_NOT_FOUND : ERR_SYSTEM, what, e);
	return err_hint(e, "pip's index does not have it: check pip's settings%s", r->otherwise);
}

/* No questions, no bars, nothing kept in the user's home. */
static const char *const always[] = {"--no-cache-dir", "--disable-pip-version-check", "--no-input",
				     "--progress-bar", "off"};

static bool run_it(struct running *run, struct err *e)
{
	const struct pip_run *r = run->r;
	CLEANUP(strv_done) struct strv argv = {0};
	struct proc_run proc = {
		.env = strv_items(r->environ),
		.cwd = r->cwd,
		.on_line = on_line,
		.cancelled = cancelled,
		.arg = run,
	};
	int status = -1;

	strv_add(&argv, r->python);
	strv_add(&argv, "-m");
	strv_add(&argv, "pip");
	for (const char *const *arg = r->args; *arg; arg++)
		strv_add(&argv, *arg);
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		strv_add(&argv, always[i]);
	proc.argv = strv_items(&argv);
	if (!proc_run(&proc, &status, e)) {
		CLEANUP(free)
		char *no_python = mem_printf("there is no python3 with pip, %s", r->purpose);

		if (e->kind != ERR_NOT_FOUND)
			return false;
		err_clear(e);
		return say_missing(r, no_python, e);
	}
	return status == 0 || explain(run, e);
}

bool pip_run(const struct pip_run *r, struct err *e)
{
	struct running run = {.r = r};
	bool ok = run_it(&run, e);

	complaint_done(&run.complaint);
	return ok;
}
