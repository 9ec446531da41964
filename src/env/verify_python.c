/* SPDX-License-Identifier: Apache-2.0 */
#include "env/verify_python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/proc.h"
#include "env/env_devices.h"
#include "env/env_python.h"
#include "env/test_model.h"
#include "env/verify_answer.h"
#include "env/verify_crash.h"
#include "env/verify_reference.h"

#define QUIET_MS 120000
/* A second context on the device, as the server's check had one. */
#define DEVICE_BYTES (600LL << 20)

static const char answer_begins[] = "{\"completion_probabilities\"", said_begins[] = "said: ";

struct check {
	const struct verify_python *v;
	char *weights; /* what llama.cpp prints when they are on the device; NULL: the CPU */
	bool placed, said;
	size_t answers;
	struct err wrong; /* the first */
};

/* --- the question --------------------------------------------------------- */

static bool write_question(const struct verify_python *v, struct err *e)
{
	CLEANUP(free) char *model = fs_join(v->work_dir, "model.gguf");
	CLEANUP(free) char *path = fs_join(v->work_dir, "question.json");
	CLEANUP(buf_done) struct buf file = {0};
	CLEANUP(buf_done) struct buf b = {0};

	test_model_write(TEST_MODEL_NARROW, &file);
	buf_str(&b, "{\"steps\":");
	for (size_t i = 0; i < VERIFY_STEPS; i++)
		buf_printf(&b, "%s%u", i == 0 ? "[" : ",", verify_steps[i]);
	for (unsigned int i = 0; i < verify_steps[VERIFY_STEPS - 1]; i++)
		buf_printf(&b, "%s%d", i == 0 ? "],\"tokens\":[" : ",", test_model_token(i));
	buf_str(&b, "]}");
	return fs_mkdirs(v->work_dir, 0700, e) && fs_replace(model, file.data, file.len, 0600, e) &&
	       fs_replace(path, b.data, b.len, 0600, e);
}

/* --- the answers ---------------------------------------------------------- */

static bool judge(struct check *c, const char *line, struct err *e)
{
	struct verify_answer answer;
	double distance;

	if (c->answers == VERIFY_STEPS || !verify_answer_read(line, strlen(line), &answer, e))
		return false;
	distance = verify_reference_distance(TEST_MODEL_NARROW, c->answers, &answer);
	if (c->v->task)
		task_logf(c->v->task, "%u tokens: Python differs from exact numbers by %.4f",
			  verify_steps[c->answers], distance);
	c->answers++;
	return distance <= VERIFY_TOLERANCE ||
	       err_set(e, ERR_VERIFY,
		       "llama_cpp computes wrong numbers: its log-probabilities differ from exact "
		       "ones by %.3f (root mean square; at most %.2f)",
		       distance, VERIFY_TOLERANCE);
}

static void on_line(void *arg, const char *line)
{
	struct check *c = arg;

	c->placed = c->placed || (c->weights && strstr(line, c->weights));
	c->said = c->said || strncmp(line, said_begins, strlen(said_begins)) == 0;
	if (strncmp(line, answer_begins, strlen(answer_begins)) == 0 && c->wrong.kind == ERR_NONE)
		(void)!judge(c, line, &c->wrong);
}

static bool conclude(const struct check *c, int status, const char *output, struct err *e)
{
	if (status != 0)
		return verify_crash("python", status, output, e);
	if (c->wrong.kind != ERR_NONE) {
		*e = c->wrong;
		return false;
	}
	if (c->answers < VERIFY_STEPS || !c->said)
		return err_set(e, ERR_VERIFY, "llama_cpp gave %zu of %d answers", c->answers,
			       VERIFY_STEPS);
	return !c->weights || c->placed ||
	       err_set(e, ERR_VERIFY, "llama_cpp put no weights on '%s': the CPU has answered",
		       c->v->run->device);
}

static bool is_cancelled(void *arg)
{
	const struct check *c = arg;

	return c->v->cancelled(c->v->arg);
}

/* As a user's own script runs: what leads to libraries is not set, and what the hook sets is. */
static void make_environ(const struct env_run *run, struct strv *ret)
{
	static const char *const without[] = {"GGML_BACKEND_PATH=", "LD_LIBRARY_PATH="};

	for (size_t i = 0; i < run->environ.count; i++) {
		bool leave_out = false;

		for (size_t j = 0; j < ARRAY_LEN(without); j++)
			leave_out = leave_out || strncmp(run->environ.items[i], without[j],
							 strlen(without[j])) == 0;
		if (!leave_out)
			strv_add(ret, run->environ.items[i]);
	}
	strv_add(ret, "PYTHONUNBUFFERED=1");
}

static bool ask(struct check *c, struct err *e)
{
	const struct verify_python *v = c->v;
	const char *const argv[] = {v->python, v->script, v->work_dir, NULL};
	CLEANUP(strv_done) struct strv environ = {0};
	char tail[1024] = "";
	struct proc_run run = {
		.argv = argv,
		.cwd = v->work_dir,
		.quiet_ms = QUIET_MS,
		.on_line = on_line,
		.cancelled = is_cancelled,
		.arg = c,
		.tail = tail,
		.tail_size = sizeof(tail),
	};
	int status = -1;

	make_environ(v->run, &environ);
	run.env = strv_items(&environ);
	return proc_run(&run, &status, e) && conclude(c, status, tail, e);
}

/* --- all of it ------------------------------------------------------------ */

/* A worker may have the memory that was free when the build was verified. */
static bool check_room(const struct verify_python *v, struct err *e)
{
	CLEANUP(free) struct env_device *list = NULL;
	const struct env_device *d = NULL;
	size_t count = 0;

	if (!v->run->backend->device_prefix)
		return true;
	if (!env_devices_ask(v->run, v->cancelled, v->arg, &list, &count, e))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (v->run->device && strcmp(list[i].name, v->run->device) == 0)
			d = &list[i];
	}
	if (!d || d->total_bytes == 0 || d->free_bytes >= DEVICE_BYTES)
		return true;
	(void)err_set(e, ERR_VERIFY, PYTHON_UNPROVED ": too little memory is free on '%s'",
		      d->name);
	return err_hint(e, "unload what is there, then shunt env create MODEL BACKEND");
}

bool verify_python(const struct verify_python *v, struct err *e)
{
	struct check c = {.v = v};
	bool ok;

	if (v->run->backend->device_prefix)
		c.weights = mem_printf(" %s model buffer size", v->run->device);
	ok = check_room(v, e) && write_question(v, e) && ask(&c, e);
	free(c.weights);
	return ok;
}
