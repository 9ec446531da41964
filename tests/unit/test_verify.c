/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <math.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/proc.h"
#include "env/env_devices.h"
#include "env/verify.h"
#include "env/verify_answer.h"
#include "env/verify_crash.h"
#include "env/verify_probe.h"
#include "env/verify_server.h"

/* --- answers ------------------------------------------------------------ */

/* An answer in which every token is equally likely, but for one entry. */
static char *answer_json(int count, int odd, const char *odd_entry)
{
	struct buf b = {0};

	buf_str(&b, "{\"content\":\"\\u0000\",\"completion_probabilities\":[{\"top_logprobs\":[");
	for (int i = 0; i < count; i++) {
		buf_str(&b, i ? "," : "");
		if (i == odd)
			buf_str(&b, odd_entry);
		else
			buf_printf(&b, "{\"id\":%d,\"logprob\":%.9f}", i,
				   -log(TEST_MODEL_VOCABULARY));
	}
	buf_str(&b, "]}]}");
	return buf_steal(&b);
}

static void refuse(const char *json, const char *part)
{
	struct verify_answer a;
	struct err e = {0};

	assert_false(verify_answer_read(json, strlen(json), &a, &e));
	assert_int_equal(e.kind, ERR_VERIFY);
	assert_non_null(strstr(e.msg, part));
}

static void refuse_entry(int count, int odd, const char *entry, const char *part)
{
	char *json = answer_json(count, odd, entry);

	refuse(json, part);
	free(json);
}

static void a_whole_answer_is_read(void **state)
{
	char *json = answer_json(TEST_MODEL_VOCABULARY, -1, "");
	struct verify_answer a = {0};
	struct err e = {0};

	assert_true(verify_answer_read(json, strlen(json), &a, &e));
	assert_true(fabs(a.logprob[258] + log(TEST_MODEL_VOCABULARY)) < 1e-6);
	free(json);
}

static void other_answers_are_refused(void **state)
{
	refuse("Internal error", "not JSON");
	refuse("{}", "0 log-probabilities");
	refuse("[1]", "0 log-probabilities");
	refuse_entry(TEST_MODEL_VOCABULARY - 1, -1, "", "258 log-probabilities");
	refuse_entry(TEST_MODEL_VOCABULARY, 3, "{\"id\":3,\"logprob\":null}", "not numbers");
	refuse_entry(TEST_MODEL_VOCABULARY, 3, "{\"id\":2,\"logprob\":-5}", "twice");
	refuse_entry(TEST_MODEL_VOCABULARY, 3, "{\"id\":259,\"logprob\":-5}", "cannot know");
	refuse_entry(TEST_MODEL_VOCABULARY, 3, "7", "cannot know");
	refuse_entry(TEST_MODEL_VOCABULARY, 3, "{\"id\":3,\"logprob\":-0.1}", "add up to 1.9");
}

static void distance_is_the_root_of_the_mean_square(void **state)
{
	static struct verify_answer a, b;
	double max = 0;

	a.logprob[7] = -3;
	b.logprob[9] = -4;
	assert_true(fabs(verify_answer_distance(&a, &b, &max) -
			 sqrt(25.0 / TEST_MODEL_VOCABULARY)) < 1e-9);
	assert_true(max == 4);
}

/* --- deaths ------------------------------------------------------------- */

static void said(int status, const char *output, const char *part)
{
	struct err e = {0};

	assert_false(verify_crash("llama-server", status, output, &e));
	assert_int_equal(e.kind, ERR_VERIFY);
	if (!strstr(e.msg, part))
		fail_msg("'%s' does not say '%s'", e.msg, part);
}

static void deaths_are_named_for_what_they_are(void **state)
{
	said(SIGILL, "", "killed by SIGILL: an instruction that this CPU does not have");
	said(SIGSEGV, "", "killed by SIGSEGV: it crashed");
	said(SIGKILL, "", "out of memory?");
	said(127 << 8, "x: error while loading shared libraries: libvulkan.so.1: cannot open",
	     "a shared library is missing: x: error while loading");
	said(1 << 8,
	     "loading the module: libcuda.so.1: cannot open shared object file: No such file",
	     "no CUDA device: NVIDIA's driver is not here: loading the module");
	said(SIGABRT, "terminate called\n  what():  vk::Queue::submit: ErrorDeviceLost",
	     "the driver lost the device");
	said(1 << 8, "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
	     "memory ran out");
	said(3 << 8, "", "exit status 3");
}

