/* SPDX-License-Identifier: Apache-2.0 */
#include "model/discover.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "model/catalog.h"
#include "model/split_name.h"

/* A file that has been looked at; a model of the catalogue when it has an id. */
struct seen {
	dev_t device;
	ino_t inode;
	char *id;
};

struct search {
	struct db *db;
	void (*tell)(void *arg, const struct discovery *d);
	void *arg;
	struct seen *seen;
	size_t seen_count;
	int entries, models;
	bool whole;
	struct err why; /* not the files' fault: ends it */
};

/* A folder on the way down. */
struct level {
	struct search *s;
	const char *path;
	int depth;
};

static void search_done_p(struct search *s)
{
	for (size_t i = 0; i < s->seen_count; i++)
		free(s->seen[i].id);
	free(s->seen);
}

static void remember(struct search *s, const struct stat *st, const char *id)
{
	s->seen = mem_grow(s->seen, s->seen_count + 1, sizeof(*s->seen));
	s->seen[s->seen_count++] =
		(struct seen){.device = st->st_dev, .inode = st->st_ino, .id = mem_dup(id)};
}

static const struct seen *find_seen(const struct search *s, const struct stat *st)
{
	for (size_t i = 0; i < s->seen_count; i++)
		if (s->seen[i].inode == st->st_ino && s->seen[i].device == st->st_dev)
			return &s->seen[i];
	return NULL;
}

static bool remember_catalogue(struct search *s, struct err *e)
{
	struct db_model *list = NULL;
	size_t count = 0;
	struct stat st;

	if (!db_model_list(s->db, &list, &count, e))
		return false;
	for (size_t i = 0; i < count; i++)
		if (stat(list[i].path, &st) == 0)
			remember(s, &st, list[i].id);
	db_models_free(list, count);
	return true;
}

/* The first part stands for it. */
static bool is_later_part(const char *name)
{
	struct split_name split;

	return split_name_parse(name, &split) && split.part > 1;
}

static void unfit(struct search *s, const char *path, const char *reason)
{
	struct discovery d = {.kind = DISCOVERED_UNFIT, .path = path, .reason = reason};

	s->tell(s->arg, &d);
}

/* A file that nobody has looked at. */
static void try_new(struct search *s, const char *path, const struct stat *st)
{
	struct discovery d = {.kind = DISCOVERED_NEW, .path = path};
	struct db_model m = {0};
	struct err e = {0};
	bool readable = catalog_describe(path, NULL, NULL, false, &m, &e);

	if (readable && catalog_enter(s->db, &m, &e)) {
		remember(s, st, m.id);
		d.id = m.id;
		s->tell(s->arg, &d);
	} else if (readable && e.kind != ERR_CONFLICT) {
		s->why = e;
	} else {
		remember(s, st, NULL);
		unfit(s, path, e.msg);
	}
	db_model_done(&m);
}

static void meet(struct search *s, const char *path, const struct stat *st)
{
	const struct seen *known = find_seen(s, st);
	struct discovery d = {.kind = DISCOVERED_KNOWN, .path = path};

	if (known) {
		d.id = known->id;
		if (d.id) /* else it was unfit under another name */
			s->tell(s->arg, &d);
		return;
	}
	if (++s->models > DISCOVER_MODELS)
		s->whole = false;
	else
		try_new(s, path, st);
}

static void walk(struct search *s, const char *path, int depth);

static bool look(void *arg, const char *name, struct err *e)
{
	const struct level *l = arg;
	struct search *s = l->s;
	CLEANUP(free) char *path = fs_join(l->path, name);
	size_t len = strlen(name);
	struct stat st;

	(void)e;
	if (++s->entries > DISCOVER_ENTRIES) {
		s->whole = false;
		return true;
	}
	if (lstat(path, &st) < 0)
		return true; /* gone meanwhile */
	if (S_ISDIR(st.st_mode)) {
		walk(s, path, l->depth + 1);
		return s->why.kind == ERR_NONE;
	}
	if (len < 6 || strcasecmp(name + len - 5, ".gguf") != 0 || is_later_part(name))
		return true;
	if (stat(path, &st) < 0)
		unfit(s, path, "the link leads nowhere");
	else if (S_ISREG(st.st_mode))
		meet(s, path, &st);
	return s->why.kind == ERR_NONE;
}

static void walk(struct search *s, const char *path, int depth)
{
	struct level l = {.s = s, .path = path, .depth = depth};
	struct err e = {0};

	if (depth > DISCOVER_DEPTH)
		s->whole = false;
	else if (!fs_each(path, look, &l, &e) && s->why.kind == ERR_NONE)
		unfit(s, path, e.msg);
}

bool discover(struct db *db, const char *folder, void (*tell)(void *arg, const struct discovery *d),
	      void *arg, bool *ret_whole, struct err *e)
{
	CLEANUP(search_done) struct search s = {.db = db, .tell = tell, .arg = arg, .whole = true};
	CLEANUP(free) char *real = fs_real(folder);

	if (!real)
		return err_set(e, ERR_NOT_FOUND, "there is no folder '%.300s'", folder) ||
		       err_hint(e, "the daemon must be able to read it");
	if (!fs_is_folder(real))
		return err_set(e, ERR_INVALID, "'%.300s' is not a folder", folder) ||
		       err_hint(e, "a single file: shunt add FILE");
	if (!remember_catalogue(&s, e))
		return false;
	walk(&s, real, 0);
	if (s.why.kind != ERR_NONE) {
		*e = s.why;
		return false;
	}
	*ret_whole = s.whole;
	return true;
}

/* --- places ------------------------------------------------------------- */

/* clang-format off */
static const struct {
	const char *variable; /* wins when it is set; NULL: none */
	const char *below;    /* of the variable's folder */
	const char *home;     /* else: below the home folder */
} places[] = {
	{"HF_HUB_CACHE", "",     ".cache/huggingface/hub"},
	{"HF_HOME",      "/hub", ".cache/huggingface/hub"},
	{NULL,           "",     ".lmstudio/models"},
	{NULL,           "",     ".cache/lm-studio/models"},
	{"LLAMA_CACHE",  "",     ".cache/llama.cpp"},
};
/* clang-format on */

static void add_place(struct strv *ret, const char *path)
{
	CLEANUP(free) char *real = fs_real(path);

	if (!real || !fs_is_folder(real))
		return;
	for (size_t i = 0; i < ret->count; i++)
		if (strcmp(ret->items[i], real) == 0)
			return;
	strv_add(ret, real);
}

void discover_places(struct strv *ret)
{
	const char *home = getenv("HOME");

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const char *set = places[i].variable ? getenv(places[i].variable) : NULL;
		CLEANUP(free) char *path = NULL;

		if (set && set[0] == '/')
			path = mem_printf("%s%s", set, places[i].below);
		else if (home && home[0] == '/')
			path = fs_join(home, places[i].home);
		if (path)
			add_place(ret, path);
	}
}
