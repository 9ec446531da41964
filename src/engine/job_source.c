/* SPDX-License-Identifier: Apache-2.0 */
/* The first steps of a build: room for it, its source, the patches. */

#include <stdlib.h>
#include <string.h>

#include "backend/hardware.h"
#include "base/fs.h"
#include "base/hash.h"
#include "engine/job.h"

#define MIB (1024LL * 1024)

static bool check_disk(const char *folder, int64_t needed, struct err *e)
{
	int64_t room = 0;

	if (!fs_free_bytes(folder, &room, e))
		return false;
	if (room >= needed)
		return true;
	(void)err_set(e, ERR_NO_SPACE, "the build needs %lld MiB in '%s', %lld MiB are free",
		      (long long)(needed / MIB), folder, (long long)(room / MIB));
	return err_hint(e, "free some space, or choose a folder on another disk with --store-dir "
			   "and --state-dir");
}

static bool check_memory(int64_t needed, struct err *e)
{
	struct hardware hw;

	hardware_read(&hw);
	if (hw.memory_free_bytes <= 0 || hw.memory_free_bytes >= needed)
		return true;
	(void)err_set(e, ERR_NO_SPACE,
		      "the build needs %lld MiB of memory for one compiler, %lld MiB are free",
		      (long long)(needed / MIB), (long long)(hw.memory_free_bytes / MIB));
	return err_hint(e, "unload a model, or close other programs");
}

bool job_check_room(struct job *j, struct err *e)
{
	const struct source *s = j->en->source;
	int64_t there = 0; /* of an interrupted build */

	if (!fs_tree_size(store_stage_path(j->stage), &there, e) ||
	    !check_disk(store_dir(j->store), j->r->disk_bytes - there, e))
		return false;
	/* pip unpacks what it fetches, for the metadata: about three times the archive. */
	if (!source_is_here(s) && !check_disk(j->en->cache_dir, 4 * s->size, e))
		return false;
	return check_memory(j->r->memory_bytes, e);
}

int job_parallel(const struct job *j)
{
	struct hardware hw;
	int64_t fit = 0;

	if (j->en->jobs > 0)
		return j->en->jobs;
	hardware_read(&hw);
	if (hw.memory_free_bytes <= 0 || j->r->memory_bytes <= 0)
		return hw.cores;
	fit = hw.memory_free_bytes / j->r->memory_bytes;
	if (fit < 1)
		return 1;
	return fit < hw.cores ? (int)fit : hw.cores;
}

/* --- source ----------------------------------------------------------------------------------- */

static void on_progress(void *arg, double fraction)
{
	job_progress(arg, fraction);
}

static void on_line(void *arg, const char *line)
{
	const struct job *j = arg;

	j->w->on_line(j->w->arg, line);
}

static bool cancelled(void *arg)
{
	return job_stopped(arg);
}

static struct source_watch watch(struct job *j)
{
	return (struct source_watch){
		.on_progress = on_progress, .on_line = on_line, .cancelled = cancelled, .arg = j};
}

/* A reader that was told to stop says "cannot read": name it for what it is. */
static bool or_cancelled(struct job *j, struct err *e)
{
	if (e->kind == ERR_CANCELLED || !cancelled(j))
		return false;
	err_clear(e);
	return err_set(e, ERR_CANCELLED, "the build was cancelled");
}

bool job_fetch(struct job *j, struct err *e)
{
	struct source_watch w = watch(j);

	return source_get(j->en->source, j->source, &w, &j->archive, e) || or_cancelled(j, e);
}

bool job_unpack(struct job *j, struct err *e)
{
	struct source_watch w = watch(j);

	return source_unpack(j->en->source, j->en->pin, j->archive, j->source,
			     store_stage_path(j->stage), &w, e) ||
	       or_cancelled(j, e);
}

/* --- patches ---------------------------------------------------------------------------------- */

static bool apply(struct job *j, const char *name, struct err *e)
{
	CLEANUP(free) char *path = fs_join(j->en->pin->folder, name);
	CLEANUP(free)
	char *what = mem_printf("patch '%s' does not fit the source of llama.cpp", name);
	CLEANUP(strv_done) struct strv argv = {0};
	int status = -1;

	strv_add(&argv, "patch");
	strv_add(&argv, "--strip=1");
	strv_add(&argv, "--fuzz=0");
	strv_add(&argv, "--forward");
	strv_add(&argv, "--batch");
	strv_add(&argv, "--no-backup-if-mismatch");
	strv_add(&argv, "--reject-file=-");
	strv_printf(&argv, "--directory=%s", j->src);
	strv_printf(&argv, "--input=%s", path);
	if (!job_tool(j, &argv, NULL, &status, e))
		return false;
	if (status == 0)
		return true;
	(void)complaint_err(&j->complaint, ERR_BUILD, what, e);
	return err_hint(e,
			"engine_source is not the llama.cpp that engine %s is made for: leave "
			"it empty for the pinned one",
			j->en->pin->release);
}

bool job_patch(struct job *j, struct err *e)
{
	const struct strv *patches = &j->en->pin->patches;

	for (size_t i = 0; i < patches->count; i++) {
		if (!apply(j, patches->items[i], e))
			return false;
	}
	return true;
}
