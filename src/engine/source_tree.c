/* SPDX-License-Identifier: Apache-2.0 */
/* A llama.cpp that lies in a folder: where its top is, its hash, a copy of it. */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/complaint.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/proc.h"
#include "engine/source.h"

static bool is_top(const char *folder)
{
	CLEANUP(free) char *cmake = fs_join(folder, "CMakeLists.txt");
	CLEANUP(free) char *ggml = fs_join(folder, "ggml");

	return fs_exists(cmake) && fs_is_folder(ggml);
}

/* The folder itself or its subfolder, caller frees; NULL: neither. */
static char *top_in(const char *folder, const char *subfolder)
{
	CLEANUP(free) char *sub = fs_join(folder, subfolder);

	if (is_top(sub))
		return STEAL(sub);
	return is_top(folder) ? mem_dup(folder) : NULL;
}

struct search {
	const char *top;
	const char *subfolder;
	char *found;
};

static bool look_in(void *arg, const char *name, struct err *e)
{
	struct search *q = arg;
	CLEANUP(free) char *folder = fs_join(q->top, name);

	if (q->found == NULL && fs_is_folder(folder))
		q->found = top_in(folder, q->subfolder);
	return true;
}

char *tree_find(const char *top, const char *subfolder)
{
	struct search q = {.top = top, .subfolder = subfolder};

	q.found = top_in(top, subfolder);
	if (q.found == NULL)
		(void)!fs_each(top, look_in, &q, NULL);
	return q.found;
}

/* What a top folder may have that does not belong to the source, or isn't needed. */
static bool skipped(const struct pin *pin, const char *name)
{
	static const char *const always[] = {".git", "build", ".cache"};

	for (size_t i = 0; i < ARRAY_LEN(always); i++) {
		if (strcmp(name, always[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < pin->skip.count; i++) {
		if (strcmp(name, pin->skip.items[i]) == 0)
			return true;
	}
	return false;
}

/* --- hash ------------------------------------------------------------------------------------- */

struct walk {
	struct hash *hash;
	const struct pin *pin; /* NULL below the top */
	const char *folder;
	const char *below;
};

static bool hash_entry(void *arg, const char *entry, struct err *e);

/* With its length, so that no two lists of fields are the same bytes. */
static void add_text(struct hash *h, const char *text)
{
	uint32_t len = (uint32_t)strlen(text);

	hash_add(h, &len, sizeof(len));
	hash_add(h, text, len);
}

static bool hash_link(struct hash *h, const char *path, struct err *e)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0)
		return err_sys(e, errno, "read link '%s'", path);
	target[len] = '\0';
	add_text(h, "link");
	add_text(h, target);
	return true;
}

static bool hash_regular(struct hash *h, const char *path, mode_t mode, struct err *e)
{
	char hex[HASH_HEX_SIZE];

	if (!hash_file(path, NULL, NULL, hex, e))
		return false;
	add_text(h, mode & 0100 ? "program" : "file");
	add_text(h, hex);
	return true;
}

static bool hash_entry(void *arg, const char *entry, struct err *e)
{
	struct walk *w = arg;
	CLEANUP(free) char *path = fs_join(w->folder, entry);
	CLEANUP(free)
	char *name = w->below[0] ? mem_printf("%s/%s", w->below, entry) : mem_dup(entry);
	struct walk in = {.hash = w->hash, .folder = path, .below = name};
	struct stat st = {0};

	if (w->pin != NULL && skipped(w->pin, entry))
		return true;
	if (lstat(path, &st) < 0)
		return err_sys(e, errno, "look at '%s'", path);
	add_text(w->hash, name);
	if (S_ISDIR(st.st_mode))
		return fs_each(path, hash_entry, &in, e);
	if (S_ISLNK(st.st_mode))
		return hash_link(w->hash, path, e);
	if (S_ISREG(st.st_mode))
		return hash_regular(w->hash, path, st.st_mode, e);
	return err_set(e, ERR_INVALID, "'%s' is no file, folder or link", path);
}

bool tree_hash(const char *top, const struct pin *pin, char ret_hex[static 65], struct err *e)
{
	CLEANUP(hash_free) struct hash *h = hash_new();
	struct walk w = {.hash = h, .pin = pin, .folder = top, .below = ""};

	if (!fs_each(top, hash_entry, &w, e))
		return err_wrap(e, "engine_source");
	hash_hex(h, ret_hex);
	return true;
}

/* --- copy ------------------------------------------------------------------------------------- */

struct copy_run {
	const struct source_watch *w;
	const struct pin *pin;
	const char *top;
	struct strv argv;
	struct complaint complaint;
};

static bool name_entry(void *arg, const char *name, struct err *e)
{
	struct copy_run *c = arg;

	if (!skipped(c->pin, name))
		strv_printf(&c->argv, "%s/%s", c->top, name);
	return true;
}

static void cp_line(void *arg, const char *line)
{
	struct copy_run *c = arg;

	complaint_line(&c->complaint, line);
	c->w->on_line(c->w->arg, line);
}

static bool cp_cancelled(void *arg)
{
	const struct copy_run *c = arg;

	return c->w->cancelled(c->w->arg);
}

/* cp shares blocks where it can, and keeps links, also those that lead out. */
static bool run_cp(struct copy_run *c, const char *to, struct err *e)
{
	struct proc_run run = {.on_line = cp_line, .cancelled = cp_cancelled, .arg = c};
	CLEANUP(free) char *what = mem_printf("copying '%s' failed", c->top);
	int status = -1;

	strv_add(&c->argv, "cp");
	strv_add(&c->argv, "--recursive");
	strv_add(&c->argv, "--no-dereference");
	strv_add(&c->argv, "--preserve=mode");
	strv_add(&c->argv, "--reflink=auto");
	strv_printf(&c->argv, "--target-directory=%s", to);
	strv_add(&c->argv, "--");
	if (!fs_each(c->top, name_entry, c, e))
		return false;
	run.argv = strv_items(&c->argv);
	if (!proc_run(&run, &status, e))
		return false;
	return status == 0 || complaint_err(&c->complaint, ERR_SYSTEM, what, e);
}

bool tree_copy(const char *top, const struct pin *pin, const char *to, const struct source_watch *w,
	       struct err *e)
{
	struct copy_run c = {.w = w, .pin = pin, .top = top};
	bool ok = fs_mkdirs(to, 0700, e) && run_cp(&c, to, e);

	strv_done(&c.argv);
	complaint_done(&c.complaint);
	return ok;
}
