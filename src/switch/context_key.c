/* SPDX-License-Identifier: Apache-2.0 */
/* What a saved conversation fits: nothing in llama-server looks at that. */

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/option.h"
#include "switch/context_priv.h"

/* A line of the key each; what it means when it is another one. */
static const struct {
	const char *name, *differs;
} parts[] = {
	{"file=", "the model's file is another one"},
	{"adapters=", "an adapter's file is another one"},
	{"engine=", "llama.cpp was built anew"},
	{"options=", "options that conversations depend on have changed"},
};

/* A file that was replaced or written to since is another one. */
static void add_file(struct buf *key, const char *path)
{
	struct stat st = {0};

	if (stat(path, &st) < 0)
		buf_str(key, "gone ");
	else
		buf_printf(key, "%" PRIu64 ":%" PRIu64 ":%" PRId64 ".%09" PRId64 " ",
			   (uint64_t)st.st_ino, (uint64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
			   (int64_t)st.st_mtim.tv_nsec);
}

static void add_adapters(struct buf *key, const char *options)
{
	json_t *all = json_loads(options ? options : "{}", 0, NULL);
	const json_t *path;
	size_t i;

	json_array_foreach(json_object_get(all, "lora"), i, path) {
		add_file(key, json_string_value(path));
	}
	json_decref(all);
}

char *context_key(const struct db_model *m, const char *base_dir)
{
	struct option_facts facts = {.context_length = m->context_length, .mode = m->mode};
	CLEANUP(free) char *options = option_context_part(m->options);
	const char *never = option_context_never(m->options, &facts);
	CLEANUP(buf_done) struct buf key = {0};
	const char *engine = strrchr(base_dir, '/');

	if (never)
		return mem_printf("!%s", never);
	/* Its window jumps: what a file holds is seldom what the server asks for. */
	if (m->architecture && strcmp(m->architecture, "llama4") == 0)
		return mem_dup("!llama-server cannot go on from attention in chunks");
	buf_str(&key, parts[0].name);
	add_file(&key, m->path);
	buf_printf(&key, "%" PRId64 " %s\n%s", m->size_bytes, m->sha256 ? m->sha256 : "",
		   parts[1].name);
	add_adapters(&key, m->options);
	buf_printf(&key, "\n%s%s\n%s%s", parts[2].name, engine ? engine + 1 : base_dir,
		   parts[3].name, options);
	return buf_steal(&key);
}

const char *key_difference(const char *a, const char *b)
{
	const char *differs = parts[ARRAY_LEN(parts) - 1].differs;

	if (b[0] == '!')
		return b + 1;
	if (a[0] == '!')
		return a + 1;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t len = strcspn(a, "\n");

		if (len != strcspn(b, "\n") || strncmp(a, b, len) != 0)
			return parts[i].differs;
		a += len + (a[len] != '\0');
		b += len + (b[len] != '\0');
	}
	return differs;
}
