/* SPDX-License-Identifier: Apache-2.0 */
/* envs/<name>/: for people who look what an environment is made of, and use its Python. */

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "env/env_priv.h"
#include "env/env_python.h"

static bool write_facts(struct envs *es, const struct db_env *row, const char *folder,
			struct err *e)
{
	CLEANUP(free) char *path = fs_join(folder, "env.json");
	CLEANUP(free) char *text = NULL;
	char created[32];
	json_t *facts;

	clock_iso(row->created, created);
	facts = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s}", "name", row->name,
			  "backend", row->backend, "engine", engine_release(es->s.engine), "base",
			  row->base_digest, "module", row->module_digest, "python",
			  row->python_digest, "device", row->device, "device_name",
			  row->device_name, "created", created);
	text = json_dumps(facts, JSON_INDENT(2));
	json_decref(facts);
	return fs_replace(path, text, strlen(text), 0644, e);
}

/* Where the links of one piece go. */
struct linker {
	const char *folder, *piece;
};

static bool link_entry(void *arg, const char *name, struct err *e)
{
	const struct linker *l = arg;
	bool library = strncmp(name, "lib", 3) == 0 && strstr(name, ".so");
	CLEANUP(free) char *target = fs_join(l->piece, name);
	CLEANUP(free)
	char *path = mem_printf("%s/%s/%s", l->folder, library ? "lib" : "bin", name);

	return strcmp(name, "manifest.json") == 0 || fs_link(target, path, e);
}

static bool link_piece(struct envs *es, const char *digest, const char *folder, struct err *e)
{
	CLEANUP(free) char *piece = digest ? store_path(es->s.store, digest) : NULL;
	struct linker l = {.folder = folder, .piece = piece};

	return !digest || fs_each(piece, link_entry, &l, e);
}

/* --- what is left of another build ---------------------------------------- */

struct stale {
	const char *folder, *store;
	const char *pieces[2]; /* those that it has now */
};

static bool begins(const char *text, const char *with)
{
	size_t len = strlen(with);

	return strncmp(text, with, len) == 0 && text[len] == '/';
}

static bool drop_stale(void *arg, const char *name, struct err *e)
{
	const struct stale *s = arg;
	CLEANUP(free) char *path = fs_join(s->folder, name);
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0)
		return true;
	target[len] = '\0';
	if (!begins(target, s->store))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(s->pieces); i++) {
		if (s->pieces[i] && begins(target, s->pieces[i]))
			return true;
	}
	return fs_remove_tree(path, e);
}

static bool drop_all_stale(struct envs *es, const struct db_env *row, const char *folder,
			   struct err *e)
{
	CLEANUP(free) char *base = store_path(es->s.store, row->base_digest);
	CLEANUP(free)
	char *module = row->module_digest ? store_path(es->s.store, row->module_digest) : NULL;
	struct stale s = {
		.folder = folder, .store = store_dir(es->s.store), .pieces = {base, module}};

	return fs_each(folder, drop_stale, &s, e);
}

/* --- all of it ------------------------------------------------------------ */

static bool fill(struct envs *es, const struct db_env *row, const char *folder, struct err *e)
{
	CLEANUP(free) char *bin = fs_join(folder, "bin");
	CLEANUP(free) char *lib = fs_join(folder, "lib");

	return fs_mkdirs(bin, 0755, e) && fs_mkdirs(lib, 0755, e) &&
	       link_piece(es, row->base_digest, folder, e) &&
	       link_piece(es, row->module_digest, folder, e) && drop_all_stale(es, row, bin, e) &&
	       drop_all_stale(es, row, lib, e) && env_python_folder(es, row, folder, e) &&
	       write_facts(es, row, folder, e);
}

bool env_folder_make(struct envs *es, const struct db_env *row, struct err *e)
{
	CLEANUP(free) char *folder = fs_join(es->envs_dir, row->name);

	return fill(es, row, folder, e) || err_wrap(e, "folder of environment '%s'", row->name);
}

bool env_folder_remove(struct envs *es, const char *name, struct err *e)
{
	CLEANUP(free) char *folder = fs_join(es->envs_dir, name);

	return fs_remove_tree(folder, e);
}
