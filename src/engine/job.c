/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/job.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/proc.h"

/* --- running tools ---------------------------------------------------------------------------- */

bool job_stopped(const struct job *j)
{
	return atomic_load(&j->en->stopping) || j->w->cancelled(j->w->arg);
}

void job_progress(struct job *j, double fraction)
{
	double at = j->from + j->share * (fraction < 1 ? fraction : 1);

	if (at > j->shown) /* else it was begun again from the start */
		j->shown = at;
	j->w->on_step(j->w->arg, j->title, j->shown);
}

struct tool_run {
	struct job *job;
	void (*on_line)(struct job *j, const char *line);
};

static void tool_line(void *arg, const char *line)
{
	struct tool_run *t = arg;
	struct job *j = t->job;

	complaint_line(&j->complaint, line);
	if (t->on_line != NULL)
		t->on_line(j, line);
	j->w->on_line(j->w->arg, line);
}

static bool tool_cancelled(void *arg)
{
	const struct tool_run *t = arg;

	return job_stopped(t->job);
}

bool job_tool(struct job *j, const struct strv *argv,
	      void (*on_line)(struct job *j, const char *line), int *ret_status, struct err *e)
{
	struct tool_run t = {.job = j, .on_line = on_line};
	struct proc_run run = {
		.argv = strv_items(argv),
		.env = strv_items(&j->environ),
		.idle = !j->en->hurry,
		.on_line = tool_line,
		.cancelled = tool_cancelled,
		.arg = &t,
	};

	complaint_done(&j->complaint);
	j->complaint = (struct complaint){.hide = j->stage_slash};
	return proc_run(&run, ret_status, e);
}

static void set_env(struct strv *env, const char *key, const char *value)
{
	struct strv kept = {0};
	size_t len = strlen(key);

	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->items[i], key, len) != 0 || env->items[i][len] != '=')
			strv_add(&kept, env->items[i]);
	}
	strv_printf(&kept, "%s=%s", key, value);
	strv_done(env);
	*env = kept;
}

/* Compilers leave their temporary files behind when they are killed: in the stage they may. */
static bool make_tmp(const struct job *j, struct err *e)
{
	return fs_remove_tree(j->tmp, e) && fs_mkdirs(j->tmp, 0700, e);
}

static void make_environ(struct job *j)
{
	CLEANUP(free) char *ccache = fs_join(j->en->cache_dir, "ccache");

	proc_clean_env(&j->environ);
	set_env(&j->environ, "TMPDIR", j->tmp);
	set_env(&j->environ, "LC_ALL", "C");
	set_env(&j->environ, "NINJA_STATUS", "[%f/%t] ");
	set_env(&j->environ, "CCACHE_DIR", ccache);
	set_env(&j->environ, "CCACHE_BASEDIR", store_stage_path(j->stage));
	set_env(&j->environ, "CCACHE_NOHASHDIR", "1");
}

/* --- steps ------------------------------------------------------------------------------------ */

/* Where a module finds the libraries that came with its compiler: pieces lie side by side. NULL:
 * it has the system's. Caller frees. */
static char *beside_of(const struct job *j)
{
	if (j->r->libraries[0] == '\0')
		return NULL;
	return mem_printf("$ORIGIN/../%s/%s/lib", j->r->libraries, j->en->pin->cuda_root);
}

static void make_configure(struct job *j)
{
	CLEANUP(free) char *beside = beside_of(j);
	const struct tools *t = &j->tools;
	struct strv *argv = &j->configure;
	CLEANUP(free)
	char *map = mem_printf("-ffile-prefix-map=%s=.", store_stage_path(j->stage));

	strv_add(argv, t->cmake);
	strv_printf(argv, "-S%s", j->src);
	strv_printf(argv, "-B%s", j->build);
	strv_add(argv, "-GNinja");
	strv_printf(argv, "-DCMAKE_MAKE_PROGRAM=%s", t->ninja);
	strv_printf(argv, "-DCMAKE_C_COMPILER=%s", t->cc);
	strv_printf(argv, "-DCMAKE_CXX_COMPILER=%s", t->cxx);
	strv_printf(argv, "-DCMAKE_C_FLAGS=%s", map);
	strv_printf(argv, "-DCMAKE_CXX_FLAGS=%s", map);
	if (j->r->backend != NULL) { /* only one of them is used */
		strv_printf(argv, "-DCMAKE_CUDA_FLAGS=-Xcompiler=%s", map);
		strv_printf(argv, "-DCMAKE_CUDA_HOST_COMPILER=%s", t->cxx);
		strv_printf(argv, "-DCMAKE_HIP_FLAGS=%s", map);
	}
	if (j->r->compiler[0] != '\0') {
		strv_printf(argv, "-DCUDAToolkit_ROOT=%s", j->toolkit);
		strv_printf(argv, "-DCMAKE_CUDA_COMPILER=%s/bin/nvcc", j->toolkit);
	}
	strv_add(argv, "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON");
	strv_printf(argv, "-DCMAKE_INSTALL_RPATH=$ORIGIN%s%s", beside ? ";" : "",
		    beside ? beside : "");
	strv_add(argv, "-DGGML_CCACHE=OFF");
	if (t->ccache != NULL) {
		strv_printf(argv, "-DCMAKE_C_COMPILER_LAUNCHER=%s", t->ccache);
		strv_printf(argv, "-DCMAKE_CXX_COMPILER_LAUNCHER=%s", t->ccache);
	}
	if (j->en->pin->include != NULL)
		strv_printf(argv, "-DCMAKE_PROJECT_INCLUDE=%s/%s", j->en->pin->folder,
			    j->en->pin->include);
	for (size_t i = 0; i < j->r->cmake_args.count; i++)
		strv_add(argv, j->r->cmake_args.items[i]);
}

