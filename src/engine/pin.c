/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pin.h"

#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "backend/toolkit.h"
#include "base/fs.h"
#include "base/hash.h"

enum { FILE_MAX_BYTES = 1 << 20 };
enum key_type { KEY_TEXT, KEY_NUMBER, KEY_LIST };

/* clang-format off */
static const struct {
	const char *section, *name;
	enum key_type type;
	bool required;
	size_t field;
} keys[] = {
	{"source", "release",   KEY_TEXT,   true,  offsetof(struct pin, release)},
	{"source", "package",   KEY_TEXT,   true,  offsetof(struct pin, package)},
	{"source", "version",   KEY_TEXT,   true,  offsetof(struct pin, version)},
	{"source", "commit",    KEY_TEXT,   false, offsetof(struct pin, commit)},
	{"source", "sha256",    KEY_TEXT,   true,  offsetof(struct pin, sha256)},
	{"source", "size",      KEY_NUMBER, true,  offsetof(struct pin, size)},
	{"source", "subfolder", KEY_TEXT,   true,  offsetof(struct pin, subfolder)},
	{"source", "backend",   KEY_TEXT,   true,  offsetof(struct pin, backend)},
	{"source", "skip",      KEY_LIST,   false, offsetof(struct pin, skip)},
	{"recipe", "include",   KEY_TEXT,   false, offsetof(struct pin, include)},
	{"recipe", "patch",     KEY_LIST,   false, offsetof(struct pin, patches)},
	{"cmake",  "arg",       KEY_LIST,   true,  offsetof(struct pin, cmake_args)},
	{"base",   "arg",       KEY_LIST,   false, offsetof(struct pin, base_args)},
	{"base",   "target",    KEY_LIST,   true,  offsetof(struct pin, base_targets)},
	{"base",   "file",      KEY_LIST,   true,  offsetof(struct pin, base_files)},
	{"base",   "disk",      KEY_NUMBER, true,  offsetof(struct pin, base_disk)},
	{"base",   "memory",    KEY_NUMBER, true,  offsetof(struct pin, base_memory)},
	{"module", "arg",       KEY_LIST,   false, offsetof(struct pin, module_args)},
	{"python", "folder",    KEY_TEXT,   false, offsetof(struct pin, python)},
	{"cuda",   "folder",    KEY_TEXT,   false, offsetof(struct pin, cuda)},
	{"cuda",   "version",   KEY_TEXT,   false, offsetof(struct pin, cuda_version)},
	{"cuda",   "root",      KEY_TEXT,   false, offsetof(struct pin, cuda_root)},
	{"cuda",   "compiler_size", KEY_NUMBER, false, offsetof(struct pin, compiler_size)},
	{"cuda",   "compiler_disk", KEY_NUMBER, false, offsetof(struct pin, compiler_disk)},
	{"cuda",   "runtime_size",  KEY_NUMBER, false, offsetof(struct pin, runtime_size)},
	{"cuda",   "runtime_disk",  KEY_NUMBER, false, offsetof(struct pin, runtime_disk)},
};
/* clang-format on */

void pin_free(struct pin *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		void *field = (char *)p + keys[i].field;

		if (keys[i].type == KEY_TEXT)
			free(*(char **)field);
		else if (keys[i].type == KEY_LIST)
			strv_done(field);
	}
	free(p->folder);
	free(p);
}

static bool set_number(int64_t *field, const char *value)
{
	char *end = NULL;
	long long n = 0;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || n < 0)
		return false;
	*field = n;
	return true;
}

/* What is wrong with it, or NULL. */
static const char *set_key(struct pin *p, const char *section, const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		void *field = (char *)p + keys[i].field;

		if (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].name, name) != 0)
			continue;
		if (value[0] == '\0')
			return "has no value";
		if (keys[i].type == KEY_LIST)
			strv_add(field, value);
		else if (keys[i].type == KEY_NUMBER)
			return set_number(field, value) ? NULL : "is not a number";
		else if (*(char **)field != NULL)
			return "stands there twice";
		else
			*(char **)field = mem_dup(value);
		return NULL;
	}
	return "is not known";
}

struct reading {
	struct pin *pin;
	struct buf why; /* the first complaint */
};

/* inih stops counting at the first 0. */
static int on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;
	const char *why = set_key(r->pin, section, name, value ? value : "");

	if (why != NULL && r->why.len == 0)
		buf_printf(&r->why, "key '%s' in [%s] %s", name, section, why);
	return why == NULL;
}

static bool check_required(const struct pin *p, const char *path, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const void *field = (const char *)p + keys[i].field;
		bool set = keys[i].type == KEY_TEXT   ? *(char *const *)field != NULL
			   : keys[i].type == KEY_LIST ? ((const struct strv *)field)->count > 0
						      : *(const int64_t *)field > 0;

		if (keys[i].required && !set)
			return err_set(e, ERR_INVALID, "'%s' lacks '%s' in [%s]", path,
				       keys[i].name, keys[i].section);
	}
	if (p->cuda && (!p->cuda_version || !p->cuda_root))
		return err_set(e, ERR_INVALID, "'%s' lacks 'version' or 'root' in [cuda]", path);
	if (!hash_is_hex(p->sha256))
		return err_set(e, ERR_INVALID, "'%s': sha256 '%s' is not 64 hex digits", path,
			       p->sha256);
	return true;
}

bool pin_read(const char *folder, struct pin **ret, struct err *e)
{
	CLEANUP(pin_free) struct pin *p = mem_alloc(sizeof(*p));
	CLEANUP(free) char *path = fs_join(folder, "engine.ini");
	CLEANUP(free) char *text = NULL;
	struct reading r = {.pin = p};
	CLEANUP(buf_done) struct buf why = {0};
	int line = 0;

	if (!fs_read(path, FILE_MAX_BYTES, &text, NULL, e))
		return false;
	p->folder = mem_dup(folder);
	line = ini_parse_string(text, on_key, &r);
	why = r.why;
	if (line != 0)
		return err_set(e, ERR_INVALID, "'%s', line %d: %s", path, line,
			       why.len > 0 ? why.data : "neither a section nor a key");
	if (!check_required(p, path, e))
		return false;
	*ret = STEAL(p);
	return true;
}

static bool newest(void *arg, const char *name, struct err *e)
{
	char **best = arg;

	if (name[0] == '.' || (*best != NULL && toolkit_version_cmp(name, *best) < 0))
		return true;
	free(*best);
	*best = mem_dup(name);
	return true;
}

bool pin_find(const char *data_dir, struct pin **ret, struct err *e)
{
	CLEANUP(free) char *engines = fs_join(data_dir, "engine");
	CLEANUP(free) char *best = NULL;
	CLEANUP(free) char *folder = NULL;

	if (!fs_each(engines, newest, &best, e)) {
		(void)err_wrap(e, "looking for engines");
		return err_hint(e, "install Shunt whole: its data folder has engine/");
	}
	if (best == NULL)
		return err_set(e, ERR_NOT_FOUND, "'%s' is empty: no engine", engines);
	folder = fs_join(engines, best);
	return pin_read(folder, ret, e);
}
