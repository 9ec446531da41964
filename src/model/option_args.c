/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/option.h"
#include "model/option_priv.h"

#define PARALLEL_DEFAULT 4
#define CTX_DEFAULT 8192
#define CTX_MIN 256
/* An embedding's text must fit in one batch. */
#define BATCH_MAX 8192
#define BATCH_DEFAULT 512 /* llama-server's --ubatch-size */
/* Conversations that lost their slot, kept in RAM. llama-server's own default is 8 GiB for each
 * worker, which no estimate of memory sees. None on a GPU: the copy is made token by token and
 * layer by layer, and all streams wait for it: 0.17 s (CUDA) and 0.7 s (Vulkan) for 366 tokens on
 * an H200, which reads them again in 10 and 40 ms. */
#define CACHE_RAM_MIB "256"

static json_t *load(const char *stored)
{
	return json_loads(stored ? stored : "{}", 0, NULL);
}

static int64_t int_of(const json_t *options, const char *name, int64_t fallback)
{
	const json_t *v = json_object_get(options, name);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

static int64_t n_ctx_of(const json_t *options, const struct option_facts *facts)
{
	int64_t trained = facts->context_length;
	int64_t n = trained > 0 && trained < CTX_DEFAULT ? trained : CTX_DEFAULT;

	return int_of(options, "n_ctx", n < CTX_MIN ? CTX_MIN : n);
}

/* llama_cpp.server answers one after the other. */
static int64_t parallel_of(const json_t *options)
{
	return is_python(options) ? 1 : int_of(options, "parallel", PARALLEL_DEFAULT);
}

/* See option.h. */
static int64_t ctx_size_of(const json_t *options, const struct option_facts *facts)
{
	return n_ctx_of(options, facts) * int_of(options, "parallel", 1);
}

static const char *mode_of(const json_t *options, const struct option_facts *facts)
{
	static const char *const modes[] = {"chat", "embedding", "rerank"};
	const char *mode = text_of(options, "mode", facts->mode ? facts->mode : "chat");

	for (size_t i = 1; i < ARRAY_LEN(modes); i++)
		if (strcmp(mode, modes[i]) == 0)
			return modes[i];
	return modes[0];
}

int option_parallel(const char *stored)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return (int)parallel_of(options);
}

int64_t option_n_ctx(const char *stored, const struct option_facts *facts)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return n_ctx_of(options, facts);
}

int64_t option_ctx_size(const char *stored, const struct option_facts *facts)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return ctx_size_of(options, facts);
}

const char *option_mode(const char *stored, const struct option_facts *facts)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return mode_of(options, facts);
}

int64_t option_idle_unload_ms(const char *stored, int64_t fallback_ms)
{
	CLEANUP(json_decref) json_t *options = load(stored);
	int64_t seconds = int_of(options, "idle_unload", -1);

	return seconds < 0 ? fallback_ms : seconds * 1000;
}

void option_aliases(const char *stored, struct strv *ret)
{
	CLEANUP(json_decref) json_t *options = load(stored);
	const json_t *list = json_object_get(options, "aliases"), *item;
	size_t i;

	json_array_foreach(list, i, item)
		strv_add(ret, json_string_value(item));
}

char *option_projector(const char *stored)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return mem_dup(text_of(options, "mmproj", NULL));
}

char *option_template(const char *stored)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return mem_dup(text_of(options, "chat_template", NULL));
}

const char *option_runtime(const char *stored)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return is_python(options) ? "python" : "server";
}

bool option_migrate(const char *stored)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return !is_python(options) && strcmp(text_of(options, "migrate", "auto"), "never") != 0;
}

static int64_t batch_of(const json_t *options, const struct option_facts *facts)
{
	int64_t n_ctx = n_ctx_of(options, facts);

	if (strcmp(mode_of(options, facts), "chat") == 0)
		return BATCH_DEFAULT;
	return n_ctx < BATCH_MAX ? n_ctx : BATCH_MAX;
}