/* What stands in a stage that is ready to be compiled, for a later builder. Paths too: the same
 * digest may be built with programs that lie elsewhere. */
static char *describe(const struct job *j)
{
	struct buf b = {0};

	for (size_t i = 0; i < j->configure.count; i++)
		buf_printf(&b, "%s\n", j->configure.items[i]);
	return buf_steal(&b);
}

static bool configure(struct job *j, struct err *e)
{
	CLEANUP(free) char *note = describe(j);
	int status = -1;

	if (!job_tool(j, &j->configure, NULL, &status, e))
		return false;
	if (status != 0)
		return complaint_err(&j->complaint, ERR_BUILD, "configuring llama.cpp failed", e);
	return store_stage_set_note(j->stage, note, e);
}

/* "[37/412] Building CXX object …" */
static void ninja_line(struct job *j, const char *line)
{
	int done = 0;
	int total = 0;

	/* NOLINTNEXTLINE(cert-err34-c): numbers out of range only make a wrong percentage */
	if (sscanf(line, "[%d/%d] ", &done, &total) == 2 && total > 0 && done >= 0)
		job_progress(j, (double)done / total);
}

static bool compile(struct job *j, struct err *e)
{
	CLEANUP(strv_done) struct strv argv = {0};
	int status = -1;

	strv_add(&argv, j->tools.ninja);
	strv_printf(&argv, "-C%s", j->build);
	strv_printf(&argv, "-j%d", job_parallel(j));
	for (size_t i = 0; i < j->r->targets.count; i++)
		strv_add(&argv, j->r->targets.items[i]);
	if (!job_tool(j, &argv, ninja_line, &status, e))
		return false;
	return status == 0 ||
	       complaint_err(&j->complaint, ERR_BUILD, "compiling llama.cpp failed", e);
}

struct install {
	struct job *job;
	const char *bin;
	const char *pattern;
	int found;
};

static bool install_one(void *arg, const char *name, struct err *e)
{
	struct install *in = arg;
	CLEANUP(free) char *from = fs_join(in->bin, name);
	CLEANUP(free) char *to = fs_join(store_stage_out(in->job->stage), name);

	if (fnmatch(in->pattern, name, 0) != 0 || fs_is_folder(from))
		return true;
	in->found++;
	return fs_rename(from, to, e);
}

static bool install_pattern(struct job *j, const char *bin, const char *pattern, struct err *e)
{
	struct install in = {.job = j, .bin = bin, .pattern = pattern};

	if (!fs_each(bin, install_one, &in, e))
		return err_wrap(e, "installing");
	return in.found > 0 || err_set(e, ERR_BUILD, "the build made no '%s'", pattern);
}

/* Links were looked at by the store. */
static bool inspect_one(void *arg, const char *name, struct err *e)
{
	const struct job *j = arg;
	CLEANUP(free) char *path = fs_join(store_stage_out(j->stage), name);
	CLEANUP(free) char *beside = beside_of(j);
	struct stat st = {0};

	return lstat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	       elf_check(path, store_stage_path(j->stage), beside, e);
}

static bool install(struct job *j, struct err *e)
{
	CLEANUP(free) char *bin = fs_join(j->build, "bin");
	const struct strv *files = &j->en->pin->base_files;

	if (j->r->backend != NULL) {
		if (!install_pattern(j, bin, j->r->backend->module, e))
			return false;
	} else {
		for (size_t i = 0; i < files->count; i++) {
			if (!install_pattern(j, bin, files->items[i], e))
				return false;
		}
	}
	return fs_each(store_stage_out(j->stage), inspect_one, j, e);
}

