/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A venv by hand: what `python -m venv` writes, and a .pth file that leads to the store. Written
 * with its final paths, as a venv does not survive a rename. Its own site-packages is the user's
 * and comes first; nothing that pip does there gets into the store.
 *
 *   pyvenv.cfg  bin/python  bin/activate  bin/pip  lib/python3.11/site-packages/shunt.pth
 *   python/llama_cpp/        links to the piece's modules; lib leads to the base
 *   python/engine.json       what the hook has to load
 */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "engine/python.h"
#include "env/env_python.h"

struct venv {
	struct envs *es;
	const struct db_env *row;
	const char *folder;
	char *packages; /* the piece's site-packages */
};

static bool write(const struct venv *v, const char *name, mode_t mode, const struct buf *text,
		  struct err *e)
{
	CLEANUP(free) char *path = fs_join(v->folder, name);

	return fs_replace(path, text->data, text->len, mode, e);
}

/* In single quotes, for sh. */
static void quote(struct buf *b, const char *text)
{
	buf_str(b, "'");
	for (; *text; text++)
		buf_printf(b, *text == '\'' ? "'\\''" : "%c", *text);
	buf_str(b, "'");
}

/* --- what python -m venv writes ------------------------------------------- */

static bool write_config(const struct venv *v, struct err *e)
{
	CLEANUP(free) char *home = fs_dirname(v->row->python_program);
	CLEANUP(buf_done) struct buf b = {0};

	buf_printf(&b,
		   "home = %s\ninclude-system-site-packages = false\nversion = %s\n"
		   "executable = %s\n",
		   home, v->row->python_version, v->row->python_program);
	return write(v, "pyvenv.cfg", 0644, &b, e);
}

static bool write_activate(const struct venv *v, struct err *e)
{
	CLEANUP(buf_done) struct buf b = {0};

	buf_str(&b, "# source this; 'deactivate' takes it back\n"
		    "deactivate () {\n"
		    "\tPATH=\"$_SHUNT_OLD_PATH\"; PS1=\"${_SHUNT_OLD_PS1-}\"; export PATH\n"
		    "\tunset VIRTUAL_ENV _SHUNT_OLD_PATH _SHUNT_OLD_PS1\n"
		    "\tunset -f deactivate\n"
		    "\thash -r 2>/dev/null || true\n"
		    "}\n"
		    "_SHUNT_OLD_PATH=\"$PATH\"; _SHUNT_OLD_PS1=\"${PS1-}\"\n"
		    "VIRTUAL_ENV=");
	quote(&b, v->folder);
	buf_str(&b, "\nPATH=\"$VIRTUAL_ENV/bin:$PATH\"; export VIRTUAL_ENV PATH\n"
		    "unset PYTHONHOME\n"
		    "PS1=");
	buf_str(&b, "\"(");
	buf_str(&b, v->row->name);
	buf_str(&b, ") ${PS1-}\"\nhash -r 2>/dev/null || true\n");
	return write(v, "bin/activate", 0644, &b, e);
}

static bool write_pip(const struct venv *v, struct err *e)
{
	CLEANUP(free) char *python = fs_join(v->folder, "bin/python");
	CLEANUP(buf_done) struct buf b = {0};

	buf_str(&b, "#!/bin/sh\nexec ");
	quote(&b, python);
	buf_str(&b, " -m pip \"$@\"\n");
	return write(v, "bin/pip", 0755, &b, e) && write(v, "bin/pip3", 0755, &b, e);
}

static bool link_python(const struct venv *v, struct err *e)
{
	CLEANUP(free) char *python = fs_join(v->folder, "bin/python");
	CLEANUP(free) char *python3 = fs_join(v->folder, "bin/python3");
	CLEANUP(free) char *lib64 = fs_join(v->folder, "lib64");

	return fs_link(v->row->python_program, python, e) && fs_link("python", python3, e) &&
	       fs_link("lib", lib64, e);
}

/* --- what leads to the store ---------------------------------------------- */

