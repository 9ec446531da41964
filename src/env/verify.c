/* SPDX-License-Identifier: Apache-2.0 */
#include "env/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/hardware.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "env/env_devices.h"
#include "env/test_model.h"
#include "env/verify_answer.h"
#include "env/verify_crash.h"
#include "env/verify_probe.h"
#include "env/verify_reference.h"
#include "env/verify_server.h"

#define QUIET_MS 120000
/* What a check needs free: a CUDA context alone takes up to 500 MiB of the device, the server and
 * the driver's libraries as much of the machine. */
#define DEVICE_BYTES (600LL << 20)
#define MACHINE_BYTES (600LL << 20)
/* The wide model follows when the narrow one's first batch, its shaders compiled, took no longer.
 * llvmpipe takes 2 s for it on two cores, and would compile for many minutes for the wide one. On
 * an H100 all of both takes 1.5 s, but half a minute the first time. */
#define WIDE_WITHIN_MS 500

/* One proof in the making. */
struct check {
	const struct env_run *run;
	const char *work_dir, *self;
	struct task *task;
	struct verify_result result;
	struct strv
		cpu_environ; /* without the module: it must not disturb what it is compared with */
	enum test_model model;
	bool slow; /* the device, compared with real ones */
	struct verify_answer reference[VERIFY_STEPS];
};

static bool cancelled(void *arg)
{
	struct check *c = arg;

	return c->task && task_cancelled(c->task);
}

static void step(struct check *c, double fraction, const char *title)
{
	if (!c->task)
		return;
	task_title(c->task, "Verifying: %s", title);
	task_logf(c->task, "verifying: %s", title);
	task_progress(c->task, 1 - VERIFY_SHARE + VERIFY_SHARE * fraction);
}

static bool gpu(const struct check *c)
{
	return c->run->backend->device_prefix != NULL;
}

/* --- before the first question ------------------------------------------ */

static void defer(struct check *c, const char *where, int64_t need, int64_t have)
{
	c->result.deferred = true;
	(void)snprintf(c->result.reason, sizeof(c->result.reason),
		       "not verified yet: the check needs %" PRId64 " MiB %s, %" PRId64
		       " MiB are free",
		       need >> 20, where, have >> 20);
}

static void look_at_memory(struct check *c, const struct env_device *d)
{
	CLEANUP(free) char *on_device = mem_printf("on %s", d->name);
	struct hardware hw = {0};

	hardware_read(&hw);
	if (hw.memory_free_bytes > 0 && hw.memory_free_bytes < MACHINE_BYTES)
		defer(c, "of this machine's memory", MACHINE_BYTES, hw.memory_free_bytes);
	else if (gpu(c) && d->total_bytes > 0 && d->free_bytes < DEVICE_BYTES)
		defer(c, on_device, DEVICE_BYTES, d->free_bytes);
}

/* The wanted device, or the first. */
static bool choose_device(struct check *c, const struct env_device *list, size_t count,
			  struct err *e)
{
	const char *wanted = gpu(c) && c->run->device ? c->run->device : list[0].name;
	const struct env_device *d = NULL;

	for (size_t i = 0; i < count && !d; i++) {
		if (strcmp(list[i].name, wanted) == 0)
			d = &list[i];
	}
	if (!d) {
		(void)err_set(e, ERR_VERIFY, "no device '%s': %s has '%s'%s", wanted,
			      c->run->backend->title, list[0].name, count > 1 ? " and others" : "");
		return err_hint(e, "shunt doctor %s lists the devices", c->run->backend->name);
	}
	(void)snprintf(c->result.device, sizeof(c->result.device), "%s", d->name);
	(void)snprintf(c->result.device_title, sizeof(c->result.device_title), "%s", d->title);
	look_at_memory(c, d);
	return true;
}

static bool find_device(struct check *c, struct err *e)
{
	CLEANUP(free) struct env_device *list = NULL;
	size_t count = 0;

	if (gpu(c)) {
		step(c, 0.02, "loading the module");
		if (!verify_probe(c->run, c->self, cancelled, c, e))
			return false;
	}
	step(c, 0.1, "looking for devices");
	if (env_devices_ask(c->run, cancelled, c, &list, &count, e))
		return choose_device(c, list, count, e);
	if (e->kind == ERR_UNAVAILABLE)
		e->kind = ERR_VERIFY;
	return false;
}

static bool write_model(struct check *c, struct err *e)
{
	CLEANUP(buf_done) struct buf file = {0};
	CLEANUP(free) char *path = fs_join(c->work_dir, "model.gguf");

	test_model_write(c->model, &file);
	return fs_mkdirs(c->work_dir, 0700, e) && fs_replace(path, file.data, file.len, 0600, e);
}

/* --- questions ---------------------------------------------------------- */

/* Asks for each step. The first is one batch, then pieces that decode as a chat does: one token,
 * and few. */
static bool ask_all(struct verify_server *s, struct verify_answer ret[static VERIFY_STEPS],
		    struct err *e)
{
	for (size_t i = 0; i < VERIFY_STEPS; i++) {
		if (!verify_server_ask(s, verify_steps[i], i > 0, &ret[i], e))
			return false;
	}
	return true;
}

static bool too_far(const struct check *c, const char *device, unsigned int tokens, double distance,
		    const char *from, struct err *e)
{
	(void)err_set(
		e, ERR_VERIFY,
		"%s computes wrong numbers: after %u tokens its log-probabilities differ from "
		"%s by %.3f (root mean square; at most %.2f)",
		device, tokens, from, distance, VERIFY_TOLERANCE);
	return err_hint(e, gpu(c) ? "a newer driver or another release of llama.cpp may help"
				  : "the compiler or the memory of this machine may be at fault");
}

