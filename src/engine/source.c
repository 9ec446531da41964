/* SPDX-License-Identifier: Apache-2.0 */
/* What `engine_source` says. */
#include "engine/source.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/hash.h"

void source_free(struct source *s)
{
	if (s == NULL)
		return;
	free(s->where);
	free(s->version);
	free(s->sha256);
	free(s->cache_dir);
	free(s->pip_path);
	free(s);
}

static bool bad(const char *text, const char *why, struct err *e)
{
	(void)err_set(e, ERR_INVALID, "engine_source '%s': %s", text, why);
	return err_hint(e,
			"pip:llama-cpp-python==VERSION sha256=HASH, URL sha256=HASH, the path of "
			"an archive or of a folder");
}

/* Cuts " sha256=…" off the end; NULL stays NULL when there is none. False: not a hash. */
static bool take_hash(char *text, char **ret_sha256)
{
	static const char key[] = "sha256=";
	char *at = strstr(text, key);
	size_t len = 0;

	if (at == NULL || at == text || (at[-1] != ' ' && at[-1] != '\t'))
		return true;
	len = strlen(at + strlen(key));
	for (char *p = at; *p; p++) {
		if (*p >= 'A' && *p <= 'F')
			*p = (char)(*p - 'A' + 'a');
	}
	while (len > 0 && strchr(" \t", at[strlen(key) + len - 1]) != NULL)
		at[strlen(key) + --len] = '\0';
	if (!hash_is_hex(at + strlen(key)))
		return false;
	*ret_sha256 = mem_dup(at + strlen(key));
	do {
		*at-- = '\0';
	} while (at > text && strchr(" \t", *at) != NULL);
	return true;
}

/* Nothing that pip would take for an option or a file. */
static bool name_ok(const char *name)
{
	for (const char *p = name; *p; p++) {
		if (!isalnum((unsigned char)*p) && (p == name || strchr("+-._!", *p) == NULL))
			return false;
	}
	return name[0] != '\0';
}

static bool parse_pip(const char *text, const char *spec, const struct pin *pin, struct source *s,
		      struct err *e)
{
	const char *equals = strstr(spec, "==");

	if (equals == NULL)
		return bad(text, "names no version: pip:NAME==VERSION", e);
	s->where = mem_ndup(spec, (size_t)(equals - spec));
	s->version = mem_dup(equals + 2);
	if (!name_ok(s->where) || !name_ok(s->version))
		return bad(text, "is no package and version", e);
	if (s->sha256 == NULL && strcmp(s->where, pin->package) == 0 &&
	    strcmp(s->version, pin->version) == 0)
		s->sha256 = mem_dup(pin->sha256);
	if (s->sha256 == NULL)
		return bad(text, "has no sha256=", e);
	if (strcmp(s->sha256, pin->sha256) == 0)
		s->size = pin->size;
	s->kind = SOURCE_PIP;
	return true;
}

static bool parse_path(const char *text, const char *path, struct source *s, struct err *e)
{
	struct stat st = {0};

	if (path[0] != '/')
		return bad(text, "a path must be absolute", e);
	if (stat(path, &st) < 0)
		return bad(text, "is not there", e);
	if (S_ISDIR(st.st_mode) && s->sha256 != NULL)
		return bad(text, "a folder has no sha256", e);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return bad(text, "is neither a folder nor an archive", e);
	s->kind = S_ISDIR(st.st_mode) ? SOURCE_FOLDER : SOURCE_ARCHIVE;
	s->where = mem_dup(path);
	return true;
}

static bool parse(const char *text, const struct pin *pin, struct source *s, struct err *e)
{
	CLEANUP(free) char *plain = mem_dup(text);

	if (!take_hash(plain, &s->sha256))
		return bad(text, "its sha256 is not 64 hex digits", e);
	if (strncmp(plain, "pip:", 4) == 0)
		return parse_pip(text, plain + 4, pin, s, e);
	if (strstr(plain, "://") == NULL)
		return parse_path(text, plain, s, e);
	if (s->sha256 == NULL)
		return bad(text, "a URL needs a sha256=", e);
	s->kind = SOURCE_URL;
	s->where = mem_dup(plain);
	return true;
}

bool source_parse(const char *text, const struct pin *pin, const char *cache_dir,
		  struct source **ret, struct err *e)
{
	CLEANUP(source_free) struct source *s = mem_alloc(sizeof(*s));
	CLEANUP(free)
	char *pinned = mem_printf("pip:%s==%s sha256=%s", pin->package, pin->version, pin->sha256);

	s->cache_dir = fs_join(cache_dir, "source");
	s->pip_path = fs_join(pin->folder, pin->backend);
	if (!parse(text && text[0] ? text : pinned, pin, s, e))
		return false;
	*ret = STEAL(s);
	return true;
}

bool source_is_here(const struct source *s)
{
	CLEANUP(free) char *path = s->sha256 ? fs_join(s->cache_dir, s->sha256) : NULL;

	return s->kind == SOURCE_ARCHIVE || s->kind == SOURCE_FOLDER ||
	       (path != NULL && fs_exists(path));
}

static bool hash_archive(const struct source *s, char ret_hex[static 65], struct err *e)
{
	if (!hash_file(s->where, NULL, NULL, ret_hex, e))
		return err_wrap(e, "engine_source");
	if (s->sha256 == NULL || strcmp(ret_hex, s->sha256) == 0)
		return true;
	(void)err_set(e, ERR_VERIFY, "engine_source: '%s' has the SHA-256 %s, not %s", s->where,
		      ret_hex, s->sha256);
	return err_hint(e, "it is not the archive you meant: get it again, or correct sha256");
}

static bool hash_folder(const struct source *s, const struct pin *pin, char ret_hex[static 65],
			struct err *e)
{
	CLEANUP(free) char *top = tree_find(s->where, pin->subfolder);

	if (top == NULL)
		return err_set(e, ERR_INVALID, "engine_source: '%s' has no llama.cpp", s->where);
	return tree_hash(top, pin, ret_hex, e);
}

bool source_hash(const struct source *s, const struct pin *pin, char ret_hex[static 65],
		 struct err *e)
{
	if (s->kind == SOURCE_FOLDER)
		return hash_folder(s, pin, ret_hex, e);
	if (s->kind == SOURCE_ARCHIVE)
		return hash_archive(s, ret_hex, e);
	memcpy(ret_hex, s->sha256, 65);
	return true;
}
