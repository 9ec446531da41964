/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime python takes of the options. */

#include <string.h>

#include "base/mem.h"
#include "model/option.h"
#include "model/option_priv.h"

/* What engine/…/python/serve.py has something for. */
static const char *const known[] = {
	"n_gpu_layers",
	"n_ctx",
	"devices",
	"tensor_split",
	"split_mode",
	"flash_attn",
	"cache_type_k",
	"cache_type_v",
	"threads",
	"rope_scaling",
	"rope_scale",
	"rope_freq_base",
	"rope_freq_scale",
	"rope_yarn_orig_ctx",
	"chat_template_kwargs",
	"temperature",
	"top_k",
	"top_p",
	"min_p",
	"repeat_penalty",
	"repeat_last_n",
	"presence_penalty",
	"frequency_penalty",
	"seed",
	"mode",
	"runtime",
};

bool is_python(const json_t *options)
{
	return strcmp(text_of(options, "runtime", "server"), "python") == 0;
}

static bool takes(const struct option *o)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i], o->name) == 0)
			return true;
	return !o->reload; /* not for the worker */
}

static bool refuse(const char *what, const char *name, struct err *e)
{
	err_set(e, ERR_CONFLICT, "%s does nothing with runtime python", what);
	return err_hint(e, "set %s to null, or runtime to server", name);
}

bool option_python_check(const json_t *options, struct err *e)
{
	if (!is_python(options))
		return true;
	if (strcmp(text_of(options, "mode", "chat"), "rerank") == 0)
		return refuse("mode rerank", "mode", e);
	for (const struct option *o = option_table(); o->name; o++) {
		if (json_object_get(options, o->name) && !takes(o))
			return refuse(o->name, o->name, e);
	}
	return true;
}