/* lib/python3.11/site-packages */
static char *site_packages(const struct venv *v)
{
	const char *version = v->row->python_version;
	size_t major = strcspn(version, ".");
	size_t minor = version[major] ? major + 1 + strcspn(version + major + 1, ".") : major;

	return mem_printf("lib/python%.*s/site-packages", (int)minor, version);
}

static bool write_path(const struct venv *v, struct err *e)
{
	CLEANUP(free) char *site = site_packages(v);
	CLEANUP(free) char *folder = fs_join(v->folder, site);
	CLEANUP(free) char *name = fs_join(site, "shunt.pth");
	CLEANUP(buf_done) struct buf b = {0};

	buf_printf(&b, "%s/python\n%s\nimport _shunt_engine\n", v->folder, v->packages);
	return fs_mkdirs(folder, 0755, e) && write(v, name, 0644, &b, e);
}

struct linker {
	const char *from, *to;
};

static bool link_one(void *arg, const char *name, struct err *e)
{
	const struct linker *l = arg;
	CLEANUP(free) char *target = fs_join(l->from, name);
	CLEANUP(free) char *path = fs_join(l->to, name);

	return fs_link(target, path, e);
}

/* The modules find the libraries beside themselves, so the package is a folder of links. */
static bool link_package(const struct venv *v, struct err *e)
{
	CLEANUP(free) char *from = fs_join(v->packages, "llama_cpp");
	CLEANUP(free) char *to = fs_join(v->folder, "python/llama_cpp");
	CLEANUP(free) char *lib = fs_join(to, "lib");
	CLEANUP(free) char *base = store_path(v->es->s.store, v->row->base_digest);
	struct linker l = {.from = from, .to = to};

	/* lib last: a package that was built where it lay brings one of its own. */
	return fs_remove_tree(to, e) && fs_mkdirs(to, 0755, e) && fs_each(from, link_one, &l, e) &&
	       fs_link(base, lib, e);
}

/* --- what the hook reads -------------------------------------------------- */

static json_t *variables(const char *const *settings)
{
	json_t *j = json_object();

	for (; settings && *settings; settings++) {
		CLEANUP(free) char *key = mem_ndup(*settings, strcspn(*settings, "="));
		const char *value = *settings + strlen(key);

		if (*value == '=')
			json_object_set_new(j, key, json_string(value + 1));
	}
	return j;
}

bool env_python_facts(struct envs *es, const struct db_env *row, const char *folder, struct err *e)
{
	const struct backend *b = backend_find(row->backend);
	CLEANUP(free) char *path = fs_join(folder, "python/engine.json");
	CLEANUP(free)
	char *piece = row->module_digest ? store_path(es->s.store, row->module_digest) : NULL;
	CLEANUP(free) char *module = piece ? fs_join(piece, b->module) : NULL;
	CLEANUP(free) char *text = NULL;
	json_t *facts;

	if (!row->python_digest)
		return true;
	facts = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o}", "environment", row->name, "backend",
			  b->name, "title", b->title, "device",
			  b->device_prefix ? b->device_prefix : "CPU", "module", module,
			  "variables", variables(es->s.worker_env));
	text = json_dumps(facts, JSON_INDENT(2));
	json_decref(facts);
	return fs_replace(path, text, strlen(text), 0644, e);
}

bool env_python_folder(struct envs *es, const struct db_env *row, const char *folder, struct err *e)
{
	CLEANUP(free)
	char *piece = row->python_digest ? store_path(es->s.store, row->python_digest) : NULL;
	CLEANUP(free) char *packages = piece ? fs_join(piece, PYTHON_PIECE_FOLDER) : NULL;
	CLEANUP(free) char *python = fs_join(folder, "bin/python");
	const struct venv v = {.es = es, .row = row, .folder = folder, .packages = packages};

	if (!packages)
		return fs_remove_tree(python, e);
	return link_package(&v, e) && env_python_facts(es, row, folder, e) && write_config(&v, e) &&
	       write_path(&v, e) && write_activate(&v, e) && write_pip(&v, e) && link_python(&v, e);
}
