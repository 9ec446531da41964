/* SPDX-License-Identifier: Apache-2.0 */
#include "model/catalog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "model/gguf.h"
#include "model/hub_name.h"
#include "model/pull.h"
#include "model/split_name.h"

/* --- add ---------------------------------------------------------------- */

/* What has the format of a model but is only part of one. */
static const struct {
	const char *kind, *what, *hint;
} companions[] = {
	{"adapter", "a LoRA adapter", "shunt set MODEL lora=PATH applies it to a model"},
	{"mmproj", "a projector for images or sound", "shunt set MODEL mmproj=PATH adds it to one"},
	{"clip", "a projector for images or sound", "shunt set MODEL mmproj=PATH adds it to one"},
	{"imatrix", "an importance matrix", "it serves to quantise models"},
};

static bool is_a_model(const struct gguf *g, const char *path, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
		const char *kind = companions[i].kind;

		if ((!g->kind || strcmp(g->kind, kind) != 0) && strcmp(g->architecture, kind) != 0)
			continue;
		err_set(e, ERR_INVALID, "'%s' is %s, not a model", path, companions[i].what);
		return err_hint(e, "%s", companions[i].hint);
	}
	if (g->parameters > 0)
		return true;
	err_set(e, ERR_INVALID, "'%s' has no tensors: a vocabulary, not a model", path);
	return err_hint(e, "give the file with the weights");
}

static char *absolute(const char *path)
{
	CLEANUP(free) char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	return here ? fs_join(here, path) : mem_dup(path);
}

static const char *mode_of(const struct gguf *g)
{
	if (g->is_rerank)
		return "rerank";
	return g->is_embedding ? "embedding" : "chat";
}

static void put(char **text, const char *value)
{
	free(*text);
	*text = mem_dup(value);
}

bool catalog_read_file(struct db_model *m, struct err *e)
{
	CLEANUP(gguf_free) struct gguf *g = NULL;

	if (!gguf_read(m->path, &g, e) || !is_a_model(g, m->path, e))
		return false;
	m->size_bytes = g->file_bytes;
	put(&m->architecture, g->architecture);
	put(&m->name, g->name);
	put(&m->quantization, g->quantization);
	m->parameters = g->parameters;
	m->context_length = g->context_length;
	put(&m->mode, mode_of(g));
	return true;
}

static void describe(struct db_model *m, const char *options, bool pulled)
{
	m->options = mem_dup(options ? options : "{}");
	m->pulled = pulled;
	m->created = clock_wall_ms();
}

bool catalog_describe(const char *path, const char *id, const char *options, bool pulled,
		      struct db_model *ret, struct err *e)
{
	struct db_model m = {0};

	if (id && !catalog_id_valid(id)) {
		err_set(e, ERR_INVALID, "'%.60s' is not a model id", id);
		return err_hint(e, "1 to 200 of A-Z a-z 0-9 . _ : @ + -, the first a letter or "
				   "digit; 'loaded' is reserved");
	}
	m.path = absolute(path);
	if (!catalog_read_file(&m, e)) {
		db_model_done(&m);
		return false;
	}
	m.id = id ? mem_dup(id) : catalog_id_from_path(path);
	describe(&m, options, pulled);
	*ret = m;
	return true;
}

bool catalog_enter(struct db *db, const struct db_model *m, struct err *e)
{
	if (!catalog_names_free(db, m->id, m->options, e))
		return false;
	if (db_model_insert(db, m, e))
		return true;
	if (e->kind == ERR_CONFLICT)
		(void)err_hint(e, "give it another id, or shunt rm %.150s first", m->id);
	return false;
}

bool catalog_add(struct db *db, const char *path, const char *id, const char *options, bool pulled,
		 struct db_model *ret, struct err *e)
{
	struct db_model m = {0};