static bool publish(struct job *j, struct err *e)
{
	return store_stage_publish(STEAL(j->stage), j->r->kind, j->r->inputs, e);
}

/* The weight is what a step takes of the whole, in percent, on a machine with few cores. `before`:
 * an interrupted build that is taken up has done it. */
static const struct {
	const char *title;
	int weight;
	bool before;
	bool (*run)(struct job *j, struct err *e);
} steps[] = {
	{"Checking disk and memory", 0, false, job_check_room},
	{"Fetching llama.cpp", 6, true, job_fetch},
	{"Unpacking", 2, true, job_unpack},
	{"Patching", 0, true, job_patch},
	{"Preparing the compiler", 0, false, job_toolkit},
	{"Configuring", 3, true, configure},
	{"Compiling", 87, false, compile},
	{"Checking what was built", 1, false, install},
	{"Publishing", 1, false, publish},
};

static bool run_steps(struct job *j, struct err *e)
{
	j->from = 0;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		j->title = steps[i].title;
		j->share = steps[i].weight / 100.0;
		job_progress(j, 0);
		if (job_stopped(j))
			return err_set(e, ERR_CANCELLED, "the build was cancelled");
		if (!(j->resumed && steps[i].before) && !steps[i].run(j, e))
			return false;
		j->from += j->share;
	}
	return true;
}

/* What was left may be another's (programs that lie elsewhere), or damaged. */
static bool take_up(struct job *j, struct err *e)
{
	CLEANUP(free) char *ours = describe(j);
	const char *note = store_stage_note(j->stage);

	j->resumed = note != NULL && strcmp(note, ours) == 0;
	if (j->resumed)
		j->w->on_line(j->w->arg, "Taking up the build that was interrupted");
	return j->resumed || note == NULL || store_stage_clear(j->stage, e);
}

static bool from_the_start(struct job *j, struct err *e)
{
	j->w->on_line(j->w->arg, e->msg);
	j->w->on_line(j->w->arg, "What the interrupted build left is of no use: from the start");
	j->resumed = false;
	err_clear(e);
	return store_stage_clear(j->stage, e) && make_tmp(j, e) && run_steps(j, e);
}

static bool build(struct job *j, struct err *e)
{
	if (!take_up(j, e) || !make_tmp(j, e))
		return false;
	return run_steps(j, e) ||
	       (j->resumed && j->stage != NULL && e->kind == ERR_BUILD && from_the_start(j, e));
}

/* Not by a user, who wants it gone: by our end. */
static bool interrupted(struct job *j, struct err *e)
{
	if (e->kind != ERR_CANCELLED || !atomic_load(&j->en->stopping))
		return false;
	store_stage_leave(STEAL(j->stage));
	err_clear(e);
	(void)err_set(e, ERR_UNAVAILABLE, "the daemon stopped during the build");
	return err_hint(e, "start it again: it goes on where it was");
}

static void job_done(struct job *j)
{
	store_stage_abort(j->stage);
	free(j->archive);
	free(j->src);
	free(j->build);
	free(j->tmp);
	free(j->toolkit);
	free(j->stage_slash);
	tools_done(&j->tools);
	strv_done(&j->environ);
	strv_done(&j->configure);
	complaint_done(&j->complaint);
}

static void job_done_p(struct job *j)
{
	job_done(j);
}

static void name_folders(struct job *j)
{
	const char *stage = store_stage_path(j->stage);

	j->src = fs_join(stage, "src");
	j->build = fs_join(stage, "build");
	j->tmp = fs_join(stage, "tmp");
	j->toolkit = fs_join(stage, "cuda");
	j->stage_slash = mem_printf("%s/", stage);
}

/* The store asks this only while another builder has the lock. */
static bool waiting_cancelled(void *arg)
{
	const struct job *j = arg;

	j->w->on_step(j->w->arg, "Waiting for another build", 0);
	return job_stopped(j);
}

bool job_run(struct engine *en, struct store *store, const struct recipe *r,
	     const struct build_watch *w, struct err *e)
{
	CLEANUP(job_done) struct job j = {.en = en, .store = store, .r = r, .w = w};

	recipe_source(r, j.source);
	if (store_has(store, r->digest))
		return true;
	if (!tools_find(&j.tools, e))
		return false;
	if (!store_stage_begin(store, r->digest, waiting_cancelled, &j, &j.stage, e))
		return false;
	if (j.stage == NULL) /* another daemon built it meanwhile */
		return true;
	name_folders(&j);
	make_environ(&j);
	make_configure(&j);
	return build(&j, e) || interrupted(&j, e);
}
