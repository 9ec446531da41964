/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>

#include "worker/load_facts.h"

#define STATE "cmd_child_to_router:state:"

static void progress_is_read_from_a_message(void **state)
{
	struct load_facts f = {0};

	assert_true(load_facts_line(
		&f, STATE "{\"state\":\"loading\",\"payload\":{\"stages\":[\"text_model\"],"
			  "\"current\":\"text_model\",\"value\":0.42}}"));
	assert_true(fabs(f.fraction - 0.42) < 1e-9);
	assert_false(f.ready);
	assert_true(load_facts_line(&f, STATE "{\"state\":\"ready\",\"payload\":{}}"));
	assert_true(f.ready);
}

static void stages_share_the_whole(void **state)
{
	struct load_facts f = {0};

	assert_true(load_facts_line(
		&f, STATE "{\"state\":\"loading\",\"payload\":{\"stages\":[\"text_model\","
			  "\"mmproj_model\"],\"current\":\"mmproj_model\",\"value\":0.5}}"));
	assert_true(fabs(f.fraction - 0.75) < 1e-9);
}

static void progress_never_falls(void **state)
{
	struct load_facts f = {.fraction = 0.6};

	assert_true(
		load_facts_line(&f, STATE "{\"state\":\"loading\",\"payload\":{\"value\":0.5}}"));
	assert_true(fabs(f.fraction - 0.6) < 1e-9);
}

static void nonsense_changes_nothing(void **state)
{
	static const char *const lines[] = {
		"",
		STATE,
		STATE "{\"state\":\"loading\"" /* cut */,
		STATE "{\"state\":\"loading\",\"payload\":{\"value\":nan}}",
		STATE "{\"state\":\"loading\",\"payload\":{\"value\":1e999}}",
		STATE "{\"state\":\"loading\",\"payload\":{\"value\":-0.5}}",
		STATE "{\"state\":\"loading\",\"payload\":{\"value\":17}}",
		STATE "{\"state\":\"loading\",\"payload\":{\"value\":",
		"I load: using device",
		" buffer size =",
		"x: Vulkan0 model buffer size = lots",
		"x: offloaded",
		"x: offloaded 7/3 layers to GPU",
		"x: offloaded -1/3 layers to GPU",
	};
	struct load_facts f = {0};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		(void)load_facts_line(&f, lines[i]);
	assert_true(f.fraction <= 0);
	assert_false(f.ready);
	assert_int_equal(
		memory_sum(&f.memory.device) + memory_sum(&f.memory.host) + f.memory.mapped, 0);
	assert_int_equal(f.layers, 0);
	assert_string_equal(f.devices, "");
	/* A list that does not end: the value counts, the stages don't. */
	(void)load_facts_line(&f, STATE "{\"state\":\"loading\",\"payload\":{\"stages\":[\"a\",\"b"
					"\",\"current\":\"b\",\"value\":0.25}}");
	assert_true(fabs(f.fraction - 0.25) < 1e-9);
}

static void devices_and_their_memory_are_read_from_the_log(void **state)
{
	static const char *const lines[] = {
		"0.00.01 I llama_model: using device Vulkan0 (llvmpipe) (none) - 8 MiB free",
		"0.00.02 I load_tensors: offloaded 31/31 layers to GPU",
		"0.00.02 I load_tensors:   CPU_Mapped model buffer size =    30.00 MiB",
		"0.00.02 I load_tensors:      Vulkan0 model buffer size =    64.00 MiB",
		"0.00.02 I sched_reserve: Vulkan_Host compute buffer size =    14.01 MiB",
		"0.00.03 I llama_kv_cache:    Vulkan0 KV buffer size =    32.00 MiB",
		"0.00.03 I sched_reserve:    Vulkan0 compute buffer size =    7.00 MiB",
		"0.00.03 I llama_context: Vulkan_Host  output buffer size =     2.00 MiB",
	};
	struct load_facts f = {0};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(load_facts_line(&f, lines[i]));
	assert_true(load_facts_uses(&f, "Vulkan0"));
	assert_false(load_facts_uses(&f, "Vulkan"));
	assert_false(load_facts_uses(&f, "Vulkan01"));
	assert_int_equal(f.memory.device.weights, 64LL << 20);
	assert_int_equal(f.memory.device.cache, 32LL << 20);
	assert_int_equal(f.memory.device.compute, 7LL << 20);
	assert_int_equal(f.memory.mapped, 30LL << 20);
	assert_int_equal(f.memory.host.compute >> 20, 16); /* the output too */
	assert_int_equal(f.memory.host.weights + f.memory.host.cache, 0);
	assert_true(f.layers_on == 31 && f.layers == 31);
}

