/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations that stay over an unload or a restart: the files, and kept.json beside them, which
 * is written last. Without it files are leftovers. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "switch/context_priv.h"

#define MANIFEST_BYTES 65536
#define FILES_MAX 64 /* the most slots that `parallel` takes */

static char *manifest_path(const char *folder)
{
	return fs_join(folder, CONTEXT_MANIFEST);
}

static json_t *describe(const struct context *c)
{
	json_t *files = json_array();

	for (size_t i = 0; i < c->count; i++) {
		const struct context_file *f = &c->files[i];

		(void)json_array_append_new(files,
					    json_pack("{s:i, s:I, s:I, s:s}", "slot", f->slot,
						      "tokens", (json_int_t)f->tokens, "bytes",
						      (json_int_t)f->bytes, "sum", f->sum));
	}
	return json_pack("{s:s, s:I, s:o}", "key", c->key, "save_ms", (json_int_t)c->report.save_ms,
			 "files", files);
}

bool context_keep(struct context *c, struct err *e)
{
	CLEANUP(free) char *path = c->folder ? manifest_path(c->folder) : NULL;
	CLEANUP(free) char *text = NULL;
	json_t *manifest;

	if (c->count == 0)
		return true;
	manifest = describe(c);
	text = json_dumps(manifest, JSON_INDENT(1));
	json_decref(manifest);
	if (!fs_sync_tree(c->folder, e) || !fs_replace(path, text, strlen(text), 0600, e))
		return err_wrap(e, "keeping conversations of '%s'", c->model_id);
	c->kept = true;
	log_info("conversations kept model=%s count=%zu", c->model_id, c->count);
	return true;
}

static bool read_file(const json_t *o, struct context_file *f)
{
	const char *sum = json_string_value(json_object_get(o, "sum"));
	json_int_t slot = json_integer_value(json_object_get(o, "slot"));

	f->tokens = json_integer_value(json_object_get(o, "tokens"));
	f->bytes = json_integer_value(json_object_get(o, "bytes"));
	if (!hash_is_hex(sum) || slot < 0 || slot >= FILES_MAX || f->tokens <= 0 || f->bytes <= 0)
		return false;
	f->slot = (int)slot;
	memcpy(f->sum, sum, HASH_HEX_SIZE);
	return true;
}

static bool read_manifest(struct context *c, const json_t *manifest)
{
	const json_t *files = json_object_get(manifest, "files"), *file;
	const char *key = json_string_value(json_object_get(manifest, "key"));
	size_t i, count = json_array_size(files);

	if (!key || count == 0 || count > FILES_MAX)
		return false;
	c->key = mem_dup(key);
	c->report.save_ms = json_integer_value(json_object_get(manifest, "save_ms"));
	c->files = mem_array(count, sizeof(*c->files));
	json_array_foreach(files, i, file) {
		if (!read_file(file, &c->files[i]))
			return false;
	}
	c->count = count;
	return true;
}

void context_find_kept(struct contexts *cs, const char *model_id, struct context *ret)
{
	CLEANUP(free) char *folder = fs_join(cs->dir, model_id);
	CLEANUP(free) char *path = manifest_path(folder);
	CLEANUP(free) char *text = NULL;
	json_t *manifest = NULL;
	struct err e = {0};
	size_t len = 0;

	*ret = (struct context){0};
	if (!fs_exists(path))
		return;
	ret->owner = cs;
	ret->model_id = mem_dup(model_id);
	ret->folder = STEAL(folder);
	if (fs_read(path, MANIFEST_BYTES, &text, &len, &e))
		manifest = json_loadb(text, len, 0, NULL);
	if (!read_manifest(ret, manifest)) {
		log_warn("kept conversations of model=%s cannot be read reason=\"%s\", continuing",
			 model_id, e.msg[0] ? e.msg : "kept.json is not whole");
		context_done(ret);
	}
	json_decref(manifest);
}

/* --- at start ----------------------------------------------------------- */

struct sweep {
	struct contexts *cs;
	bool (*wanted)(void *, const char *);
	void *arg;
};

static bool sweep_one(void *arg, const char *name, struct err *e)
{
	struct sweep *s = arg;
	CLEANUP(free) char *folder = fs_join(s->cs->dir, name);
	CLEANUP(free) char *path = manifest_path(folder);

	(void)e;
	if (!fs_exists(path) || !s->wanted(s->arg, name))
		contexts_forget(s->cs, name);
	return true;
}

void contexts_sweep(struct contexts *cs, bool (*wanted)(void *, const char *), void *arg)
{
	struct sweep s = {.cs = cs, .wanted = wanted, .arg = arg};
	struct err e = {0};

	if (!fs_each(cs->dir, sweep_one, &s, &e))
		log_warn("conversations left reason=\"%s\", continuing", e.msg);
}
