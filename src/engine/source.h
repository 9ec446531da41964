/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where llama.cpp's source comes from (`engine_source`): pip, a URL, an archive, a folder. What is
 * fetched is kept in <cache_dir>/source/<sha256> and looked at again, hash and all, at each use.
 * Any thread; two that fetch the same wait for each other, also in other daemons.
 */

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/pin.h"

enum source_kind { SOURCE_PIP, SOURCE_URL, SOURCE_ARCHIVE, SOURCE_FOLDER };

struct source {
	enum source_kind kind;
	char *where;     /* URL, path, or package of pip */
	char *version;   /* of the package */
	char *sha256;    /* NULL: a folder, or an archive that named none */
	int64_t size;    /* expected, 0: unknown */
	char *cache_dir; /* <cache_dir>/source */
	char *pip_path;  /* folder for PYTHONPATH: see pip.c */
	bool offline;    /* what is not in the cache is not fetched */
};

void source_free(struct source *s);
CLEANUP_DEFINE(source_free, struct source)
/* text: `engine_source`, NULL or "" for the pin. */
MUST_CHECK bool source_parse(const char *text, const struct pin *pin, const char *cache_dir,
			     struct source **ret, struct err *e);
/* Is it fetched already, or nothing to fetch? (Only looks whether it is there.) */
bool source_is_here(const struct source *s);

/* Who looks on: progress from 0 to 1, whether to go on, what tools print. */
struct source_watch {
	void (*on_progress)(void *arg, double fraction);
	void (*on_line)(void *arg, const char *line);
	bool (*cancelled)(void *arg);
	void *arg;
};
/* The hash that stands for this source in digests: of the archive, or of a folder's content. */
MUST_CHECK bool source_hash(const struct source *s, const struct pin *pin, char ret_hex[static 65],
			    struct err *e);
/* Fetches it when it isn't here, checks its hash. *ret_archive: the archive's path (caller frees),
 * NULL for a folder. hash: what source_hash() said when the recipe was made. */
MUST_CHECK bool source_get(const struct source *s, const char *hash, const struct source_watch *w,
			   char **ret_archive, struct err *e);
/* llama.cpp into <stage>/src, which must not exist yet. archive: from source_get(). */
MUST_CHECK bool source_unpack(const struct source *s, const struct pin *pin, const char *archive,
			      const char *hash, const char *stage, const struct source_watch *w,
			      struct err *e);
/* The Python binding that lies around llama.cpp in the source: <to>/llama_cpp, and <to>/PKG-INFO
 * where there is one. ERR_NOT_FOUND: this source has none. archive as for source_unpack(). */
MUST_CHECK bool source_binding(const struct source *s, const struct pin *pin, const char *archive,
			       const char *to, const struct source_watch *w, struct err *e);
/* False: it is known to have none. */
bool source_may_bind(const struct source *s, const struct pin *pin);

/* --- inside ----------------------------------------------------------------------------------- */

/* pip.c: one file into `folder`, whose name is *ret_path. */
MUST_CHECK bool pip_download(const struct source *s, const char *folder,
			     const struct source_watch *w, char **ret_path, struct err *e);
/* source_tree.c: the folder in `top` that is a llama.cpp: itself, its <subfolder>, or so in its
 * only folder. NULL: none; caller frees. */
char *tree_find(const char *top, const char *subfolder);
/* Names, kinds and content of a tree, without what its top folder need not have. */
MUST_CHECK bool tree_hash(const char *top, const struct pin *pin, char ret_hex[static 65],
			  struct err *e);
MUST_CHECK bool tree_copy(const char *top, const struct pin *pin, const char *to,
			  const struct source_watch *w, struct err *e);