static void long_output_leaves_its_last_lines(void **state)
{
	struct buf b = {0};
	struct err e = {0};

	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "line %d\n", i);
	(void)verify_crash("it", 1 << 8, b.data, &e);
	assert_null(strstr(e.msg, "line 900\n"));
	assert_non_null(strstr(e.msg, "line 999"));
	buf_done(&b);
}

/* --- devices ------------------------------------------------------------ */

static void devices_are_read_from_the_list(void **state)
{
	static const char text[] =
		"ggml_vulkan: Found 2 devices\n"
		"Available devices:\n"
		"  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (2048 MiB, 2000 MiB free)\n"
		"  Vulkan1: NVIDIA: H100 (81559 MiB, 80000 MiB free)\n"
		"  CUDA0: NVIDIA H100 (81559 MiB, 80000 MiB free)\n"
		"  Vulkan2: broken (x MiB, 1 MiB free)\n"
		"  Vulkan3: no memory\n";
	struct env_device *list = NULL;

	assert_int_equal(env_devices_parse(text, backend_find("vulkan"), 0, &list), 2);
	assert_string_equal(list[0].name, "Vulkan0");
	assert_string_equal(list[0].title, "llvmpipe (LLVM 15.0.6, 256 bits)");
	assert_true(list[0].total_bytes == 2048LL << 20 && list[0].free_bytes == 2000LL << 20);
	assert_string_equal(list[1].title, "NVIDIA: H100");
	free(list);
	assert_int_equal(env_devices_parse("Available devices:\n  (none)\n", backend_find("vulkan"),
					   0, &list),
			 0);
	assert_int_equal(env_devices_parse("", backend_find("vulkan"), 0, &list), 0);
}

static void it_is_known_which_devices_use_ram(void **state)
{
	static const char text[] =
		"0.00.1 D ggml_vulkan: 0 = AMD (radv) | uma: 0 | fp16: 1 | bf16: 0\n"
		"0.00.1 D ggml_vulkan: 1 = Intel(R) UHD (Mesa) | uma: 1 | fp16: 1 | bf16: 0\n"
		"0.00.1 D ggml_vulkan: 10 = NVIDIA (NVIDIA) | uma: 0 | fp16: 1 | bf16: 0\n"
		"0.00.2 D ggml_vulkan: 2 = llvmpipe (LLVM 15.0.6, 256 bits) (llvmpipe) | uma: 0 | "
		"f\n"
		"0.00.2 D ggml_vulkan: Warning: Device type is CPU. This is probably not the one\n"
		"Available devices:\n"
		"  Vulkan0: AMD (8192 MiB, 8000 MiB free)\n"
		"  Vulkan1: Intel(R) UHD (12000 MiB, 11000 MiB free)\n"
		"  Vulkan2: llvmpipe (LLVM 15.0.6, 256 bits) (24000 MiB, 24000 MiB free)\n"
		"  Vulkan3: of the machine's size (15900 MiB, 9000 MiB free)\n"
		"  Vulkan10: NVIDIA (24000 MiB, 23000 MiB free)\n";
	static const bool in_ram[] = {false, true, true, true, false};
	static const bool software[] = {false, false, true, false, false};
	struct env_device *list = NULL;

	assert_int_equal(env_devices_parse(text, backend_find("vulkan"), 16LL << 30, &list), 5);
	for (size_t i = 0; i < 5; i++)
		if (list[i].in_ram != in_ram[i] || list[i].software != software[i])
			fail_msg("%s", list[i].name);
	free(list);
}

/* --- with programs that do what we need them to ------------------------- */

static void program(const char *dir, const char *name, const char *script)
{
	const char *path = test_path(dir, name);

	test_write(path, script, strlen(script));
	assert_int_equal(chmod(path, 0755), 0);
}

static void fill_run(struct env_run *run, char *dir)
{
	static char module[] = "m";

	*run = (struct env_run){
		.backend = backend_find("vulkan"), .base_dir = dir, .module = module};
	proc_clean_env(&run->environ);
}

static void no_device_is_an_error_that_says_so(void **state)
{
	struct env_device *list = NULL;
	struct env_run run;
	struct err e = {0};
	size_t count = 0;

	program(*state, "llama-server",
		"#!/bin/sh\necho '0.00.004.227 I load_backend: loaded'\n"
		"echo '0.00.033.228 E ggml_vk_init: failed'\necho\n"
		"echo 'ggml_vulkan: No devices found.'\n"
		"echo 'Available devices:'\necho '  (none)'\n");
	fill_run(&run, *state);
	assert_false(env_devices_ask(&run, NULL, NULL, &list, &count, &e));
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_string_equal(e.msg, "no Vulkan device: the module loads, but finds none: "
				   "ggml_vk_init: failed; ggml_vulkan: No devices found.");
	strv_done(&run.environ);
}