static void each_of_several_devices_is_heard(void **state)
{
	struct load_facts apart = {0}, meta = {0};

	(void)load_facts_line(&apart, "I x: using device CUDA0 (NVIDIA H200) (0000:0f:00.0) - 8");
	(void)load_facts_line(&apart, "I x: using device CUDA1 (NVIDIA H200) (0000:1f:00.0) - 8");
	(void)load_facts_line(&apart, "I load_tensors:   CUDA0 model buffer size =    64.00 MiB");
	(void)load_facts_line(&apart, "I load_tensors:   CUDA1 model buffer size =    32.00 MiB");
	assert_string_equal(apart.devices, "CUDA0 CUDA1 ");
	assert_int_equal(memory_sum(&apart.memory.device), 96LL << 20);
	/* split_mode tensor */
	(void)load_facts_line(&meta, "I llama_prepare_model_devices: - device 0: CUDA0");
	(void)load_facts_line(&meta, "I llama_prepare_model_devices: - device 1: CUDA1");
	(void)load_facts_line(&meta, "I x: using device Meta() (Meta()) (unknown id) - 4096 MiB");
	(void)load_facts_line(&meta,
			      "I load_tensors:       Meta() model buffer size =    64.00 MiB");
	assert_string_equal(meta.devices, "CUDA0 CUDA1 ");
	assert_int_equal(memory_sum(&meta.memory.device), 64LL << 20);
}

static void the_memory_of_conversations_is_read_from_the_log(void **state)
{
	static const char *const lines[] = {
		"0.00.02 I load_tensors:   CPU_Mapped model buffer size =    30.00 MiB",
		"0.00.03 I llama_kv_cache:        CPU KV buffer size =     2.00 MiB",
		"0.00.03 I llama_kv_cache:    Vulkan0 KV buffer size =    32.00 MiB",
		"0.00.03 I llama_memory_recurrent:        CPU RS buffer size =     0.50 MiB",
	};
	struct load_facts f = {0};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(load_facts_line(&f, lines[i]));
	assert_int_equal(f.memory.host.cache, (2LL << 20) + (1 << 19));
	assert_int_equal(memory_sum(&f.memory.device), 32LL << 20);
}

static void what_is_logged_after_the_load_is_no_fact(void **state)
{
	struct load_facts f = {.ready = true};

	assert_false(load_facts_line(&f, "I slot: using device CUDA7 (said a user)"));
	assert_string_equal(f.devices, "");
}

static void too_many_devices_are_cut(void **state)
{
	struct load_facts f = {0};
	char line[400];

	for (int i = 0; i < 100; i++) {
		(void)snprintf(line, sizeof(line), "x: using device Device%03d (n)", i);
		assert_false(load_facts_line(&f, line));
	}
	assert_true(strlen(f.devices) < sizeof(f.devices));
	assert_true(load_facts_uses(&f, "Device000"));
	assert_false(load_facts_uses(&f, "Device099"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(progress_is_read_from_a_message),
		cmocka_unit_test(stages_share_the_whole),
		cmocka_unit_test(progress_never_falls),
		cmocka_unit_test(nonsense_changes_nothing),
		cmocka_unit_test(devices_and_their_memory_are_read_from_the_log),
		cmocka_unit_test(each_of_several_devices_is_heard),
		cmocka_unit_test(the_memory_of_conversations_is_read_from_the_log),
		cmocka_unit_test(what_is_logged_after_the_load_is_no_fact),
		cmocka_unit_test(too_many_devices_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
