/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <jansson.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "model/option.h"

/* --- help --------------------------------------------------------------- */

static char *merge(const char *stored, const char *changes, bool *reload, struct err *e)
{
	json_auto_t *object = json_loads(changes, JSON_DECODE_ANY, NULL);
	char *text = NULL;

	assert_non_null(object);
	return option_merge(stored, object, &text, reload, e) ? text : NULL;
}

static char *merge_good(const char *stored, const char *changes)
{
	struct err e = {0};
	char *text = merge(stored, changes, NULL, &e);

	if (!text)
		fail_msg("%s: %s", changes, e.msg);
	return text;
}

static void expect_bad(const char *changes, enum err_kind kind, const char *part)
{
	struct err e = {0};
	CLEANUP(free) char *text = merge("{}", changes, NULL, &e);

	if (text)
		fail_msg("%s was taken", changes);
	if (!strstr(e.msg, part))
		fail_msg("expected '%s' in: %s", part, e.msg);
	assert_int_equal(e.kind, kind);
}

static const struct option_facts chat = {.context_length = 32768, .mode = "chat"};

/* The arguments, joined by spaces. */
static char *args_of(const char *stored, const struct option_facts *facts, bool gpu)
{
	CLEANUP(strv_done) struct strv args = {0};
	struct buf line = {0};

	option_args(stored, facts, gpu, &args);
	for (size_t i = 0; i < args.count; i++)
		buf_printf(&line, "%s ", args.items[i]);
	return buf_steal(&line);
}

static void expect_args(const char *stored, bool gpu, const char *part)
{
	CLEANUP(free) char *line = args_of(stored, &chat, gpu);

	if (!strstr(line, part))
		fail_msg("expected '%s' in: %s", part, line);
}

/* --- the table ---------------------------------------------------------- */

static void every_option_of_the_contract_is_there_and_explained(void **state)
{
	static const char *const names[] = {
		"n_gpu_layers",
		"n_ctx",
		"parallel",
		"devices",
		"tensor_split",
		"split_mode",
		"flash_attn",
		"cache_type_k",
		"cache_type_v",
		"threads",
		"n_cpu_moe",
		"rope_scaling",
		"rope_freq_base",
		"rope_freq_scale",
		"chat_template",
		"chat_template_kwargs",
		"reasoning_budget",
		"temperature",
		"top_k",
		"top_p",
		"min_p",
		"repeat_penalty",
		"seed",
		"lora",
		"draft_model",
		"mmproj",
		"mode",
		"runtime",
		"aliases",
		"pinned",
		"keep_loaded",
		"idle_unload",
		"keep_context",
		"migrate",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!option_find(names[i]))
			fail_msg("no option '%s'", names[i]);
	for (const struct option *o = option_table(); o->name; o++) {
		assert_ptr_equal(option_find(o->name), o);
		assert_true(o->help[0] && o->fallback[0]);
		if (o->type != OPTION_INT) /* it may have words that stand for a number */
			assert_int_equal(o->type == OPTION_CHOICE, o->choices != NULL);
	}
	assert_null(option_find("n_ctxx"));
}

static void idle_unload_is_the_settings_unless_the_model_says(void **state)
{
	assert_int_equal(option_idle_unload_ms("{\"idle_unload\":9}", 5), 9000);
	assert_int_equal(option_idle_unload_ms("{\"idle_unload\":0}", 5), 0);
	assert_int_equal(option_idle_unload_ms("{}", 5), 5);
}

/* --- merge -------------------------------------------------------------- */

static void changes_are_merged_and_null_goes_back_to_the_default(void **state)
{
	CLEANUP(free) char *one = merge_good("{}", "{\"top_p\":0.5,\"n_ctx\":4096}");
	CLEANUP(free) char *two = merge_good(one, "{\"n_ctx\":null,\"seed\":7}");
	CLEANUP(free) char *three = merge_good(NULL, "{}");

	assert_string_equal(one, "{\"n_ctx\":4096,\"top_p\":0.5}");
	assert_string_equal(two, "{\"seed\":7,\"top_p\":0.5}");
	assert_string_equal(three, "{}");
}

