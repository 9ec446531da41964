/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build is made of, as a text whose hash names it. No paths and no times: the same inputs
 * give the same digest in another folder and on another machine.
 */

#include <assert.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>

#include "backend/hardware.h"
#include "base/fs.h"
#include "base/hash.h"
#include "engine/engine_priv.h"

#define MIB (1024LL * 1024)

void recipe_free(struct recipe *r)
{
	if (r == NULL)
		return;
	free(r->inputs);
	strv_done(&r->cmake_args);
	strv_done(&r->targets);
	free(r);
}

static void append(struct strv *to, const struct strv *from)
{
	for (size_t i = 0; i < from->count; i++)
		strv_add(to, from->items[i]);
}

struct recipe *recipe_copy(const struct recipe *r)
{
	struct recipe *copy = mem_alloc(sizeof(*copy));

	*copy = *r;
	copy->inputs = mem_dup(r->inputs);
	copy->cmake_args = (struct strv){0};
	copy->targets = (struct strv){0};
	append(&copy->cmake_args, &r->cmake_args);
	append(&copy->targets, &r->targets);
	return copy;
}

static const char source_key[] = "source=";

void recipe_source(const struct recipe *r, char ret_hex[static 65])
{
	const char *at = strstr(r->inputs, source_key);

	assert(at != NULL);
	memcpy(ret_hex, at + strlen(source_key), HASH_HEX_SIZE - 1);
	ret_hex[HASH_HEX_SIZE - 1] = '\0';
}

static void fill_base(const struct engine *en, struct recipe *r)
{
	r->kind = "base";
	append(&r->cmake_args, &en->pin->base_args);
	(void)hardware_cpu_flags(en->cpu, &r->cmake_args); /* known: engine_open() asked */
	append(&r->targets, &en->pin->base_targets);
	r->disk_bytes = en->pin->base_disk * MIB;
	r->memory_bytes = en->pin->base_memory * MIB;
}

static void fill_module(const struct engine *en, const struct backend *b, const struct toolkit *tk,
			struct recipe *r)
{
	r->kind = "module";
	r->backend = b;
	append(&r->cmake_args, &en->pin->module_args);
	strv_add(&r->cmake_args, b->cmake_flag);
	if (b->cmake_args != NULL && tk != NULL)
		b->cmake_args(tk, &r->cmake_args);
	strv_add(&r->targets, b->target);
	r->disk_bytes = b->build_disk_bytes;
	r->memory_bytes = b->build_memory_bytes;
}

/* Where a toolkit lies is not what it is: its version stands in its own line. */
static bool is_path(const char *arg)
{
	return strstr(arg, "=/") != NULL;
}

static bool add_file(struct buf *b, const struct pin *pin, const char *key, const char *name,
		     struct err *e)
{
	CLEANUP(free) char *path = fs_join(pin->folder, name);
	char hex[HASH_HEX_SIZE];

	if (!hash_file(path, NULL, NULL, hex, e))
		return err_wrap(e, "engine %s", pin->release);
	buf_printf(b, "%s=%s\n", key, hex);
	return true;
}

static void add_list(struct buf *b, const char *key, const struct strv *v)
{
	for (size_t i = 0; i < v->count; i++) {
		if (!is_path(v->items[i]))
			buf_printf(b, "%s=%s\n", key, v->items[i]);
	}
}

/* The module's RUNPATH has the digest of the libraries in it. */
static bool describe_provision(const struct engine *en, const struct recipe *r, struct buf *b,
			       struct err *e)
{
	CLEANUP(free) char *stub = mem_printf("%s/stub.c", en->pin->cuda);

	buf_printf(b, "runtime=%s\nnvcc=%s\n", r->libraries, r->compiler);
	return add_file(b, en->pin, "stub", stub, e);
}

static bool describe(const struct engine *en, const struct recipe *r, const struct toolkit *tk,
		     struct buf *b, struct err *e)
{
	const struct pin *pin = en->pin;
	CLEANUP(tools_done) struct tools tools = {0};
	char source[HASH_HEX_SIZE];

	if (!tools_find(&tools, e) || !source_hash(en->source, pin, source, e))
		return false;
	buf_printf(b, "format=1\nkind=%s\n%s%s\n", r->kind, source_key, source);
	for (size_t i = 0; i < pin->patches.count; i++) {
		if (!add_file(b, pin, "patch", pin->patches.items[i], e))
			return false;
	}
	if (pin->include != NULL && !add_file(b, pin, "include", pin->include, e))
		return false;
	add_list(b, "arg", &r->cmake_args);
	add_list(b, "target", &r->targets);
	if (r->backend == NULL)
		add_list(b, "file", &pin->base_files);
	else
		buf_printf(b, "file=%s\n", r->backend->module);
	buf_printf(b, "compiler=%s\nlibc=%s\n", tools.compiler, gnu_get_libc_version());
	if (r->backend != NULL && tk != NULL)
		buf_printf(b, "toolkit=%s\n", tk->compiler);
	return r->compiler[0] == '\0' || describe_provision(en, r, b, e);
}

static void digest_inputs(struct recipe *r)
{
	CLEANUP(hash_free) struct hash *h = hash_new();

	hash_add(h, r->inputs, strlen(r->inputs));
	hash_hex(h, r->digest);
}

void recipe_anew(struct recipe *r, const char *mark)
{
	CLEANUP(free) char *before = r->inputs;

	r->inputs = mem_printf("%sanew=%s\n", before, mark);
	digest_inputs(r);
}

bool engine_recipe(struct engine *en, const struct backend *b, const struct toolkit *tk,
		   struct recipe **ret, struct err *e)
{
	CLEANUP(recipe_free) struct recipe *r = mem_alloc(sizeof(*r));
	CLEANUP(buf_done) struct buf inputs = {0};

	append(&r->cmake_args, &en->pin->cmake_args);
	if (b != NULL && b->module != NULL)
		fill_module(en, b, tk, r);
	else
		fill_base(en, r);
	if (r->backend != NULL && tk != NULL && tk->fetched &&
	    (!provision_digest(en, PROVISION_RUNTIME, r->libraries, e) ||
	     !provision_digest(en, PROVISION_COMPILER, r->compiler, e)))
		return false;
	if (!describe(en, r, tk, &inputs, e))
		return false;
	r->inputs = buf_steal(&inputs);
	digest_inputs(r);
	*ret = STEAL(r);
	return true;
}
