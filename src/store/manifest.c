/* SPDX-License-Identifier: Apache-2.0 */
#include "store/manifest.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/hash.h"

enum { FORMAT = 1, MAX_BYTES = 64 << 20, MAX_DEPTH = 32 };

void manifest_free(struct manifest *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->count; i++) {
		free(m->files[i].name);
		free(m->files[i].link);
	}
	free(m->files);
	free(m->digest);
	free(m->kind);
	free(m->inputs);
	free(m);
}

static struct manifest *manifest_new(const char *digest, const char *kind, const char *inputs)
{
	struct manifest *m = mem_alloc(sizeof(*m));

	m->digest = mem_dup(digest);
	m->kind = mem_dup(kind);
	m->inputs = mem_dup(inputs);
	return m;
}

/* A relative path without empty, "." or ".." parts: nothing in a manifest leads out of its
 * piece. */
static bool is_inside(const char *name)
{
	size_t len = 0;

	do {
		len = strcspn(name, "/");
		if (len == 0 || (len == 1 && name[0] == '.') ||
		    (len == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		name += len;
	} while (*name++ == '/');
	return true;
}

/* A link from a file `depth` folders deep: relative, and ".." only at its front, not above the
 * top. */
static bool link_stays(const char *target, int depth)
{
	while (strncmp(target, "../", 3) == 0 && depth-- > 0)
		target += 3;
	return is_inside(target);
}

static struct manifest_file *add(struct manifest *m, const char *name)
{
	m->files = mem_grow(m->files, m->count + 1, sizeof(*m->files));
	m->files[m->count] = (struct manifest_file){.name = mem_dup(name)};
	return &m->files[m->count++];
}

/* --- making ----------------------------------------------------------------------------------- */

struct walk {
	struct manifest *m;
	const char *folder;
	const char *below; /* "" or "lib": where in the folder we are */
	int depth;
};

static bool visit(void *arg, const char *name, struct err *e);

static bool add_folder(const struct walk *w, const char *path, const char *name, struct err *e)
{
	struct walk in = {.m = w->m, .folder = w->folder, .below = name, .depth = w->depth + 1};

	if (in.depth > MAX_DEPTH)
		return err_set(e, ERR_INVALID, "'%s' is deeper than %d folders", path, MAX_DEPTH);
	return fs_each(path, visit, &in, e);
}

static bool add_link(const struct walk *w, const char *path, const char *name, struct err *e)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0)
		return err_sys(e, errno, "read link '%s'", path);
	target[len] = '\0';
	if (!link_stays(target, w->depth))
		return err_set(e, ERR_INVALID, "link '%s' leads out of its piece, to '%s'", path,
			       target);
	add(w->m, name)->link = mem_dup(target);
	return true;
}

static bool visit(void *arg, const char *entry, struct err *e)
{
	struct walk *w = arg;
	CLEANUP(free)
	char *name = w->below[0] ? mem_printf("%s/%s", w->below, entry) : mem_dup(entry);
	CLEANUP(free) char *path = fs_join(w->folder, name);
	struct manifest_file *file = NULL;
	struct stat st = {0};

	if (strcmp(name, MANIFEST_NAME) == 0)
		return true;
	if (lstat(path, &st) < 0)
		return err_sys(e, errno, "look at '%s'", path);
	if (S_ISDIR(st.st_mode))
		return add_folder(w, path, name, e);
	if (S_ISLNK(st.st_mode))
		return add_link(w, path, name, e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is no file, folder or link", path);
	file = add(w->m, name);
	file->size = st.st_size;
	return hash_file(path, NULL, NULL, file->sha256, e);
}

bool manifest_make(const char *folder, const char *digest, const char *kind, const char *inputs,
		   struct manifest **ret, struct err *e)
{
	CLEANUP(manifest_free) struct manifest *m = manifest_new(digest, kind, inputs);
	struct walk w = {.m = m, .folder = folder, .below = ""};

	if (!fs_each(folder, visit, &w, e))
		return false;
	if (m->count == 0)
		return err_set(e, ERR_INVALID, "'%s' has no files: nothing to publish", folder);
	*ret = STEAL(m);
	return true;
}

/* --- writing and reading ---------------------------------------------------------------------- */

static void json_p(json_t **j)
{
	json_decref(*j);
}

static json_t *to_json(const struct manifest *m)
{
	json_t *files = json_array();

	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_file *f = &m->files[i];

		if (f->link)
			json_array_append_new(
				files, json_pack("{s:s, s:s}", "name", f->name, "link", f->link));
		else
			json_array_append_new(files,
					      json_pack("{s:s, s:I, s:s}", "name", f->name, "size",
							(json_int_t)f->size, "sha256", f->sha256));
	}
	return json_pack("{s:i, s:s, s:s, s:s, s:o}", "format", FORMAT, "digest", m->digest, "kind",
			 m->kind, "inputs", m->inputs, "files", files);
}

