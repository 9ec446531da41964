/* SPDX-License-Identifier: Apache-2.0 */
/* Which options a saved conversation depends on. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/option.h"
#include "model/option_priv.h"

/* Where it is computed, and what is made of it afterwards. A new option is none of these until
 * someone says so here. */
static const char *const harmless[] = {
	"n_gpu_layers",
	"devices",
	"tensor_split",
	"threads",
	"n_cpu_moe",
	"chat_template",
	"temperature",
	"top_k",
	"top_p",
	"min_p",
	"seed",
	"repeat_penalty",
	"repeat_last_n",
	"presence_penalty",
	"frequency_penalty",
	"reasoning_budget",
	"chat_template_kwargs",
};

char *option_context_part(const char *stored)
{
	CLEANUP(free) char *part = option_worker_part(stored);
	CLEANUP(json_decref) json_t *options = json_loads(part, 0, NULL);

	for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
		(void)json_object_del(options, harmless[i]);
	return json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
}

const char *option_context_never(const char *stored, const struct option_facts *facts)
{
	CLEANUP(json_decref) json_t *options = json_loads(stored ? stored : "{}", 0, NULL);

	if (is_python(options))
		return "the runtime python cannot save conversations";
	if (strcmp(option_mode(stored, facts), "chat") != 0)
		return "only chat models have conversations";
	if (text_of(options, "draft_model", NULL))
		return "what a draft model keeps of a conversation cannot be saved";
	if (text_of(options, "mmproj", NULL))
		return "conversations with images cannot be saved";
	return NULL;
}

bool option_flag(const char *stored, const char *name, bool fallback)
{
	CLEANUP(json_decref) json_t *options = json_loads(stored ? stored : "{}", 0, NULL);
	const json_t *value = json_object_get(options, name);

	return json_is_boolean(value) ? json_is_true(value) : fallback;
}
