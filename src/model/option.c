/* SPDX-License-Identifier: Apache-2.0 */
#include "model/option.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define KV_TYPES "f32|f16|bf16|q8_0|q5_1|q5_0|q4_1|q4_0|iq4_nl"

/* name, type, min, max, choices, default in words, argument, computed, reload, help. The bounds of
 * n_ctx and parallel keep their product within llama-server's 32 bits. */
/* clang-format off */
static const struct option table[] = {
	{"n_gpu_layers", OPTION_INT, -1, 1000, NULL, "-1", "--n-gpu-layers", true, true,
	 "layers on the GPU; -1 all"},
	{"n_ctx", OPTION_INT, 256, 16777216, NULL, "the smaller of trained and 8192", "--ctx-size", true, true,
	 "tokens that one conversation may use"},
	{"parallel", OPTION_INT, 1, 64, NULL, "4, which share n_ctx", "--parallel", true, true,
	 "answers at once; when set, each has n_ctx of its own"},
	{"devices", OPTION_DEVICE, 0, 1, NULL, "the environment's", NULL, false, true,
	 "the device to run on, as in 'shunt backends'"},
	{"flash_attn", OPTION_CHOICE, 0, 0, "on|off", "on", "--flash-attn", true, true,
	 "flash attention, the same on every backend"},
	{"cache_type_k", OPTION_CHOICE, 0, 0, KV_TYPES, "f16", "--cache-type-k", true, true,
	 "type of the cached keys"},
	{"cache_type_v", OPTION_CHOICE, 0, 0, KV_TYPES, "f16", "--cache-type-v", true, true,
	 "type of the cached values; quantised ones need flash_attn on"},
	{"threads", OPTION_INT, 1, 1024, NULL, "the cores", "--threads", false, true,
	 "CPU threads"},
	{"n_cpu_moe", OPTION_INT, 0, 1000, NULL, "0", "--n-cpu-moe", false, true,
	 "the experts of so many layers stay on the CPU"},
	{"rope_scaling", OPTION_CHOICE, 0, 0, "none|linear|yarn", "the model's", "--rope-scaling", false, true,
	 "how the context is stretched"},
	{"rope_scale", OPTION_NUMBER, 0.001, 1000, NULL, "the model's", "--rope-scale", false, true,
	 "stretches the context by this factor"},
	{"rope_freq_base", OPTION_NUMBER, 1, 1e12, NULL, "the model's", "--rope-freq-base", false, true,
	 "base frequency"},
	{"rope_freq_scale", OPTION_NUMBER, 0.001, 1000, NULL, "the model's", "--rope-freq-scale", false, true,
	 "stretches the context by 1 / this factor"},
	{"rope_yarn_orig_ctx", OPTION_INT, 0, 16777216, NULL, "trained", "--yarn-orig-ctx", false, true,
	 "context before YaRN stretched it"},
	{"chat_template", OPTION_TEXT, 1, 65536, NULL, "the model's", "--chat-template", false, true,
	 "Jinja text, or the name of one that llama.cpp has"},
	{"chat_template_kwargs", OPTION_OBJECT, 0, 16384, NULL, "{}", "--chat-template-kwargs", false, true,
	 "variables for the chat template"},
	{"reasoning_budget", OPTION_INT, -1, 1000000, NULL, "-1", "--reasoning-budget", false, true,
	 "tokens of thinking; -1 no limit, 0 none"},
	{"temperature", OPTION_NUMBER, 0, 100, NULL, "llama.cpp's", "--temperature", false, true,
	 "when a request does not say"},
	{"top_k", OPTION_INT, 0, 1000000, NULL, "llama.cpp's", "--top-k", false, true,
	 "when a request does not say; 0 off"},
	{"top_p", OPTION_NUMBER, 0, 1, NULL, "llama.cpp's", "--top-p", false, true,
	 "when a request does not say; 1 off"},
	{"min_p", OPTION_NUMBER, 0, 1, NULL, "llama.cpp's", "--min-p", false, true,
	 "when a request does not say; 0 off"},
	{"repeat_penalty", OPTION_NUMBER, 0.01, 100, NULL, "1", "--repeat-penalty", false, true,
	 "when a request does not say; 1 off"},
	{"repeat_last_n", OPTION_INT, 0, 16777216, NULL, "llama.cpp's", "--repeat-last-n", false, true,
	 "tokens that the penalty looks at"},
	{"presence_penalty", OPTION_NUMBER, -100, 100, NULL, "0", "--presence-penalty", false, true,
	 "when a request does not say"},
	{"frequency_penalty", OPTION_NUMBER, -100, 100, NULL, "0", "--frequency-penalty", false, true,
	 "when a request does not say"},
	{"seed", OPTION_INT, -1, 4294967294, NULL, "-1", "--seed", false, true,
	 "when a request does not say; -1 random"},
	{"lora", OPTION_PATHS, 0, 16, NULL, "none", "--lora", true, true,
	 "adapters to apply"},
	{"draft_model", OPTION_PATH, 0, 4096, NULL, "none", "--spec-draft-model", true, true,
	 "a small model that guesses ahead"},
	{"mmproj", OPTION_PATH, 0, 4096, NULL, "none", "--mmproj", true, true,
	 "projector for images and sound"},
	{"mode", OPTION_CHOICE, 0, 0, "chat|embedding|rerank", "the model's", NULL, true, true,
	 "what the model is for"},
	{"runtime", OPTION_CHOICE, 0, 0, "server|python", "server", NULL, false, true,
	 "what runs it; python comes in a later release"},
	{"aliases", OPTION_IDS, 0, 16, NULL, "none", NULL, false, false,
	 "other names of the model"},
	{"pinned", OPTION_BOOL, 0, 0, NULL, "false", NULL, false, false,
	 "never unload it for another model (kept for a later release)"},
	{"keep_loaded", OPTION_BOOL, 0, 0, NULL, "false", NULL, false, false,
	 "load it when the daemon starts (kept for a later release)"},
	{"idle_unload", OPTION_INT, 0, 31536000, NULL, "0", NULL, false, false,
	 "seconds without a request until it is unloaded; 0 never (kept for a later release)"},
	{"keep_context", OPTION_BOOL, 0, 0, NULL, "false", NULL, false, false,
	 "keep conversations over an unload (kept for a later release)"},
	{"migrate", OPTION_BOOL, 0, 0, NULL, "true", NULL, false, false,
	 "move conversations along in a switch (kept for a later release)"},
	{0},
};
/* clang-format on */

const struct option *option_table(void)
{
	return table;
}

const struct option *option_find(const char *name)
{
	for (const struct option *o = table; o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

const char *option_type_name(enum option_type type)
{
	static const char *const names[] = {
		[OPTION_INT] = "a whole number",
		[OPTION_NUMBER] = "a number",
		[OPTION_BOOL] = "true or false",
		[OPTION_CHOICE] = "one of its choices",
		[OPTION_TEXT] = "text",
		[OPTION_PATH] = "an absolute path",
		[OPTION_PATHS] = "a list of absolute paths",
		[OPTION_DEVICE] = "a list of one device name",
		[OPTION_IDS] = "a list of model ids",
		[OPTION_OBJECT] = "a JSON object",
	};

	return names[type];
}
