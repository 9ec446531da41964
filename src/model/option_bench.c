/* SPDX-License-Identifier: Apache-2.0 */
/* What llama-bench takes of the options: its words are others than llama-server's. */

#include <string.h>

#include "model/option.h"
#include "model/option_priv.h"

#define ALL_LAYERS 1000 /* more than any model has: -1 would be llama-bench's own guess */

static int64_t layers_of(const json_t *options, bool gpu)
{
	const json_t *v = json_object_get(options, "n_gpu_layers");
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;

	if (!gpu)
		return 0;
	return n < 0 ? ALL_LAYERS : n;
}

static bool add_cache(struct strv *args, const json_t *options, const char *name, const char *flag,
		      struct err *e)
{
	const char *type = text_of(options, name, "f16");

	if (strcmp(type, "f32") == 0) {
		(void)err_set(e, ERR_NOT_SUPPORTED, "llama-bench cannot measure with %s=f32", name);
		return err_hint(e, "set %s to f16 or bf16", name);
	}
	add(args, flag, type);
	return true;
}

static void add_number(struct strv *args, const json_t *options, const char *name, const char *flag)
{
	const json_t *v = json_object_get(options, name);

	if (json_is_integer(v))
		add_int(args, flag, json_integer_value(v));
}

bool option_bench_args(const char *stored, bool gpu, struct strv *ret_args, struct err *e)
{
	CLEANUP(json_decref) json_t *options = stored ? json_loads(stored, 0, NULL) : NULL;

	add_int(ret_args, "-ngl", layers_of(options, gpu));
	if (gpu)
		add_split(ret_args, options, "/"); /* a comma begins another test */
	add(ret_args, "-fa", text_of(options, "flash_attn", "on"));
	add_number(ret_args, options, "n_cpu_moe", "-ncmoe");
	add_number(ret_args, options, "threads", "-t");
	return add_cache(ret_args, options, "cache_type_k", "-ctk", e) &&
	       add_cache(ret_args, options, "cache_type_v", "-ctv", e);
}