/* --- arguments ---------------------------------------------------------- */

static void set_int(json_t *object, const char *name, int64_t n)
{
	(void)json_object_set_new(object, name, json_integer(n));
}

static void set_text(json_t *object, const char *name, const char *text)
{
	(void)json_object_set_new(object, name, json_string(text));
}

static void add_context(struct strv *args, const json_t *options, const struct option_facts *facts,
			bool gpu)
{
	int64_t n_ctx = n_ctx_of(options, facts);
	int64_t parallel = parallel_of(options);

	add_int(args, "--ctx-size", ctx_size_of(options, facts));
	add_int(args, "--parallel", parallel);
	strv_add(args, "--kv-unified");
	add_int(args, "--kv-unified-per-slot", n_ctx);
	strv_add(args, "--no-cache-idle-slots");
	add(args, "--cache-ram", gpu ? "0" : CACHE_RAM_MIB);
	add(args, "--flash-attn", text_of(options, "flash_attn", "on"));
	add(args, "--cache-type-k", text_of(options, "cache_type_k", "f16"));
	add(args, "--cache-type-v", text_of(options, "cache_type_v", "f16"));
}

static void add_layers(struct strv *args, const json_t *options, bool gpu)
{
	int64_t layers = gpu ? int_of(options, "n_gpu_layers", -1) : 0;

	if (layers < 0)
		add(args, "--n-gpu-layers", "all"); /* -1 would be llama-server's own guess */
	else
		add_int(args, "--n-gpu-layers", layers);
	add(args, "--fit", "off");
}

static void add_mode(struct strv *args, const json_t *options, const struct option_facts *facts)
{
	const char *mode = mode_of(options, facts);
	int64_t batch = batch_of(options, facts);

	if (strcmp(mode, "chat") == 0)
		return;
	strv_add(args, strcmp(mode, "rerank") == 0 ? "--reranking" : "--embeddings");
	add_int(args, "--batch-size", batch);
	add_int(args, "--ubatch-size", batch);
}

/* The argument is one row of comma-separated values: quoted, so that a comma in a path is part of
 * it. */
static void add_lora(struct strv *args, const json_t *list)
{
	CLEANUP(buf_done) struct buf row = {0};
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		buf_str(&row, i ? ",\"" : "\"");
		for (const char *c = json_string_value(item); *c; c++)
			buf_printf(&row, *c == '"' ? "\"\"" : "%c", *c);
		buf_str(&row, "\"");
	}
	if (row.len)
		add(args, "--lora", row.data);
}

static void add_companions(struct strv *args, const json_t *options, bool gpu)
{
	const char *draft = text_of(options, "draft_model", NULL);
	const char *mmproj = text_of(options, "mmproj", NULL);
	CLEANUP(free) char *devices = gpu ? devices_of(options) : mem_dup("none");

	add_lora(args, json_object_get(options, "lora"));
	if (draft) {
		add(args, "--spec-draft-model", draft);
		add(args, "--spec-draft-ngl", gpu ? "all" : "0");
		if (devices[0])
			add(args, "--spec-draft-device", devices);
	}
	if (mmproj)
		add(args, "--mmproj", mmproj);
	if (mmproj && !gpu)
		strv_add(args, "--no-mmproj-offload");
}

static void add_plain(struct strv *args, const struct option *o, const json_t *v)
{
	CLEANUP(free) char *text = NULL;

	if (!v || !o->flag || o->computed)
		return;
	strv_add(args, o->flag);
	if (json_is_string(v)) {
		strv_add(args, json_string_value(v));
	} else if (json_is_real(v)) {
		strv_printf(args, "%.9g", json_real_value(v));
	} else {
		text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		strv_add(args, text);
	}
}

