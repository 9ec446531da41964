/* SPDX-License-Identifier: Apache-2.0 */
#include "model/option.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define KV_TYPES "f32|f16|bf16|q8_0|q5_1|q5_0|q4_1|q4_0|iq4_nl"

/* name, type, computed, reload, min, max, choices, default in words, argument, help. The bounds of
 * n_ctx and parallel keep their product within llama-server's 32 bits. */
/* clang-format off */
static const struct option table[] = {
	{"n_gpu_layers", OPTION_INT, true, true, -1, 1000, "auto", "-1", "--n-gpu-layers",
	 "layers on the GPU; -1 all, auto as many as fit"},
	{"n_ctx", OPTION_INT, true, true, 256, 16777216, NULL, "the smaller of trained and 8192", "--ctx-size",
	 "tokens that one conversation may use"},
	{"parallel", OPTION_INT, true, true, 1, 64, NULL, "4, which share n_ctx", "--parallel",
	 "answers at once; when set, each has n_ctx of its own"},
	{"devices", OPTION_DEVICES, true, true, 0, OPTION_DEVICES_MAX, NULL, "the environment's", NULL,
	 "the devices to run on, as in 'shunt backends'; several share the model"},
	{"tensor_split", OPTION_NUMBERS, true, true, 0.001, 1000000, NULL, "by free memory", "--tensor-split",
	 "how much each of several devices gets: 3,1"},
	{"split_mode", OPTION_CHOICE, true, true, 0, 0, "layer|tensor", "layer", "--split-mode",
	 "several devices: whole layers each, or a part of all, which llama.cpp calls experimental"},
	{"flash_attn", OPTION_CHOICE, true, true, 0, 0, "on|off", "on", "--flash-attn",
	 "flash attention, the same on every backend"},
	{"cache_type_k", OPTION_CHOICE, true, true, 0, 0, KV_TYPES, "f16", "--cache-type-k",
	 "type of the cached keys"},
	{"cache_type_v", OPTION_CHOICE, true, true, 0, 0, KV_TYPES, "f16", "--cache-type-v",
	 "type of the cached values; quantised ones need flash_attn on"},
	{"threads", OPTION_INT, false, true, 1, 1024, NULL, "the cores", "--threads",
	 "CPU threads"},
	{"n_cpu_moe", OPTION_INT, false, true, 0, 1000, NULL, "0", "--n-cpu-moe",
	 "the experts of so many layers stay on the CPU"},
	{"rope_scaling", OPTION_CHOICE, false, true, 0, 0, "none|linear|yarn", "the model's", "--rope-scaling",
	 "how the context is stretched"},
	{"rope_scale", OPTION_NUMBER, false, true, 0.001, 1000, NULL, "the model's", "--rope-scale",
	 "stretches the context by this factor"},
	{"rope_freq_base", OPTION_NUMBER, false, true, 1, 1e12, NULL, "the model's", "--rope-freq-base",
	 "base frequency"},
	{"rope_freq_scale", OPTION_NUMBER, false, true, 0.001, 1000, NULL, "the model's", "--rope-freq-scale",
	 "stretches the context by 1 / this factor"},
	{"rope_yarn_orig_ctx", OPTION_INT, false, true, 0, 16777216, NULL, "trained", "--yarn-orig-ctx",
	 "context before YaRN stretched it"},
	{"chat_template", OPTION_TEXT, false, true, 1, 65536, NULL, "the model's", "--chat-template",
	 "Jinja text, or the name of one that llama.cpp has"},
	{"chat_template_kwargs", OPTION_OBJECT, false, true, 0, 16384, NULL, "{}", "--chat-template-kwargs",
	 "variables for the chat template"},
	{"reasoning_budget", OPTION_INT, false, true, -1, 1000000, NULL, "-1", "--reasoning-budget",
	 "tokens of thinking; -1 no limit, 0 none"},
	{"temperature", OPTION_NUMBER, false, true, 0, 100, NULL, "llama.cpp's", "--temperature",
	 "when a request does not say"},
	{"top_k", OPTION_INT, false, true, 0, 1000000, NULL, "llama.cpp's", "--top-k",
	 "when a request does not say; 0 off"},
	{"top_p", OPTION_NUMBER, false, true, 0, 1, NULL, "llama.cpp's", "--top-p",
	 "when a request does not say; 1 off"},
	{"min_p", OPTION_NUMBER, false, true, 0, 1, NULL, "llama.cpp's", "--min-p",
	 "when a request does not say; 0 off"},
	{"repeat_penalty", OPTION_NUMBER, false, true, 0.01, 100, NULL, "1", "--repeat-penalty",
	 "when a request does not say; 1 off"},
	{"repeat_last_n", OPTION_INT, false, true, 0, 16777216, NULL, "llama.cpp's", "--repeat-last-n",
	 "tokens that the penalty looks at"},
	{"presence_penalty", OPTION_NUMBER, false, true, -100, 100, NULL, "0", "--presence-penalty",
	 "when a request does not say"},
	{"frequency_penalty", OPTION_NUMBER, false, true, -100, 100, NULL, "0", "--frequency-penalty",
	 "when a request does not say"},
	{"seed", OPTION_INT, false, true, -1, 4294967294, NULL, "-1", "--seed",
	 "when a request does not say; -1 random"},
	{"lora", OPTION_PATHS, true, true, 0, 16, NULL, "none", "--lora",
	 "adapters to apply"},
	{"draft_model", OPTION_PATH, true, true, 0, 4096, NULL, "none", "--spec-draft-model",
	 "a small model that guesses ahead"},
	{"mmproj", OPTION_PATH, true, true, 0, 4096, NULL, "none", "--mmproj",
	 "projector for images and sound"},
	{"mode", OPTION_CHOICE, true, true, 0, 0, "chat|embedding|rerank", "the model's", NULL,
	 "what the model is for"},
	{"runtime", OPTION_CHOICE, false, true, 0, 0, "server|python", "server", NULL,
	 "llama-server, or llama_cpp.server in the environment's Python"},
	{"aliases", OPTION_IDS, false, false, 0, 16, NULL, "none", NULL,
	 "other names of the model"},
	{"pinned", OPTION_BOOL, false, false, 0, 0, NULL, "false", NULL,
	 "never unloaded unasked: neither when idle nor to make room for another model"},
	{"keep_loaded", OPTION_BOOL, false, false, 0, 0, NULL, "false", NULL,
	 "load it when the daemon starts"},
	{"idle_unload", OPTION_INT, false, false, 0, 31536000, NULL, "the setting's", NULL,
	 "seconds without a request until it is unloaded; 0 never"},
	{"keep_context", OPTION_BOOL, false, false, 0, 0, NULL, "false", NULL,
	 "keep conversations over an unload and a restart"},
	{"migrate", OPTION_CHOICE, false, false, 0, 0, "auto|never", "auto", NULL,
	 "a switch moves running answers and conversations to the new backend"},
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
		[OPTION_DEVICES] = "a list of device names",
		[OPTION_NUMBERS] = "a list of numbers",
		[OPTION_IDS] = "a list of model ids",
		[OPTION_OBJECT] = "a JSON object",
	};

	return names[type];
}
