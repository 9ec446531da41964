/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "make_gguf.h"
#include "switch/fit_priv.h"
#include "worker/worker_priv.h"

#define MIB (1LL << 20)
#define GIB (1LL << 30)
#define S(text) ((char *)(text))

/* --- the decision ------------------------------------------------------- */

static const struct {
	struct fit_need need;
	struct fit_room room;
	const char *device, *old;
	bool fits;
	const char *text;
} cases[] = {
	{{.device = 1945 * MIB, .ram = 300 * MIB, .by = FIT_MEASURED},
	 {.device = 71783 * MIB, .ram = 9 * GIB},
	 "Vulkan0",
	 "CUDA",
	 true,
	 "Vulkan0 needs 1.9 GiB (measured), 70.1 GiB free: starting beside CUDA"},
	/* 300 MiB fit into 600, with a margin of 256; not into 500 */
	{{.device = 300 * MIB, .ram = 100 * MIB, .by = FIT_MEASURED},
	 {.device = 600 * MIB, .ram = GIB},
	 "CUDA0",
	 "CPU",
	 true,
	 "CUDA0 needs 300 MiB (measured), 600 MiB free: starting beside CPU"},
	{{.device = 300 * MIB, .ram = 100 * MIB, .by = FIT_MEASURED},
	 {.device = 500 * MIB, .ram = GIB},
	 "CUDA0",
	 "CPU",
	 false,
	 "CUDA0 needs 300 MiB (measured), 500 MiB free: CPU is stopped first"},
	/* 15 % of an estimate, 5 % of a measurement */
	{{.device = 20 * GIB, .ram = 0, .by = FIT_ESTIMATED},
	 {.device = 22 * GIB, .ram = GIB},
	 "CUDA0",
	 "CPU",
	 false,
	 "CUDA0 needs 20.0 GiB (estimated), 22.0 GiB free: CPU is stopped first"},
	{{.device = 20 * GIB, .ram = 0, .by = FIT_MEASURED},
	 {.device = 22 * GIB, .ram = GIB},
	 "CUDA0",
	 "CPU",
	 true,
	 "CUDA0 needs 20.0 GiB (measured), 22.0 GiB free: starting beside CPU"},
	/* room on the device, none in RAM */
	{{.device = GIB, .ram = 4 * GIB, .by = FIT_MEASURED},
	 {.device = 22 * GIB, .ram = 3 * GIB},
	 "CUDA0",
	 "Vulkan",
	 false,
	 "CUDA0 needs 4.0 GiB of RAM (measured), 3.0 GiB free: Vulkan is stopped first"},
	/* one pool: what the device says of itself is no pool of its own */
	{{.device = GIB, .ram = 2 * GIB, .by = FIT_MEASURED},
	 {.device = 1 * MIB, .ram = 3 * GIB, .one_pool = true},
	 "Vulkan0",
	 "CPU",
	 true,
	 "Vulkan0 needs 2.0 GiB of RAM (measured), 3.0 GiB free: starting beside CPU"},
	{{.device = 0, .ram = 2 * GIB, .by = FIT_ESTIMATED},
	 {.device = -1, .ram = 1 * GIB, .one_pool = true, .limited = true},
	 "CPU",
	 NULL,
	 false,
	 "CPU needs 2.0 GiB of RAM (estimated), 1.0 GiB left of memory_limit: does not fit"},
	{{.device = 0, .ram = 100 * MIB, .by = FIT_ESTIMATED},
	 {.device = -1, .ram = 1 * GIB, .one_pool = true},
	 "CPU",
	 NULL,
	 true,
	 "CPU needs 100 MiB of RAM (estimated), 1.0 GiB free: fits"},
	/* unknown is no room */
	{{.device = MIB, .ram = MIB, .by = FIT_MEASURED},
	 {.device = -1, .ram = 9 * GIB, .why = "the driver does not tell"},
	 "Vulkan0",
	 "CPU",
	 false,
	 "free memory of Vulkan0 is not known, the driver does not tell: CPU is stopped first"},
	{{.device = MIB, .ram = MIB, .by = FIT_MEASURED},
	 {.device = GIB, .ram = -1},
	 "Vulkan0",
	 "CPU",
	 false,
	 "free memory of Vulkan0 is not known: CPU is stopped first"},
	/* what no machine has */
	{{.device = INT64_MAX, .ram = INT64_MAX, .by = FIT_ESTIMATED},
	 {.device = INT64_MAX, .ram = INT64_MAX},
	 "CUDA0",
	 "CPU",
	 false,
	 "CUDA0 needs 8589934592.0 GiB (estimated), 8589934592.0 GiB free: CPU is stopped first"},
};