/* All that was set and a worker is to know, and what was not set has our default. */
static void add_json(struct strv *args, const json_t *options, const struct option_facts *facts,
		     bool gpu)
{
	CLEANUP(json_decref) json_t *all = json_object();
	CLEANUP(free) char *text = NULL;

	for (const struct option *o = option_table(); o->name; o++)
		if (o->reload)
			(void)json_object_set(all, o->name, json_object_get(options, o->name));
	set_int(all, "n_ctx", ctx_size_of(options, facts));
	set_int(all, "n_gpu_layers", gpu ? int_of(options, "n_gpu_layers", -1) : 0);
	set_int(all, "n_batch", batch_of(options, facts));
	set_text(all, "mode", mode_of(options, facts));
	set_text(all, "flash_attn", text_of(options, "flash_attn", "on"));
	set_text(all, "cache_type_k", text_of(options, "cache_type_k", "f16"));
	set_text(all, "cache_type_v", text_of(options, "cache_type_v", "f16"));
	text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
	add(args, "--options", text);
}

void option_args(const char *stored, const struct option_facts *facts, bool gpu,
		 struct strv *ret_args)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	if (is_python(options)) {
		add_json(ret_args, options, facts, gpu);
		return;
	}
	add_layers(ret_args, options, gpu);
	if (gpu)
		add_split(ret_args, options, ",");
	add_context(ret_args, options, facts, gpu);
	add_mode(ret_args, options, facts);
	add_companions(ret_args, options, gpu);
	for (const struct option *o = option_table(); o->name; o++)
		add_plain(ret_args, o, json_object_get(options, o->name));
	/* It names the devices it uses and the memory it takes there; it logs no prompts. */
	add(ret_args, "-lv", "4");
	strv_add(ret_args, "--slots");
	strv_add(ret_args, "--metrics");
	strv_add(ret_args, "--no-ui");
	strv_add(ret_args, "--offline");
}

/* --- memory ------------------------------------------------------------- */

static bool is_auto(const json_t *options)
{
	return strcmp(text_of(options, "n_gpu_layers", ""), "auto") == 0;
}

bool option_auto_layers(const char *stored)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	return is_auto(options);
}

char *option_with_layers(const char *stored, int64_t layers)
{
	CLEANUP(json_decref) json_t *options = load(stored);

	set_int(options, "n_gpu_layers", layers);
	return json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
}

static void copy_text(const json_t *options, const char *name, const char *fallback, char *to,
		      size_t size)
{
	(void)snprintf(to, size, "%s", text_of(options, name, fallback));
}

void option_memory(const char *stored, const struct option_facts *facts, bool gpu,
		   struct option_memory *ret)
{
	CLEANUP(json_decref) json_t *options = load(stored);
	const json_t *list = json_object_get(options, "lora"), *item;
	const char *mmproj = text_of(options, "mmproj", NULL);
	int64_t layers = gpu ? int_of(options, "n_gpu_layers", -1) : 0;
	bool chat = strcmp(mode_of(options, facts), "chat") == 0;
	size_t i;

	*ret = (struct option_memory){
		.cells = ctx_size_of(options, facts),
		.slots = parallel_of(options),
		.batch = batch_of(options, facts),
		.gpu_layers = layers < 0 ? INT64_MAX : layers,
		.auto_layers = gpu && is_auto(options),
		.cpu_moe = int_of(options, "n_cpu_moe", 0),
		.flash_attn = strcmp(text_of(options, "flash_attn", "on"), "on") == 0,
		.draft = mem_dup(text_of(options, "draft_model", NULL)),
	};
	ret->outputs = chat ? ret->slots : ret->batch;
	copy_text(options, "cache_type_k", "f16", ret->type_k, sizeof(ret->type_k));
	copy_text(options, "cache_type_v", "f16", ret->type_v, sizeof(ret->type_v));
	json_array_foreach(list, i, item)
		strv_add(&ret->files, json_string_value(item));
	if (mmproj)
		strv_add(&ret->files, mmproj);
}

void option_memory_done(struct option_memory *m)
{
	free(m->draft);
	strv_done(&m->files);
	*m = (struct option_memory){0};
}
