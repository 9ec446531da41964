/* SPDX-License-Identifier: Apache-2.0 */
#include "model/hub_note.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define NOTES ".verified"
enum { NOTES_MAX = 4 << 20, DEPTH_MAX = 8 };

/* --- notes -------------------------------------------------------------- */

/* Owned; an empty object when there are none. */
static json_t *load(const char *folder)
{
	CLEANUP(free) char *path = fs_join(folder, NOTES);
	CLEANUP(free) char *text = NULL;
	json_t *notes = NULL;
	size_t len = 0;

	if (fs_read(path, NOTES_MAX, &text, &len, NULL))
		notes = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(notes))
		return notes;
	json_decref(notes);
	return json_object();
}

static bool look_at(const char *folder, const char *path, struct stat *ret)
{
	CLEANUP(free) char *file = fs_join(folder, path);

	return lstat(file, ret) == 0 && S_ISREG(ret->st_mode);
}

static json_int_t time_of(const struct stat *st)
{
	return (json_int_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* NULL: none that still holds. */
static const char *hash_of(const json_t *notes, const char *path, const struct stat *st)
{
	const json_t *note = json_object_get(notes, path);
	const char *sha256 = json_string_value(json_object_get(note, "sha256"));

	return sha256 && hash_is_hex(sha256) &&
			       json_integer_value(json_object_get(note, "size")) == st->st_size &&
			       json_integer_value(json_object_get(note, "mtime_ns")) == time_of(st)
		       ? sha256
		       : NULL;
}

bool hub_note_find(const char *folder, const char *path, char ret_sha256[static HASH_HEX_SIZE])
{
	const char *sha256;
	struct stat st;
	json_t *notes;

	if (!look_at(folder, path, &st))
		return false;
	notes = load(folder);
	sha256 = hash_of(notes, path, &st);
	if (sha256)
		memcpy(ret_sha256, sha256, HASH_HEX_SIZE);
	json_decref(notes);
	return sha256 != NULL;
}

static void forget_what_is_gone(const char *folder, json_t *notes)
{
	const char *path;
	struct stat st;
	json_t *note;
	void *next;

	json_object_foreach_safe(notes, next, path, note)
		if (!look_at(folder, path, &st))
			(void)json_object_del(notes, path);
}

void hub_note_add(const char *folder, const char *path, const char *sha256)
{
	CLEANUP(free) char *file = fs_join(folder, NOTES);
	CLEANUP(free) char *text = NULL;
	struct stat st;
	json_t *notes;

	if (!look_at(folder, path, &st))
		return;
	notes = load(folder);
	forget_what_is_gone(folder, notes);
	(void)json_object_set_new(notes, path,
				  json_pack("{s:s, s:I, s:I}", "sha256", sha256, "size",
					    (json_int_t)st.st_size, "mtime_ns", time_of(&st)));
	text = json_dumps(notes, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(notes);
	if (!text || !fs_replace(file, text, strlen(text), 0600, NULL))
		(void)unlink(file);
}

/* --- what is here ------------------------------------------------------- */

struct level {
	const char *folder; /* the repository's */
	const char *below;  /* "" or "a/b/" */
	int depth;
	const json_t *notes;
	json_t *tree;
};

static void list_file(const struct level *l, const char *path, const struct stat *st)
{
	const char *sha256 = hash_of(l->notes, path, st);
	json_t *entry = json_pack("{s:s, s:s, s:I}", "type", "file", "path", path, "size",
				  (json_int_t)st->st_size);

	if (!entry) /* its name is no text */
		return;
	if (sha256)
		(void)json_object_set_new(
			entry, "lfs",
			json_pack("{s:s, s:I}", "oid", sha256, "size", (json_int_t)st->st_size));
	(void)json_array_append_new(l->tree, entry);
}

static bool look(void *arg, const char *name, struct err *e)
{
	const struct level *l = arg;
	CLEANUP(free) char *path = mem_printf("%s%s", l->below, name);
	CLEANUP(free) char *full = fs_join(l->folder, path);
	CLEANUP(free) char *below = mem_printf("%s/", path);
	struct level inner = *l;
	struct stat st;

	if (name[0] == '.' || lstat(full, &st) < 0)
		return true;
	if (S_ISREG(st.st_mode))
		list_file(l, path, &st);
	inner.below = below;
	inner.depth++;
	return !S_ISDIR(st.st_mode) || l->depth == DEPTH_MAX || fs_each(full, look, &inner, e);
}

bool hub_note_tree(const char *folder, json_t **ret, struct err *e)
{
	struct level top = {.folder = folder, .below = ""};
	json_t *notes = load(folder);
	bool ok;

	top.notes = notes;
	top.tree = json_array();
	ok = fs_each(folder, look, &top, e);
	json_decref(notes);
	if (ok)
		*ret = top.tree;
	else
		json_decref(top.tree);
	return ok;
}
