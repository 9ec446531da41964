/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of a hub (Hugging Face, or a mirror that speaks as it does): asks what the repository
 * has, chooses, fetches with the hash that the hub says, registers. What the hub says is checked
 * before it becomes a path, and nothing is fetched that is here.
 */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/part.h"
#include "model/catalog.h"
#include "model/hub_note.h"
#include "model/hub_priv.h"

static void hub_pull_free(void *arg)
{
	struct hub_pull *p = arg;

	close_p(&p->lock);
	free(p->said);
	hub_name_done(&p->name);
	free(p->id);
	free(p->options);
	free(p->folder);
	if (p->token)
		explicit_bzero(p->token, strlen(p->token));
	free(p->token);
	hub_choice_done(&p->choice);
	free(p);
}

char *hub_local_path(const struct hub_pull *p, const struct hub_file *f)
{
	return fs_join(p->folder, f->path);
}

/* --- what is there ------------------------------------------------------ */

static bool read_list(struct hub_pull *p, json_t **ret, struct err *e)
{
	CLEANUP(free) char *path = fs_join(p->folder, ".tree.json");
	bool ok = hub_read_token(p, e) &&
		  (hub_read_tree(p, path, ret, e) || err_wrap(e, "asking what %s has", p->said));

	(void)unlink(path);
	return ok;
}

/* Offline by the same rules, of what is here. */
static bool choose(struct hub_pull *p, struct err *e)
{
	json_t *tree = NULL;
	bool ok;

	if (!(p->s->offline ? hub_note_tree(p->folder, &tree, e) : read_list(p, &tree, e)))
		return false;
	ok = hub_choose(tree, &p->name, &p->choice, e);
	json_decref(tree);
	if (ok || !p->s->offline || e->kind != ERR_NOT_FOUND)
		return ok;
	err_clear(e);
	return pull_offline(p->said, e);
}

static size_t file_count(const struct hub_pull *p)
{
	return p->choice.count + p->projector;
}

/* So much of it is here: all, or an unfinished part, which is wanted again. */
static int64_t bytes_here(const struct hub_pull *p, const struct hub_file *f)
{
	CLEANUP(free) char *path = hub_local_path(p, f);
	CLEANUP(free) char *part = mem_printf("%s.part", path);
	struct stat st;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == f->size)
		return f->size;
	part_touch(path);
	return stat(part, &st) == 0 && st.st_size < f->size ? st.st_size : 0;
}

static bool check_room(struct hub_pull *p, struct err *e)
{
	int64_t need = 0;

	for (size_t i = 0; i < file_count(p); i++) {
		const struct hub_file *f = &p->choice.files[i];

		if (__builtin_add_overflow(p->total, f->size, &p->total))
			return err_set(e, ERR_INVALID, "the hub says impossible sizes") ||
			       err_hint(e, "is hf_endpoint right?");
		need += f->size - bytes_here(p, f);
	}
	return pull_check_room(p->task, p->s->models_dir, p->said, need,
			       ", or choose a smaller quantisation", e);
}

static bool look(struct task *t, void *arg, struct err *e)
{
	struct hub_pull *p = arg;
	CLEANUP(free) char *lock = fs_join(p->folder, ".lock");
	CLEANUP(free) char *path = NULL;

	p->task = t;
	if (!fs_mkdirs(p->folder, 0755, e) || !pull_lock(t, lock, p->said, &p->lock, e) ||
	    !choose(p, e))
		return false;
	if (!p->id)
		p->id = catalog_id_from_path(p->choice.files[0].path);
	path = hub_local_path(p, &p->choice.files[0]);
	task_message(t, "Pulling %s as %s", p->choice.files[0].path, p->id);
	if (!pull_id_is_free(p->db, p->id, path, p->options, e))
		return false;
	p->projector = hub_wants_projector(p);
	return check_room(p, e);
}

/* --- the files ---------------------------------------------------------- */

/* It was this very file when it was last looked at. */
static bool is_known(const struct hub_pull *p, const struct hub_file *f)
{
	char hex[HASH_HEX_SIZE];

	return hub_note_find(p->folder, f->path, hex) && strcmp(hex, f->sha256) == 0;
}

static bool is_here(struct hub_pull *p, const struct hub_file *f, const char *path, bool *ret,
		    struct err *e)
{
	char hex[HASH_HEX_SIZE];
	struct stat st;

