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
#include "base/pip_run.h"
#include "base/proc.h"
#include "engine/source.h"
#include "engine/tools.h"

struct download_run {
	const struct source *source;
	const struct source_watch *w;
	const char *tmp; /* where pip keeps what it has so far */
};

static void on_line(void *arg, const char *line)
{
	const struct download_run *d = arg;

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
	pip_environ(tmp, ret);
	strv_printf(ret, "PYTHONPATH=%s", s->pip_path);
}

static bool run_pip(struct download_run *d, const char *name, const char *out, struct err *e)
{
	const char *const args[] = {
		"download",
		"--no-deps",
		"--no-binary",
		d->source->where,
		"--no-build-isolation",
		"--dest",
		out,
		name,
		NULL,
	};
	CLEANUP(free) char *doing = mem_printf("fetching %s", name);
	CLEANUP(strv_done) struct strv environ = {0};
	struct pip_run run = {
		.python = "python3",
		.args = args,
		.environ = &environ,
		.cwd = d->tmp,
		.doing = doing,
		.missing = tools_missing_pip,
		.purpose = "which fetches llama.cpp",
		.otherwise = ", or give engine_source an archive or a folder",
		.on_line = on_line,
		.cancelled = cancelled,
		.arg = d,
	};

	make_environ(d->source, d->tmp, &environ);
	return pip_run(&run, e);
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

	if (!fs_mkdirs(tmp, 0700, e) || !fs_mkdirs(out, 0700, e))
		return false;
	if (!run_pip(&d, name, out, e) || !fs_each(out, take_only, &file, e))
		return false;
	if (file == NULL) {
		(void)err_set(e, ERR_SYSTEM, "pip fetched nothing for %s", name);
		return err_hint(e, "try 'python3 -m pip download' by hand, or give engine_source "
				   "an archive or a folder");
	}
	*ret_path = fs_join(out, file);
	return true;
}