/* The prompt up to a step once more, all of it at once. */
static bool ask_whole(struct check *c, struct verify_server *s, size_t i, const char *device,
		      struct err *e)
{
	struct verify_answer whole;
	double distance;

	if (!verify_server_ask(s, verify_steps[i], false, &whole, e))
		return false;
	distance = verify_answer_distance(&whole, &c->reference[i], NULL);
	return distance <= VERIFY_TOLERANCE ||
	       too_far(c, device, verify_steps[i], distance, "those of an earlier answer", e);
}

/* The CPU first: against numbers that were computed elsewhere, exactly, and against itself. */
static bool ask_cpu(struct check *c, struct verify_server *s, struct err *e)
{
	double distance;

	if (!ask_all(s, c->reference, e))
		return false;
	for (size_t i = 0; i < VERIFY_STEPS; i++) {
		distance = verify_reference_distance(c->model, i, &c->reference[i]);
		if (distance > VERIFY_TOLERANCE)
			return too_far(c, "the CPU", verify_steps[i], distance, "exact ones", e);
	}
	/* What came in pieces, by another path. */
	return ask_whole(c, s, VERIFY_STEPS - 1, "the CPU", e);
}

static bool compare(struct check *c, const struct verify_answer answers[static VERIFY_STEPS],
		    struct err *e)
{
	double distance, max;

	for (size_t i = 0; i < VERIFY_STEPS; i++) {
		distance = verify_answer_distance(&answers[i], &c->reference[i], &max);
		if (c->task)
			task_logf(c->task,
				  "%u tokens: %s differs from the CPU by %.4f (at most %.4f)",
				  verify_steps[i], c->result.device, distance, max);
		if (max > c->result.max_logprob_difference)
			c->result.max_logprob_difference = max;
		if (distance > VERIFY_TOLERANCE)
			return too_far(c, c->result.device, verify_steps[i], distance, "the CPU's",
				       e);
	}
	return true;
}

static bool ask_gpu(struct check *c, struct verify_server *s, struct err *e)
{
	struct verify_answer answers[VERIFY_STEPS];
	int64_t begun;

	if (!verify_server_uses(s, c->result.device))
		return err_set(e, ERR_VERIFY,
			       "llama-server put no weights on '%s': the CPU would have answered",
			       c->result.device);
	if (!ask_all(s, answers, e) || !compare(c, answers, e))
		return false;
	/* The first batch again: nothing to compile any more, so this is how fast the device is. */
	begun = clock_ms();
	if (!ask_whole(c, s, 0, c->result.device, e))
		return false;
	c->slow = clock_ms() - begun > WIDE_WITHIN_MS;
	return true;
}

/* Starts a server, asks, stops it; its output goes into the task's log when it failed. */
static bool run_on(struct check *c, const char *device, const struct strv *environ,
		   bool (*ask)(struct check *, struct verify_server *, struct err *), struct err *e)
{
	CLEANUP(verify_server_stop) struct verify_server s = {0};
	struct verify_server_spec spec = {
		.base_dir = c->run->base_dir,
		.environ = strv_items(environ),
		.work_dir = c->work_dir,
		.device = device,
		.quiet_ms = QUIET_MS,
		.cancelled = cancelled,
		.arg = c,
	};

	if (verify_server_start(&spec, &s, e) && ask(c, &s, e))
		return true;
	if (c->task && s.output[0])
		task_logf(c->task, "%s", s.output);
	/* Someone took the memory that was free a moment ago: no fault of the build. */
	if (verify_out_of_memory(s.output)) {
		err_clear(e);
		c->result.deferred = true;
		(void)snprintf(c->result.reason, sizeof(c->result.reason),
			       "not verified yet: memory ran out during the check on '%s'", device);
		return true;
	}
	return false;
}

static bool ask_model(struct check *c, enum test_model model, double fraction, struct err *e)
{
	CLEANUP(free) char *asking = mem_printf("asking %s", c->result.device);

	c->model = model;
	step(c, fraction, "asking the CPU");
	if (!write_model(c, e) || !run_on(c, "none", &c->cpu_environ, ask_cpu, e))
		return false;
	if (!gpu(c) || c->result.deferred)
		return true;
	step(c, fraction + 0.1, asking);
	return run_on(c, c->result.device, &c->run->environ, ask_gpu, e);
}

static bool prove(struct check *c, struct err *e)
{
	if (!find_device(c, e))
		return false;
	if (c->result.deferred)
		return true;
	if (!ask_model(c, TEST_MODEL_NARROW, 0.2, e))
		return false;
	if (c->result.deferred || c->slow)
		return true;
	return ask_model(c, TEST_MODEL_WIDE, 0.7, e);
}

static void without_module(const struct strv *all, struct strv *ret)
{
	static const char module[] = "GGML_BACKEND_PATH=";

	for (const char *const *p = strv_items(all); *p; p++) {
		if (strncmp(*p, module, strlen(module)) != 0)
			strv_add(ret, *p);
	}
}

bool verify_run(const struct env_run *run, const char *work_dir, const char *self, struct task *t,
		struct verify_result *ret, struct err *e)
{
	struct check c = {.run = run, .work_dir = work_dir, .self = self, .task = t};
	bool ok;

	without_module(&run->environ, &c.cpu_environ);
	ok = prove(&c, e);
	strv_done(&c.cpu_environ);
	if (ok)
		*ret = c.result;
	return ok;
}