bool manifest_write(const struct manifest *m, const char *folder, struct err *e)
{
	CLEANUP(json) json_t *root = to_json(m);
	CLEANUP(free) char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	CLEANUP(free) char *path = fs_join(folder, MANIFEST_NAME);

	if (text == NULL)
		return err_set(e, ERR_INVALID, "'%s' has a file whose name is not UTF-8", folder);
	return fs_replace(path, text, strlen(text), 0444, e);
}

static bool read_file_entry(json_t *entry, struct manifest *m)
{
	const char *name = NULL;
	const char *link = NULL;
	const char *sha256 = NULL;
	json_int_t size = -1;
	struct manifest_file *f = NULL;

	if (json_unpack(entry, "{s:s, s?s, s?I, s?s}", "name", &name, "link", &link, "size", &size,
			"sha256", &sha256) != 0 ||
	    !is_inside(name))
		return false;
	if (link == NULL && (size < 0 || !hash_is_hex(sha256)))
		return false;
	f = add(m, name);
	f->link = mem_dup(link);
	f->size = size;
	if (link == NULL)
		memcpy(f->sha256, sha256, sizeof(f->sha256));
	return true;
}

static bool from_json(json_t *root, struct manifest *m)
{
	const char *digest = NULL;
	const char *kind = NULL;
	const char *inputs = NULL;
	json_t *files = NULL;
	json_t *entry = NULL;
	size_t i = 0;
	int format = 0;

	if (json_unpack(root, "{s:i, s:s, s:s, s:s, s:o}", "format", &format, "digest", &digest,
			"kind", &kind, "inputs", &inputs, "files", &files) != 0 ||
	    format != FORMAT || !hash_is_hex(digest) || json_array_size(files) == 0)
		return false;
	m->digest = mem_dup(digest);
	m->kind = mem_dup(kind);
	m->inputs = mem_dup(inputs);
	json_array_foreach(files, i, entry) {
		if (!read_file_entry(entry, m))
			return false;
	}
	return true;
}

bool manifest_read(const char *folder, struct manifest **ret, struct err *e)
{
	CLEANUP(manifest_free) struct manifest *m = mem_alloc(sizeof(*m));
	CLEANUP(free) char *path = fs_join(folder, MANIFEST_NAME);
	CLEANUP(free) char *text = NULL;
	CLEANUP(json) json_t *root = NULL;
	size_t len = 0;

	if (!fs_read(path, MAX_BYTES, &text, &len, e))
		return false;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (root == NULL || !from_json(root, m))
		return err_set(e, ERR_INVALID, "'%s' is not a whole manifest", path);
	*ret = STEAL(m);
	return true;
}

/* --- verifying -------------------------------------------------------------------------------- */

static bool verify_link(const struct manifest_file *f, const char *path, struct err *e)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0)
		return err_sys(e, errno, "read link '%s'", path);
	target[len] = '\0';
	if (strcmp(target, f->link) != 0)
		return err_set(e, ERR_INVALID, "link '%s' leads to '%s', not to '%s'", path, target,
			       f->link);
	return true;
}

static bool verify_file(const struct manifest_file *f, const char *path, bool hashes, struct err *e)
{
	struct stat st = {0};
	char sha256[HASH_HEX_SIZE];

	if (lstat(path, &st) < 0)
		return err_sys(e, errno, "look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is not a regular file", path);
	if (st.st_size != f->size)
		return err_set(e, ERR_INVALID, "'%s' has %lld bytes, not %lld", path,
			       (long long)st.st_size, (long long)f->size);
	if (!hashes)
		return true;
	if (!hash_file(path, NULL, NULL, sha256, e))
		return false;
	if (strcmp(sha256, f->sha256) != 0)
		return err_set(e, ERR_INVALID, "'%s' was changed: SHA-256 %s, not %s", path, sha256,
			       f->sha256);
	return true;
}

bool manifest_verify(const struct manifest *m, const char *folder, bool hashes, struct err *e)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_file *f = &m->files[i];
		CLEANUP(free) char *path = fs_join(folder, f->name);

		if (!(f->link ? verify_link(f, path, e) : verify_file(f, path, hashes, e)))
			return false;
	}
	return true;
}