static void the_decision_says_why(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fit_room room;
		struct fit fit;

		room = cases[i].room;
		(void)snprintf(room.name, sizeof(room.name), "%s", cases[i].device);
		fit_judge(&cases[i].need, &room, cases[i].old, &fit);
		if (fit.fits != cases[i].fits || strcmp(fit.text, cases[i].text) != 0)
			fail_msg("%zu: fits %d, '%s', expected '%s'", i, fit.fits, fit.text,
				 cases[i].text);
	}
}

/* --- with a driver, a file and a database ------------------------------- */

struct fix {
	char *dir;
	struct db *db;
	struct db_model model;
	struct env_run run;
	struct worker worker;
	pid_t pid;
};

/* A llama-server that lists this. */
static void driver(const struct fix *f, const char *script)
{
	const char *path = test_path(f->dir, "llama-server");
	CLEANUP(free) char *text = mem_printf("#!/bin/sh\n%s\n", script);

	test_write(path, text, strlen(text));
	assert_int_equal(chmod(path, 0755), 0);
}

static void lists(const struct fix *f, const char *title, int total_mib, int free_mib)
{
	CLEANUP(free)
	char *script = mem_printf("echo '  Vulkan0: %s (%d MiB, %d MiB free)'", title, total_mib,
				  free_mib);

	driver(f, script);
}

static int setup(void **state)
{
	struct fix *f = mem_alloc(sizeof(*f));
	CLEANUP(buf_done) struct buf b = {0};
	struct db_env env = {.name = S("e"), .backend = S("vulkan"), .state = S("ready")};
	struct err e = {0};

	f->dir = test_dir_new();
	put_small_model(&b, 0, NULL);
	test_write(test_path(f->dir, "m.gguf"), b.data, b.len);
	if (!db_open(test_path(f->dir, "db"), &f->db, &e) || !db_env_put(f->db, &env, &e))
		fail_msg("%s", e.msg);
	f->model = (struct db_model){.id = S("m"),
				     .path = mem_dup(test_path(f->dir, "m.gguf")),
				     .size_bytes = (int64_t)b.len,
				     .context_length = 2048,
				     .mode = S("chat")};
	f->run = (struct env_run){.name = S("e"),
				  .backend = backend_find("vulkan"),
				  .base_dir = f->dir,
				  .device = S("Vulkan0")};
	strv_add(&f->run.environ, "PATH=/usr/bin:/bin");
	f->pid = getpid();
	f->worker = (struct worker){.backend = S("cpu"), .device = S("Vulkan0"), .pid = f->pid};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	db_free(f->db);
	free(f->model.path);
	strv_done(&f->run.environ);
	test_dir_free(f->dir);
	free(f);
	return 0;
}

static struct fit check(struct fix *f, int64_t memory_limit)
{
	const struct fit_request r = {.db = f->db,
				      .model = &f->model,
				      .run = &f->run,
				      .device = f->run.device,
				      .old = &f->worker,
				      .pids = &f->pid,
				      .pid_count = 1,
				      .memory_limit = memory_limit,
				      .probe_ms = 300};
	struct fit fit;

	fit_check(&r, &fit);
	return fit;
}

static void expect(const struct fit *fit, bool fits, const char *part)
{
	if (fit->fits != fits || !strstr(fit->text, part))
		fail_msg("fits %d: %s; expected: %s", fit->fits, fit->text, part);
}

