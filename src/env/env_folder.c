/* SPDX-License-Identifier: Apache-2.0 */
/* envs/<name>/: for people who look what an environment is made of. Nothing of ours reads it. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "env/env_priv.h"

static bool write_facts(struct envs *es, const struct db_env *row, const char *folder,
			struct err *e)
{
	CLEANUP(free) char *path = fs_join(folder, "env.json");
	CLEANUP(free) char *text = NULL;
	char created[32];
	json_t *facts;

	clock_iso(row->created, created);
	facts = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s}", "name", row->name,
			  "backend", row->backend, "engine", engine_release(es->s.engine), "base",
			  row->base_digest, "module", row->module_digest, "device", row->device,
			  "device_name", row->device_name, "created", created);
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

static bool fill(struct envs *es, const struct db_env *row, const char *folder, struct err *e)
{
	CLEANUP(free) char *bin = fs_join(folder, "bin");
	CLEANUP(free) char *lib = fs_join(folder, "lib");

	return fs_mkdirs(bin, 0755, e) && fs_mkdirs(lib, 0755, e) &&
	       link_piece(es, row->base_digest, folder, e) &&
	       link_piece(es, row->module_digest, folder, e) && write_facts(es, row, folder, e);
}

/* Filled beside, then put in the old one's place: half a folder is never seen. */
bool env_folder_make(struct envs *es, const struct db_env *row, struct err *e)
{
	CLEANUP(free) char *folder = fs_join(es->envs_dir, row->name);
	CLEANUP(free) char *new = mem_printf("%s/.new-%s", es->envs_dir, row->name);
	struct err left = {0};

	if (fs_remove_tree(new, e) && fill(es, row, new, e) && fs_remove_tree(folder, e) &&
	    fs_rename(new, folder, e))
		return true;
	if (!fs_remove_tree(new, &left))
		log_debug("left behind reason=\"%s\"", left.msg); /* swept at the next start */
	return err_wrap(e, "folder of environment '%s'", row->name);
}

bool env_folder_remove(struct envs *es, const char *name, struct err *e)
{
	CLEANUP(free) char *folder = fs_join(es->envs_dir, name);

	return fs_remove_tree(folder, e);
}