	*ret = false;
	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != f->size)
		return true;
	*ret = !f->sha256[0] || is_known(p, f);
	if (*ret)
		return true;
	task_title(p->task, "Checking the file that is here");
	task_logf(p->task, "%s: checking its SHA-256", f->path);
	if (!hash_file(path, hub_cancelled, p, hex, e))
		return false;
	*ret = strcmp(hex, f->sha256) == 0;
	if (*ret)
		hub_note_add(p->folder, f->path, hex);
	return true;
}

static bool fetch_file(struct hub_pull *p, struct hub_file *f, struct err *e)
{
	CLEANUP(free) char *path = hub_local_path(p, f);
	CLEANUP(free) char *folder = fs_dirname(path);
	CLEANUP(free) char *escaped = hub_path_escape(f->path);
	CLEANUP(free)
	char *url = mem_printf("%s/%s/%s/resolve/main/%s", p->s->hf_endpoint, p->name.owner,
			       p->name.repo, escaped);
	bool here = false;

	if (!fs_mkdirs(folder, 0755, e) || !is_here(p, f, path, &here, e))
		return false;
	task_logf(p->task, "%s: %lld bytes%s", f->path, (long long)f->size, here ? ", here" : "");
	if (here)
		return true;
	if (p->s->offline) /* it changed meanwhile */
		return pull_offline(f->path, e);
	if (!hub_get(p, url, path, f->sha256, f->size, e))
		return false;
	f->came = true;
	if (f->sha256[0])
		hub_note_add(p->folder, f->path, f->sha256);
	return true;
}

static bool fetch(struct task *t, void *arg, struct err *e)
{
	struct hub_pull *p = arg;

	p->task = t;
	for (size_t i = 0; i < file_count(p); i++) {
		if (!fetch_file(p, &p->choice.files[i], e))
			return false;
		p->before += p->choice.files[i].size;
		hub_progress(p, 0);
	}
	return true;
}

/* --- the end ------------------------------------------------------------ */

/* The hub has what it says, and that is no model. */
static void remove_files(const struct hub_pull *p)
{
	for (size_t i = 0; i < file_count(p); i++) {
		CLEANUP(free) char *path = hub_local_path(p, &p->choice.files[i]);

		if (p->choice.files[i].came)
			(void)unlink(path);
	}
}

static void report(struct hub_pull *p)
{
	const char *projector = p->projector ? p->choice.files[p->choice.count].path : NULL;
	json_t *result =
		json_pack("{s:s, s:s, s:I, s:s?}", "model", p->id, "file", p->choice.files[0].path,
			  "size_bytes", (json_int_t)p->total, "mmproj", projector);
	CLEANUP(free) char *text = json_dumps(result, JSON_COMPACT);

	json_decref(result);
	task_result(p->task, text);
}

static bool register_it(struct task *t, void *arg, struct err *e)
{
	struct hub_pull *p = arg;
	const struct hub_file *first = &p->choice.files[0];
	CLEANUP(free) char *path = hub_local_path(p, first);
	CLEANUP(free) char *options = NULL;
	bool unsure = p->s->offline && !first->sha256[0];

	p->task = t;
	options = hub_projector_options(p);
	if (!pull_register(p->db, path, p->id, unsure ? NULL : first->sha256, options, e)) {
		if (e->kind == ERR_INVALID)
			remove_files(p);
		return false;
	}
	report(p);
	return true;
}

static const struct task_step steps[] = {
	{"Looking at the repository", 1, look, NULL},
	{"Fetching", 98, fetch, NULL},
	{"Registering", 1, register_it, NULL},
};

bool hub_submit(struct tasks *ts, struct db *db, const struct pull_settings *settings,
		const char *name, const char *id, const char *options,
		char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct hub_name hub = {0};
	struct hub_pull *p;
	CLEANUP(free) char *message = mem_printf("Pulling %s", name);

	if (!hub_name_parse(name, &hub, e))
		return false;
	p = mem_alloc(sizeof(*p));
	p->db = db;
	p->s = settings;
	p->said = mem_dup(name);
	p->name = hub;
	p->id = mem_dup(id);
	p->options = mem_dup(options);
	p->folder = mem_printf("%s/hf/%s/%s", settings->models_dir, hub.owner, hub.repo);
	p->lock = -1;
	const struct task_spec spec = {
		.kind = "pull",
		.model = id,
		.message = message,
		.lane = TASK_PULL,
		.steps = steps,
		.step_count = ARRAY_LEN(steps),
		.arg = p,
		.free_arg = hub_pull_free,
	};
	return tasks_submit(ts, &spec, ret_task, e);
}