static void a_device_with_room_takes_it(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	lists(f, "Fast GPU", 8192, 8000);
	fit = check(f, 0);
	expect(&fit, true, "(estimated), 7.8 GiB free: starting beside CPU");
	assert_false(fit.one_pool);
	assert_true(fit.free_device == 8000 * MIB && fit.need_device > 0 && fit.need_ram > 0);
	lists(f, "Fast GPU", 8192, 40);
	fit = check(f, 0);
	expect(&fit, false, "(estimated), 40 MiB free: CPU is stopped first");
}

static void what_cannot_be_measured_does_not_fit(void **state)
{
	struct fix *f = *state;
	int64_t start = clock_ms();
	struct fit fit;

	lists(f, "Fast GPU", 8192, 8192); /* no budget: the driver tells the total twice */
	fit = check(f, 0);
	expect(&fit, false, "not known, the driver does not tell");
	driver(f, "echo 'Available devices:'; echo '  Vulkan1: Other (9 MiB, 8 MiB free)'");
	fit = check(f, 0);
	expect(&fit, false, "Vulkan0 is not there: the driver does not list it");
	assert_true(fit.missing);
	driver(f, "echo 'no loader' >&2; exit 3");
	fit = check(f, 0);
	expect(&fit, false, "not known, ");
	driver(f, "exec sleep 60");
	fit = check(f, 0);
	expect(&fit, false, "not known, the driver did not answer");
	assert_true(clock_ms() - start < 5000);
}

static void a_device_in_ram_is_one_pool(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	driver(f, "echo '0.0 D ggml_vulkan: 0 = iGPU (x) | uma: 1 | fp16: 1'\n"
		  "echo '  Vulkan0: iGPU (1000000 MiB, 900000 MiB free)'");
	fit = check(f, 0);
	assert_true(fit.one_pool && fit.need_ram > fit.need_device);
	expect(&fit, fit.fits, "of RAM (estimated)");
	fit = check(f, 1 * MIB); /* this process has more already */
	expect(&fit, false, "0 MiB left of memory_limit: CPU is stopped first");
}

/* --- several devices ---------------------------------------------------- */

static void list_two(struct fix *f, int first_free_mib, int second_free_mib)
{
	CLEANUP(free)
	char *script = mem_printf("echo '  Vulkan0: GPU (32768 MiB, %d MiB free)'\n"
				  "echo '  Vulkan1: GPU (32768 MiB, %d MiB free)'",
				  first_free_mib, second_free_mib);

	driver(f, script);
}

/* On both: 8000 MiB that the last load took, and 64 of the driver on each. */
static void on_two(struct fix *f, const char *options)
{
	f->run.device = f->worker.device = S("Vulkan0,Vulkan1");
	f->model.options = S(options);
	f->worker.memory.device.weights = 8000 * MIB;
	fit_remember(f->db, "/bin/false", &f->model, "e", &f->worker);
}

static void each_of_two_devices_needs_its_share(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	on_two(f, "{\"devices\":[\"Vulkan0\",\"Vulkan1\"],\"tensor_split\":[3,1]}");
	list_two(f, 7000, 2600);
	fit = check(f, 0);
	expect(&fit, true, "Vulkan1 needs 2.0 GiB (measured), 2.5 GiB free");
	assert_true(fit.need_device == 2064 * MIB && fit.free_device == 2600 * MIB);
	list_two(f, 6300, 30000);
	fit = check(f, 0);
	expect(&fit, false, "Vulkan0 needs 5.9 GiB (measured), 6.2 GiB free: CPU is stopped");
	assert_string_equal(fit.device, "Vulkan0");
	list_two(f, 30000, 2200);
	fit = check(f, 0);
	expect(&fit, false, "Vulkan1 needs 2.0 GiB (measured), 2.1 GiB free: CPU is stopped");
	assert_string_equal(fit.device, "Vulkan1");
}