static void the_cpu_is_its_own_device(void **state)
{
	struct env_run run = {.backend = backend_find("cpu"), .base_dir = *state};
	struct env_device *list = NULL;
	struct err e = {0};
	size_t count = 0;

	assert_true(env_devices_ask(&run, NULL, NULL, &list, &count, &e));
	assert_int_equal(count, 1);
	assert_string_equal(list[0].name, "none");
	free(list);
}

static void probe_says(char *dir, const char *script, const char *part)
{
	struct env_run run;
	struct err e = {0};

	program(dir, "shunt", script);
	fill_run(&run, dir);
	assert_false(verify_probe(&run, test_path(dir, "shunt"), NULL, NULL, &e));
	if (!strstr(e.msg, part))
		fail_msg("'%s' does not say '%s'", e.msg, part);
	strv_done(&run.environ);
}

static void a_module_that_is_none_is_named(void **state)
{
	struct env_run run;
	struct err e = {0};

	probe_says(*state, "#!/bin/sh\necho 'loading the module: m: file too short'; exit 1\n",
		   "file too short");
	probe_says(*state, "#!/bin/sh\necho 'registered: CUDA'\n", "one of 'CUDA', not of Vulkan");
	probe_says(*state, "#!/bin/sh\nkill -SEGV $$\n", "SIGSEGV");
	probe_says(*state, "#!/bin/sh\n", "one of '', not of Vulkan");
	program(*state, "shunt", "#!/bin/sh\necho 'registered: Vulkan'\n");
	fill_run(&run, *state);
	assert_true(verify_probe(&run, test_path(*state, "shunt"), NULL, NULL, &e));
	strv_done(&run.environ);
}

static bool yes(void *arg)
{
	return true;
}

static void start_says(char *dir, const char *script, bool (*cancelled)(void *), enum err_kind kind,
		       const char *part)
{
	struct strv variables = {0};
	struct verify_server s = {0};
	struct err e = {0};

	program(dir, "llama-server", script);
	proc_clean_env(&variables);
	struct verify_server_spec spec = {.base_dir = dir,
					  .environ = strv_items(&variables),
					  .work_dir = dir,
					  .device = "Vulkan0",
					  .quiet_ms = 400,
					  .cancelled = cancelled};

	assert_false(verify_server_start(&spec, &s, &e));
	assert_int_equal(e.kind, kind);
	if (!strstr(e.msg, part))
		fail_msg("'%s' does not say '%s'", e.msg, part);
	verify_server_stop(&s);
	assert_int_equal(s.proc.pid, 0);
	strv_done(&variables);
}

static void a_server_that_dies_is_explained(void **state)
{
	start_says(*state, "#!/bin/sh\necho 'error: invalid device: Vulkan0'; exit 1\n", NULL,
		   ERR_VERIFY, "invalid device: Vulkan0");
	start_says(*state, "#!/bin/sh\nkill -ILL $$\n", NULL, ERR_VERIFY, "built for another CPU");
}

static void a_server_that_hangs_is_given_up(void **state)
{
	start_says(*state, "#!/bin/sh\nexec sleep 1000\n", NULL, ERR_VERIFY, "made no progress");
}

static void cancelling_ends_the_wait(void **state)
{
	start_says(*state, "#!/bin/sh\nexec sleep 1000\n", yes, ERR_CANCELLED, "cancelled");
}

/* Prints now and then, for longer than the quiet limit, and then dies: so it was not given up. */
static void who_gets_on_is_waited_for(void **state)
{
	start_says(*state,
		   "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do echo shader $i; sleep 0.1; done\n"
		   "exit 9\n",
		   NULL, ERR_VERIFY, "exit status 9");
}

/* --- the whole of it ---------------------------------------------------- */

/* A llama-server whose every token is equally likely, or that dies of a question. */
#define SERVER(on_question)                                                                        \
	"#!/usr/bin/env python3\n"                                                                 \
	"import http.server, json, math, os, signal, socketserver, sys\n"                          \
	"class H(http.server.BaseHTTPRequestHandler):\n"                                           \
	"    def address_string(self): return ''\n"                                                \
	"    def do_GET(self): self.say(b'{}')\n"                                                  \
	"    def do_POST(self):\n"                                                                 \
	"        self.rfile.read(int(self.headers['Content-Length']))\n"                           \
	"        " on_question "\n"                                                                \
	"        p = [{'id': i, 'logprob': -math.log(259)} for i in range(259)]\n"                 \
	"        self.say(json.dumps({'completion_probabilities': [{'top_logprobs': p}]})"         \
	".encode())\n"                                                                             \
	"    def say(self, body):\n"                                                               \
	"        self.send_response(200)\n"                                                        \
	"        self.send_header('Content-Length', str(len(body)))\n"                             \
	"        self.end_headers()\n"                                                             \
	"        self.wfile.write(body)\n"                                                         \
	"socketserver.UnixStreamServer('s.sock', H).serve_forever()\n"