	if (!catalog_describe(path, id, options, pulled, &m, e))
		return false;
	if (catalog_enter(db, &m, e)) {
		*ret = m;
		return true;
	}
	db_model_done(&m);
	return false;
}

/* --- the file, later ---------------------------------------------------- */

/* Sum of the parts; 0 when it has none, or one is missing. */
static int64_t size_of_parts(const char *path)
{
	struct split_name split;
	int64_t sum = 0;
	struct stat st;

	(void)split_name_parse(path, &split);
	for (int i = 1; i <= split.count; i++) {
		CLEANUP(free) char *part = split_name_of(path, &split, i);

		if (stat(part, &st) < 0 || !S_ISREG(st.st_mode))
			return 0;
		sum += st.st_size;
	}
	return sum;
}

bool catalog_remove_files(const struct db_model *m, struct err *e)
{
	struct split_name split;

	(void)split_name_parse(m->path, &split);
	for (int i = 2; i <= split.count; i++) {
		CLEANUP(free) char *part = split_name_of(m->path, &split, i);

		if (unlink(part) < 0 && errno != ENOENT)
			return err_sys(e, errno, "removing '%s'", part);
	}
	return unlink(m->path) == 0 || errno == ENOENT ||
	       err_sys(e, errno, "removing '%s'", m->path);
}

bool catalog_check_file(const struct db_model *m, struct err *e)
{
	struct stat st;

	if (stat(m->path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return err_sys(e, errno, "model '%s': its file '%s'", m->id, m->path);
		err_set(e, ERR_NOT_FOUND, "model '%s': its file '%s' is gone", m->id, m->path);
		return err_hint(e, "put it back, or forget the model: shunt rm %.150s", m->id);
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, ERR_CONFLICT, "model '%s': '%s' is not a regular file any more", m->id,
			m->path);
		return err_hint(e, "put the file back, or forget the model: shunt rm %.150s",
				m->id);
	}
	if (access(m->path, R_OK) < 0) {
		err_set(e, ERR_CONFLICT, "model '%s': its file '%s' cannot be read", m->id,
			m->path);
		return err_hint(e, "the daemon runs as user %u: give it the right to read it",
				(unsigned int)geteuid());
	}
	if (st.st_size == m->size_bytes || size_of_parts(m->path) == m->size_bytes)
		return true;
	err_set(e, ERR_CONFLICT,
		"model '%s': '%s' is another file than was registered (%" PRId64
		" bytes, not %" PRId64 ")",
		m->id, m->path, (int64_t)st.st_size, m->size_bytes);
	return err_hint(e, "register it again: shunt rm %.100s; shunt add PATH", m->id);
}

/* --- pull --------------------------------------------------------------- */

static bool is_hub(const char *name)
{
	return strncmp(name, HUB_PREFIX, strlen(HUB_PREFIX)) == 0;
}

bool catalog_pull_known(const char *name, struct err *e)
{
	CLEANUP(hub_name_done) struct hub_name hub = {0};
	char names[200];

	if (is_hub(name))
		return hub_name_parse(name, &hub, e);
	if (pull_find(name))
		return true;
	err_set(e, ERR_NOT_FOUND, "no model '%.100s' to pull; there are: %s, hf:OWNER/REPO", name,
		pull_names(names, sizeof(names)));
	return err_hint(e, "for a file that is here: shunt add PATH");
}

bool catalog_pull(struct tasks *ts, struct db *db, const struct pull_settings *settings,
		  const char *name, const char *id, const char *options,
		  char ret_task[static TASK_ID_SIZE], struct err *e)
{
	if (!catalog_pull_known(name, e))
		return false;
	if (id && !catalog_id_valid(id))
		return err_set(e, ERR_INVALID, "'%.60s' is not a model id", id);
	return is_hub(name)
		       ? hub_submit(ts, db, settings, name, id, options, ret_task, e)
		       : pull_submit(ts, db, settings, pull_find(name), id, options, ret_task, e);
}