/* As llama.cpp does it: by free memory. */
static void without_a_split_free_memory_decides(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	on_two(f, "{\"devices\":[\"Vulkan0\",\"Vulkan1\"]}");
	list_two(f, 7500, 2500);
	fit = check(f, 0);
	expect(&fit, true, "(measured), ");
	list_two(f, 6000, 2000);
	fit = check(f, 0);
	expect(&fit, false, "Vulkan0 needs 5.9 GiB (measured), 5.9 GiB free: CPU is stopped");
	assert_true(fit.need_device == 6064 * MIB);
}

static void one_of_two_that_is_not_there_is_named(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	f->run.device = S("Vulkan0,Vulkan1");
	lists(f, "GPU", 8192, 8000);
	fit = check(f, 0);
	expect(&fit, false, "Vulkan1 is not there: the driver does not list it");
	assert_true(fit.missing);
	list_two(f, 8000, 32768); /* no budget */
	fit = check(f, 0);
	expect(&fit, false, "free memory of Vulkan1 is not known, the driver does not tell");
}

/* llama-server may exit before its log is written. */
static void what_the_log_lost_is_asked_again(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	driver(f, "[ -e seen ] && echo '0.0 D ggml_vulkan: 0 = iGPU (x) | uma: 1 | fp16: 1'\n"
		  "touch seen\n"
		  "echo '  Vulkan0: iGPU (1000000 MiB, 900000 MiB free)'");
	fit = check(f, 0);
	assert_true(fit.one_pool);
}

static void the_cpu_asks_no_driver(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	driver(f, "echo asked > asked");
	f->run.backend = backend_find("cpu");
	f->run.device = S("none");
	fit = check(f, 0);
	assert_true(fit.one_pool && fit.need_device == 0 && fit.free_ram > 0);
	expect(&fit, fit.fits, "CPU needs ");
	assert_int_equal(access(test_path(f->dir, "asked"), F_OK), -1);
}

static void the_last_load_counts_while_all_is_the_same(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	lists(f, "Fast GPU", 8192, 8000);
	f->worker.memory.device.weights = 4000 * MIB;
	f->worker.memory.host.weights = 100 * MIB;
	fit_remember(f->db, "/bin/false", &f->model, "e", &f->worker);
	fit = check(f, 0);
	expect(&fit, true, "Vulkan0 needs 4.0 GiB (measured)");
	f->model.options = S("{\"temperature\":0.5,\"n_ctx\":1024}");
	fit = check(f, 0);
	expect(&fit, true, "(estimated)");
	fit_remember(f->db, "/bin/false", &f->model, "e", &f->worker);
	f->model.options = S("{\"n_ctx\":1024,\"temperature\":0.5}"); /* the same */
	fit = check(f, 0);
	assert_int_equal(fit.by, FIT_MEASURED);
	f->model.size_bytes++;
	fit = check(f, 0);
	assert_int_equal(fit.by, FIT_ESTIMATED);
}

static void a_worker_that_has_gone_is_not_remembered(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	lists(f, "Fast GPU", 8192, 8000);
	f->worker.pid = 0;
	fit_remember(f->db, "/bin/false", &f->model, "e", &f->worker);
	fit = check(f, 0);
	assert_int_equal(fit.by, FIT_ESTIMATED);
	fit_remember(f->db, "/bin/false", &f->model, "no such environment", &f->worker);
}

static void a_file_that_cannot_be_read_is_said(void **state)
{
	struct fix *f = *state;
	struct fit fit;

	lists(f, "Fast GPU", 8192, 8000);
	test_write(f->model.path, "GGUF", 4);
	fit = check(f, 0);
	expect(&fit, false, "what it needs on Vulkan0 is not known: '");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_decision_says_why),
		WITH(a_device_with_room_takes_it),
		WITH(what_cannot_be_measured_does_not_fit),
		WITH(a_device_in_ram_is_one_pool),
		WITH(each_of_two_devices_needs_its_share),
		WITH(without_a_split_free_memory_decides),
		WITH(one_of_two_that_is_not_there_is_named),
		WITH(what_the_log_lost_is_asked_again),
		WITH(the_cpu_asks_no_driver),
		WITH(the_last_load_counts_while_all_is_the_same),
		WITH(a_worker_that_has_gone_is_not_remembered),
		WITH(a_file_that_cannot_be_read_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