static void only_what_differs_and_needs_a_load_asks_for_one(void **state)
{
	static const struct {
		const char *changes;
		bool reload;
	} cases[] = {
		{"{\"n_ctx\":4096}", false}, /* as it is */
		{"{\"n_ctx\":4097}", true},   {"{\"n_ctx\":null}", true},
		{"{\"top_k\":null}", false},  {"{\"aliases\":[\"a\"]}", false},
		{"{\"pinned\":true}", false}, {"{\"pinned\":true,\"top_k\":1}", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		bool reload = !cases[i].reload;
		CLEANUP(free) char *text = merge("{\"n_ctx\":4096}", cases[i].changes, &reload, &e);

		assert_non_null(text);
		assert_int_equal(reload, cases[i].reload);
	}
}

static void a_worker_depends_on_its_own_options_alone(void **state)
{
	CLEANUP(free)
	char *part = option_worker_part("{\"top_k\":1,\"pinned\":true,\"n_ctx\":512,"
					"\"keep_loaded\":true,\"idle_unload\":9,"
					"\"keep_context\":true,\"migrate\":\"never\","
					"\"aliases\":[\"a\"]}");
	CLEANUP(free) char *none = option_worker_part(NULL);

	assert_string_equal(part, "{\"n_ctx\":512,\"top_k\":1}");
	assert_string_equal(none, "{}");
}

static void bad_values_are_refused_and_the_allowed_named(void **state)
{
	static const struct {
		const char *changes, *error;
	} cases[] = {
		{"[]", "model options must be a JSON object"},
		{"{\"n_ctxx\":1}", "unknown model option 'n_ctxx'; known are: n_gpu_layers n_ctx "},
		{"{\"--host\":\"0.0.0.0\"}", "unknown model option '--host'"},
		{"{\"n_ctx\":255}",
		 "option 'n_ctx' must be a whole number from 256 to 16777216, not 255"},
		{"{\"n_ctx\":16777217}", "from 256 to 16777216"},
		{"{\"n_ctx\":4096.5}", "must be a whole number"},
		{"{\"n_ctx\":\"4096\"}",
		 "must be a whole number from 256 to 16777216, not \"4096\""},
		{"{\"n_ctx\":true}", "must be a whole number"},
		{"{\"n_ctx\":[]}", "must be a whole number"},
		{"{\"n_gpu_layers\":-2}", "a whole number from -1 to 1000 or auto, not -2"},
		{"{\"n_gpu_layers\":\"some\"}", "or auto, not \"some\""},
		{"{\"parallel\":0}", "from 1 to 64"},
		{"{\"parallel\":65}", "from 1 to 64"},
		{"{\"seed\":4294967295}", "from -1 to 4294967294"},
		{"{\"temperature\":-0.1}", "must be a number from 0 to 100"},
		{"{\"top_p\":1.1}", "must be a number from 0 to 1"},
		{"{\"top_p\":\"much\"}", "must be a number"},
		{"{\"pinned\":1}", "option 'pinned' must be true or false, not 1"},
		{"{\"flash_attn\":\"auto\"}", "must be one of on|off, not \"auto\""},
		{"{\"flash_attn\":\"on|off\"}", "must be one of on|off"},
		{"{\"flash_attn\":\"\"}", "must be one of on|off"},
		{"{\"flash_attn\":\"o\"}", "must be one of on|off"},
		{"{\"cache_type_k\":\"q4_K\"}", "must be one of f32|f16|bf16"},
		{"{\"mode\":\"talk\"}", "must be one of chat|embedding|rerank"},
		{"{\"chat_template\":\"\"}", "has 0 bytes"},
		{"{\"chat_template\":\"--host\"}", "must be text"},
		{"{\"chat_template_kwargs\":\"{}\"}", "must be a JSON object"},
		{"{\"chat_template_kwargs\":[]}", "must be a JSON object"},
		{"{\"devices\":\"Vulkan0\"}", "must be a list of device names"},
		{"{\"devices\":[\"none\"]}", "must be a list of device names"},
		{"{\"devices\":[\"Vulkan0,CUDA0\"]}", "must be a list of device names"},
		{"{\"devices\":[\"-1\"]}", "must be a list of device names"},
		{"{\"devices\":[\"\"]}", "must be a list of device names"},
		{"{\"devices\":[\"0\"]}", "must be a list of device names"},
		{"{\"devices\":[\"Vulkan0\",5]}", "must be a list of device names"},
		{"{\"devices\":[\"Vulkan0\",\"Vulkan1\",\"Vulkan0\"]}", "names Vulkan0 twice"},
		{"{\"devices\":[\"Vulkan0\",\"CUDA0\"]}", "Vulkan0 and CUDA0 are of two backends"},
		{"{\"tensor_split\":\"3,1\"}", "must be a list of numbers from 0.001 to 1000000"},
		{"{\"tensor_split\":[3,0]}",
		 "must be a list of numbers from 0.001 to 1000000, not 0"},
		{"{\"tensor_split\":[3,-1]}", "must be a list of numbers"},
		{"{\"tensor_split\":[3,\"1\"]}", "must be a list of numbers"},
		{"{\"tensor_split\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
		 "must be a list of numbers"},
		{"{\"split_mode\":\"row\"}", "must be one of layer|tensor"},
		{"{\"aliases\":[\"a/b\"]}", "must be a list of model ids"},
		{"{\"aliases\":[\"loaded\"]}", "must be a list of model ids"},
		{"{\"mmproj\":\"relative.gguf\"}", "must be an absolute path"},
		{"{\"mmproj\":\"--help\"}", "must be an absolute path"},
		{"{\"mmproj\":\"/no/such/file\"}", "'/no/such/file': No such file or directory"},
		{"{\"mmproj\":\"/\"}", "'/' is not a regular file"},
		{"{\"mmproj\":\"/dev/null\"}", "is not a regular file"},
		{"{\"draft_model\":5}", "must be an absolute path"},
		{"{\"lora\":\"/etc/passwd\"}", "must be a list of absolute paths"},
		{"{\"lora\":[\"passwd\"]}", "must be a list of absolute paths"},
		{"{\"idle_unload\":-1}", "from 0 to 31536000"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_bad(cases[i].changes, ERR_INVALID, cases[i].error);
}

static void a_whole_number_may_be_written_with_a_point(void **state)
{
	CLEANUP(free) char *text = merge_good("{}", "{\"n_ctx\":4.096e3}");

	assert_string_equal(text, "{\"n_ctx\":4096}");
	expect_bad("{\"n_ctx\":4096.5}", ERR_INVALID, "must be a whole number");
	expect_bad("{\"n_ctx\":1e300}", ERR_INVALID, "must be a whole number");
}

static void options_that_do_not_go_together_are_a_conflict(void **state)
{
	expect_bad("{\"cache_type_v\":\"q8_0\",\"flash_attn\":\"off\"}", ERR_CONFLICT,
		   "cache_type_v 'q8_0' needs flash_attn on");
	expect_bad("{\"rope_scale\":2,\"rope_freq_scale\":0.5}", ERR_CONFLICT,
		   "say the same thing twice");
}

static void what_does_nothing_with_runtime_python_is_refused(void **state)
{
	CLEANUP(free)
	char *text = merge_good("{\"n_ctx\":512,\"pinned\":true}", "{\"runtime\":\"python\"}");

	assert_string_equal(option_runtime(text), "python");
	assert_string_equal(option_runtime("{}"), "server");
	assert_int_equal(option_parallel(text), 1);
	assert_false(option_migrate(text));
	assert_non_null(strstr(option_context_never(text, &chat), "cannot save"));
	expect_bad("{\"runtime\":\"python\",\"parallel\":2}", ERR_CONFLICT,
		   "parallel does nothing with runtime python");
	expect_bad("{\"runtime\":\"python\",\"mode\":\"rerank\"}", ERR_CONFLICT,
		   "mode rerank does");
	expect_bad("{\"runtime\":\"perl\"}", ERR_INVALID, "must be one of server|python");
}

static void the_python_runtime_gets_one_object(void **state)
{
	expect_args("{\"runtime\":\"python\",\"temperature\":0.5,\"pinned\":true}", true,
		    "--options {\"cache_type_k\":\"f16\",\"cache_type_v\":\"f16\",\"flash_attn\":"
		    "\"on\",\"mode\":\"chat\",\"n_batch\":512,\"n_ctx\":8192,\"n_gpu_layers\":-1,"
		    "\"runtime\":\"python\",\"temperature\":0.5} ");
	expect_args("{\"runtime\":\"python\",\"n_gpu_layers\":9}", false, "\"n_gpu_layers\":0,");
}

static void text_with_a_nul_or_too_long_is_refused(void **state)
{
	json_auto_t *nul = json_pack("{s:o}", "chat_template", json_stringn("a\0b", 3));
	CLEANUP(free) char *huge = mem_alloc(65538);
	json_auto_t *longer = NULL;
	struct err e = {0}, e2 = {0};
	char *text = NULL;

	assert_false(option_merge("{}", nul, &text, NULL, &e));
	memset(huge, 'x', 65537);
	longer = json_pack("{s:s}", "chat_template", huge);
	assert_false(option_merge("{}", longer, &text, NULL, &e2));
	assert_string_equal(e2.msg, "option 'chat_template' has 65537 bytes; 1 to 65536 are taken");
}

/* --- what Shunt needs, and llama-server --------------------------------- */

static void one_conversation_may_use_the_smaller_of_trained_and_8192(void **state)
{
	const struct option_facts small = {.context_length = 2048};
	const struct option_facts unknown = {0};

	assert_int_equal(option_n_ctx("{}", &chat), 8192);
	assert_int_equal(option_n_ctx("{}", &small), 2048);
	assert_int_equal(option_n_ctx(NULL, &unknown), 8192);
	assert_int_equal(option_n_ctx("{\"n_ctx\":16384}", &small), 16384);
	assert_int_equal(option_parallel("{}"), 4);
	assert_int_equal(option_parallel("{\"parallel\":2}"), 2);
}

static void defaults_are_passed_so_that_nothing_is_guessed(void **state)
{
	CLEANUP(free) char *cpu = args_of("{}", &chat, false);

	assert_string_equal(cpu,
			    "--n-gpu-layers 0 --fit off --ctx-size 8192 --parallel 4 --kv-unified "
			    "--kv-unified-per-slot 8192 --no-cache-idle-slots --cache-ram 256 "
			    "--flash-attn on --cache-type-k f16 --cache-type-v f16 "
			    "-lv 4 --slots --metrics --no-ui --offline ");
	expect_args("{}", true, "--n-gpu-layers all ");
	expect_args("{}", true, "--cache-ram 0 ");
	expect_args("{\"n_gpu_layers\":-1}", true, "--n-gpu-layers all ");
	expect_args("{\"n_gpu_layers\":20}", true, "--n-gpu-layers 20 ");
	expect_args("{\"n_gpu_layers\":20}", false, "--n-gpu-layers 0 ");
}

/* Both runtimes are given the number that was found. */
static void auto_layers_become_a_number(void **state)
{
	static const char stored[] = "{\"n_gpu_layers\":\"auto\",\"n_ctx\":512}";
	CLEANUP(free) char *some = option_with_layers(stored, 7);
	CLEANUP(free)
	char *python = option_with_layers("{\"n_gpu_layers\":\"auto\",\"runtime\":\"python\"}", 7);
	struct option_facts facts = {0};
	CLEANUP(option_memory_done) struct option_memory m = {0};

	assert_true(option_auto_layers(stored));
	assert_false(option_auto_layers("{}") || option_auto_layers("{\"n_gpu_layers\":3}"));
	assert_string_equal(some, "{\"n_ctx\":512,\"n_gpu_layers\":7}");
	expect_args(some, true, "--n-gpu-layers 7 ");
	expect_args(python, true, "\"n_gpu_layers\":7,");
	option_memory(stored, &facts, true, &m);
	assert_true(m.auto_layers && m.gpu_layers == INT64_MAX);
	option_memory_done(&m);
	option_memory(stored, &facts, false, &m);
	assert_true(!m.auto_layers && m.gpu_layers == 0);
}

static void each_slot_has_its_own_context_when_parallel_is_set(void **state)
{
	expect_args("{\"n_ctx\":2048}", false,
		    "--ctx-size 2048 --parallel 4 --kv-unified --kv-unified-per-slot 2048 ");
	expect_args("{\"n_ctx\":2048,\"parallel\":3}", false,
		    "--ctx-size 6144 --parallel 3 --kv-unified --kv-unified-per-slot 2048 ");
	expect_args("{\"n_ctx\":16777216,\"parallel\":64}", false, "--ctx-size 1073741824 ");
}

static void options_become_arguments(void **state)
{
	static const struct {
		const char *stored, *args;
	} cases[] = {
		{"{\"flash_attn\":\"off\"}", " --flash-attn off "},
		{"{\"cache_type_k\":\"q8_0\"}", " --cache-type-k q8_0 --cache-type-v f16 "},
		{"{\"threads\":3}", " --threads 3 "},
		{"{\"n_cpu_moe\":12}", " --n-cpu-moe 12 "},
		{"{\"rope_scaling\":\"yarn\"}", " --rope-scaling yarn "},
		{"{\"rope_freq_base\":1000000.0}", " --rope-freq-base 1000000 "},
		{"{\"rope_freq_scale\":0.25}", " --rope-freq-scale 0.25 "},
		{"{\"chat_template_kwargs\":{\"a\":\"b c\"}}",
		 " --chat-template-kwargs {\"a\":\"b c\"} "},
		{"{\"chat_template\":\"chatml\"}", " --chat-template chatml "},
		{"{\"reasoning_budget\":0}", " --reasoning-budget 0 "},
		{"{\"temperature\":0.7}", " --temperature 0.7 "},
		{"{\"seed\":-1}", " --seed -1 "},
		{"{\"lora\":[\"/a,b\",\"/c\\\"d\"]}", " --lora \"/a,b\",\"/c\"\"d\" "},
		{"{\"draft_model\":\"/d\"}",
		 " --spec-draft-model /d --spec-draft-ngl 0 --spec-draft-device none "},
		{"{\"mmproj\":\"/m\"}", " --mmproj /m --no-mmproj-offload "},
		{"{\"mode\":\"embedding\",\"n_ctx\":512}",
		 " --embeddings --batch-size 512 --ubatch-size 512 "},
		{"{\"mode\":\"rerank\",\"n_ctx\":65536}",
		 " --reranking --batch-size 8192 --ubatch-size 8192 "},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_args(cases[i].stored, false, cases[i].args);
	expect_args("{\"draft_model\":\"/d\",\"devices\":[\"CUDA1\",\"CUDA0\"]}", true,
		    " --spec-draft-model /d --spec-draft-ngl all --spec-draft-device CUDA1,CUDA0 ");
}

static void what_only_shunt_uses_is_no_argument(void **state)
{
	CLEANUP(free) char *none = args_of("{}", &chat, true);
	CLEANUP(free)
	char *kept = args_of(
		"{\"aliases\":[\"a\"],\"devices\":[\"CUDA1\"],\"idle_unload\":5,\"keep_context\":"
		"true,\"keep_loaded\":true,\"migrate\":\"never\",\"pinned\":true,\"runtime\":"
		"\"server\",\"mode\":\"chat\"}",
		&chat, true);

	assert_string_equal(kept, none);
}

static void the_mode_comes_from_the_user_else_from_the_model(void **state)
{
	const struct option_facts bert = {.context_length = 512, .mode = "embedding"};
	CLEANUP(free) char *line = args_of("{}", &bert, true);

	assert_non_null(strstr(line, "--embeddings --batch-size 512 "));
	assert_string_equal(option_mode("{}", &bert), "embedding");
	assert_string_equal(option_mode("{\"mode\":\"rerank\"}", &bert), "rerank");
	assert_string_equal(option_mode(NULL, &chat), "chat");
}

static void the_devices_are_the_users(void **state)
{
	CLEANUP(free) char *one = option_devices("{\"devices\":[\"CUDA1\"]}");
	CLEANUP(free) char *two = option_devices("{\"devices\":[\"CUDA1\",\"CUDA0\"]}");
	CLEANUP(free) char *none = option_devices("{\"devices\":[]}");
	CLEANUP(free) char *unset = option_devices(NULL);

	assert_string_equal(one, "CUDA1");
	assert_string_equal(two, "CUDA1,CUDA0");
	assert_string_equal(none, "");
	assert_string_equal(unset, "");
}

#define TWO "\"devices\":[\"CUDA0\",\"CUDA1\"]"

static void several_devices_share_a_model(void **state)
{
	static const char split[] = "{" TWO ",\"tensor_split\":[3,1.5],\"split_mode\":\"tensor\"}";
	CLEANUP(free) char *good = merge_good(NULL, split);
	CLEANUP(free) char *cpu = args_of(good, &chat, false);
	double shares[OPTION_DEVICES_MAX];

	expect_args(good, true, " --split-mode tensor --tensor-split 3,1.5 ");
	assert_null(strstr(cpu, "split"));
	assert_int_equal(option_split(good, shares), 2);
	assert_true(shares[0] == 3 && shares[1] == 1.5);
	assert_int_equal(option_split("{" TWO "}", shares), 0);
}

static void how_they_share_it_fits_the_devices(void **state)
{
	static const struct {
		const char *changes, *error;
	} cases[] = {
		{"{\"tensor_split\":[3,1]}", "tensor_split needs two devices or more"},
		{"{\"devices\":[\"CUDA0\"],\"tensor_split\":[3]}",
		 "tensor_split needs two devices or more"},
		{"{\"split_mode\":\"tensor\"}", "split_mode needs two devices or more"},
		{"{" TWO ",\"tensor_split\":[3]}", "tensor_split has 1 numbers for 2 devices"},
		{"{" TWO ",\"tensor_split\":[3,2,1]}", "tensor_split has 3 numbers for 2 devices"},
		{"{" TWO ",\"split_mode\":\"tensor\",\"flash_attn\":\"off\"}",
		 "split_mode tensor needs flash_attn on"},
	};
	CLEANUP(free) char *set = merge_good(NULL, "{" TWO ",\"tensor_split\":[3,1]}");
	json_auto_t *gone = json_pack("{s:n}", "devices");
	char *unused = NULL;
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_bad(cases[i].changes, ERR_CONFLICT, cases[i].error);
	assert_false(option_merge(set, gone, &unused, NULL, &e));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.hint, "name them in devices, or set tensor_split to null");
}

static void a_path_must_be_a_file_that_is_there(void **state)
{
	const char *path = test_path(*state, "adapter, \"one\".gguf");
	json_auto_t *changes = json_pack("{s:[s], s:s}", "lora", path, "mmproj", path);
	CLEANUP(free) char *text = NULL;
	struct err e = {0};

	assert_false(option_merge("{}", changes, &text, NULL, &e));
	test_write(path, "x", 1);
	e = (struct err){0};
	assert_true(option_merge("{}", changes, &text, NULL, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_of_the_contract_is_there_and_explained),
		cmocka_unit_test(idle_unload_is_the_settings_unless_the_model_says),
		cmocka_unit_test(changes_are_merged_and_null_goes_back_to_the_default),
		cmocka_unit_test(only_what_differs_and_needs_a_load_asks_for_one),
		cmocka_unit_test(a_worker_depends_on_its_own_options_alone),
		cmocka_unit_test(bad_values_are_refused_and_the_allowed_named),
		cmocka_unit_test(a_whole_number_may_be_written_with_a_point),
		cmocka_unit_test(options_that_do_not_go_together_are_a_conflict),
		cmocka_unit_test(what_does_nothing_with_runtime_python_is_refused),
		cmocka_unit_test(the_python_runtime_gets_one_object),
		cmocka_unit_test(text_with_a_nul_or_too_long_is_refused),
		cmocka_unit_test(one_conversation_may_use_the_smaller_of_trained_and_8192),
		cmocka_unit_test(defaults_are_passed_so_that_nothing_is_guessed),
		cmocka_unit_test(auto_layers_become_a_number),
		cmocka_unit_test(each_slot_has_its_own_context_when_parallel_is_set),
		cmocka_unit_test(options_become_arguments),
		cmocka_unit_test(what_only_shunt_uses_is_no_argument),
		cmocka_unit_test(the_mode_comes_from_the_user_else_from_the_model),
		cmocka_unit_test(the_devices_are_the_users),
		cmocka_unit_test(several_devices_share_a_model),
		cmocka_unit_test(how_they_share_it_fits_the_devices),
		cmocka_unit_test_setup_teardown(a_path_must_be_a_file_that_is_there, test_dir_setup,
						test_dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
