/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <signal.h>

#include "base/err.h"
#include "worker/death.h"

#define EXITED(code) ((code) << 8)

struct example {
	int status;
	const char *output, *says, *hint;
};

/* Lines as llama-server and the loader write them. */
static const struct example examples[] = {
	{SIGILL, "0.00.004.154 I cmn  common_param: x\n", "built for another CPU", "rebuild"},
	{SIGSEGV, "0.00.004.154 I load_tensors: y\n0.00.005.000 I srv: idle\n",
	 "it crashed (SIGSEGV)", ""},
	{SIGSEGV, "0.00.004.154 E odd: z\n0.00.005.000 I srv: idle\n\n", "(SIGSEGV): odd: z", ""},
	{SIGKILL, "", "want of memory", "unload another model"},
	{SIGSEGV, "0.00.004.154 I load_tensors: y\n", "it crashed", "shunt logs m"},
	{SIGSEGV, "ggml_vulkan: ErrorOutOfDeviceMemory\n", "out of memory on Vulkan0", "n_ctx"},
	{EXITED(1),
	 "0.01.000.000 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9 MiB on device 0: "
	 "cudaMalloc failed: out of memory\n0.01.000.000 E srv  load_model: failed to load model\n",
	 "out of memory on Vulkan0 (exit status 1): ggml_backend_cuda", "n_ctx"},
	{EXITED(127),
	 "/b/llama-server: error while loading shared libraries: libvulkan.so.1: cannot open\n",
	 "libvulkan.so.1", "shunt doctor vulkan"},
	{EXITED(1),
	 "error while handling argument \"--device\": invalid device: Vulkan0\n\nusage:\n",
	 "the device is not there", "shunt doctor vulkan"},
	{EXITED(1), "error: invalid argument: --foo\n", "invalid argument: --foo", "shunt set m"},
	{EXITED(1),
	 "0.00.006.153 E gguf_init_from_reader: invalid magic characters: 'root', expected 'GGUF'\n"
	 "0.00.006.246 E llama_model_load: error loading model: x\n",
	 "not a GGUF (exit status 1): gguf_init_from_reader", "shunt rm m"},
	{SIGABRT, "terminate called\n  what():  vk::Queue::submit: ErrorDeviceLost\n",
	 "the driver lost the device", "dmesg"},
	{EXITED(1), "0.00.1 E srv  start: couldn't bind HTTP server socket, hostname: a.sock\n",
	 "its socket could not be made", "shunt logs m"},
	{EXITED(7), "first\nthe last words\n\n", "exit status 7): the last words", "shunt logs m"},
	{EXITED(7), "", "it ended by itself (exit status 7)", "shunt logs m"},
};

static void every_end_has_its_name_and_remedy(void **state)
{
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct death d = {.status = examples[i].status,
				  .output = examples[i].output,
				  .model = "m",
				  .backend = "vulkan",
				  .device = "Vulkan0"};
		struct err e = {0};

		death_explain(&d, &e);
		assert_int_equal(e.kind,
				 strstr(e.msg, "out of memory") ? ERR_NO_SPACE : ERR_WORKER);
		if (strstr(e.msg, "idle") || !strstr(e.msg, examples[i].says) ||
		    !strstr(e.hint, examples[i].hint))
			fail_msg("example %zu: '%s', hint '%s'", i, e.msg, e.hint);
	}
}

static void a_line_without_end_is_cut(void **state)
{
	char output[4000];
	struct death d = {.status = EXITED(1),
			  .output = output,
			  .model = "m",
			  .backend = "cpu",
			  .device = "none"};
	struct err e = {0};

	memset(output, 'x', sizeof(output));
	memcpy(output, "out of memory", strlen("out of memory"));
	output[sizeof(output) - 1] = '\0';
	death_explain(&d, &e);
	assert_non_null(
		strstr(e.msg, "out of memory on the CPU (exit status 1): out of memoryxxx"));
	assert_true(strlen(e.msg) < 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_has_its_name_and_remedy),
		cmocka_unit_test(a_line_without_end_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