static void run_cpu(char *dir, const char *script, struct verify_result *ret, struct err *e,
		    bool expected)
{
	struct env_run run = {.backend = backend_find("cpu"), .base_dir = dir};

	program(dir, "llama-server", script);
	proc_clean_env(&run.environ);
	assert_int_equal(verify_run(&run, test_path(dir, "work"), "/none", NULL, ret, e), expected);
	strv_done(&run.environ);
}

static void wrong_numbers_are_refused(void **state)
{
	struct verify_result result = {0};
	struct err e = {0};

	run_cpu(*state, SERVER("pass"), &result, &e, false);
	assert_int_equal(e.kind, ERR_VERIFY);
	assert_non_null(strstr(e.msg, "the CPU computes wrong numbers: after 256 tokens"));
}

static void a_death_of_a_question_is_explained(void **state)
{
	struct verify_result result = {0};
	struct err e = {0};

	run_cpu(*state, SERVER("os.kill(os.getpid(), signal.SIGSEGV)"), &result, &e, false);
	assert_non_null(strstr(e.msg, "llama-server on 'none': killed by SIGSEGV"));
}

static void no_memory_is_no_failure(void **state)
{
	struct verify_result result = {0};
	struct err e = {0};

	run_cpu(*state, "#!/bin/sh\necho 'alloc: failed to allocate CPU buffer'; exit 1\n", &result,
		&e, true);
	assert_true(result.deferred);
	assert_non_null(strstr(result.reason, "memory ran out during the check on 'none'"));
}

static bool run_vulkan(char *dir, const char *wanted, struct verify_result *ret, struct err *e)
{
	char *device = wanted ? mem_dup(wanted) : NULL;
	struct env_run run;
	bool ok;

	program(dir, "shunt", "#!/bin/sh\necho 'registered: Vulkan'\n");
	program(dir, "llama-server",
		"#!/bin/sh\necho '  Vulkan0: small one (512 MiB, 100 MiB free)'\n");
	fill_run(&run, dir);
	run.device = device;
	ok = verify_run(&run, test_path(dir, "work"), test_path(dir, "shunt"), NULL, ret, e);
	strv_done(&run.environ);
	free(device);
	return ok;
}

static void a_full_device_is_verified_later(void **state)
{
	struct verify_result result = {0};
	struct err e = {0};

	assert_true(run_vulkan(*state, NULL, &result, &e));
	assert_true(result.deferred);
	assert_string_equal(result.device, "Vulkan0");
	assert_non_null(strstr(result.reason, "600 MiB on Vulkan0, 100 MiB are free"));
}

static void an_unknown_device_is_named(void **state)
{
	struct verify_result result = {0};
	struct err e = {0};

	assert_false(run_vulkan(*state, "Vulkan7", &result, &e));
	assert_string_equal(e.msg, "no device 'Vulkan7': Vulkan has 'Vulkan0'");
}

#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_answer_is_read),
		cmocka_unit_test(other_answers_are_refused),
		cmocka_unit_test(distance_is_the_root_of_the_mean_square),
		cmocka_unit_test(deaths_are_named_for_what_they_are),
		cmocka_unit_test(long_output_leaves_its_last_lines),
		cmocka_unit_test(devices_are_read_from_the_list),
		cmocka_unit_test(it_is_known_which_devices_use_ram),
		WITH_DIR(the_cpu_is_its_own_device),
		WITH_DIR(no_device_is_an_error_that_says_so),
		WITH_DIR(a_module_that_is_none_is_named),
		WITH_DIR(a_server_that_dies_is_explained),
		WITH_DIR(a_server_that_hangs_is_given_up),
		WITH_DIR(cancelling_ends_the_wait),
		WITH_DIR(who_gets_on_is_waited_for),
		WITH_DIR(wrong_numbers_are_refused),
		WITH_DIR(a_death_of_a_question_is_explained),
		WITH_DIR(no_memory_is_no_failure),
		WITH_DIR(a_full_device_is_verified_later),
		WITH_DIR(an_unknown_device_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
