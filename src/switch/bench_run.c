/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring one backend. */

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/proc.h"
#include "model/option.h"
#include "switch/bench_priv.h"
#include "worker/death.h"

#define PROMPT "512" /* tokens of one run: the default of llama-bench */
#define ANSWER "128"
#define RUNS "2"                 /* the fastest counts: what else the machine does slows others */
#define QUIET_MS (5 * 60 * 1000) /* a run is one line: so slow a backend is none to choose */
#define LIMIT_MS (15 * 60 * 1000)
#define LINES 8 /* that it prints while it measures */

/* --- what it prints ------------------------------------------------------ */

static double fastest(const json_t *samples)
{
	double best = 0;
	const json_t *item;
	size_t i;

	json_array_foreach(samples, i, item)
		if (isfinite(json_number_value(item)) && json_number_value(item) > best)
			best = json_number_value(item);
	return best;
}

void bench_read_line(const char *line, struct bench_speeds *ret)
{
	json_t *test = line[0] == '{' ? json_loads(line, 0, NULL) : NULL;
	double speed = fastest(json_object_get(test, "samples_ts"));

	if (json_integer_value(json_object_get(test, "n_gen")) > 0)
		ret->answer = speed;
	else if (json_integer_value(json_object_get(test, "n_prompt")) > 0)
		ret->prompt = speed;
	json_decref(test);
}

struct run {
	struct switcher *sw;
	const struct bench_part *part;
	struct bench_speeds speeds;
	int lines;
	int64_t until; /* monotonic ms */
};

static void on_line(void *arg, const char *line)
{
	static const char progress[] = "llama-bench: benchmark ";
	struct run *r = arg;

	task_log_line(r->part->task, line);
	bench_read_line(line, &r->speeds);
	if (strncmp(line, progress, sizeof(progress) - 1) != 0 || r->lines == LINES)
		return;
	r->lines++;
	task_progress(r->part->task, r->part->from + r->part->size * r->lines / (LINES + 1));
}

static bool is_over(void *arg)
{
	const struct run *r = arg;

	return task_cancelled(r->part->task) || clock_ms() > r->until;
}

/* --- running it ---------------------------------------------------------- */

static bool fail(const struct db_bench *now, int status, const char *output, struct err *e)
{
	struct death death = {.status = status,
			      .output = output,
			      .model = now->model,
			      .backend = now->backend,
			      .device = now->device};

	death_explain(&death, e);
	if (e->kind == ERR_WORKER) /* there is no worker whose log would say more */
		(void)err_hint(e, "the task's log has all that it printed");
	return err_wrap(e, "measuring '%s' on %s", now->model, now->backend);
}

static bool too_slow(const struct db_bench *now, const struct run *r, struct err *e)
{
	if (e->kind != ERR_CANCELLED || task_cancelled(r->part->task))
		return err_wrap(e, "measuring '%s' on %s", now->model, now->backend);
	return err_set(e, ERR_UNAVAILABLE, "measuring '%s' on %s took longer than %d min",
		       now->model, now->backend, LIMIT_MS / 60000);
}

/* To llama-bench a comma begins another test. Caller frees. */
static char *with_slashes(const char *devices)
{
	char *text = mem_dup(devices);

	for (char *c = text; *c; c++)
		if (*c == ',')
			*c = '/';
	return text;
}

static bool arguments(const struct db_model *m, const struct env_run *env, struct run *r,
		      const char *devices, struct strv *ret, struct err *e)
{
	CLEANUP(free) char *options = change_options(r->sw, m, env, r->part->task);
	CLEANUP(free) char *device = with_slashes(devices);
	const char *const before[] = {"-m",   m->path, "-dev",       device,     "-p",
				      PROMPT, "-n",    ANSWER,       "-r",       RUNS,
				      "-o",   "jsonl", "--progress", "--offline"};

	strv_printf(ret, "%s/llama-bench", env->base_dir);
	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		strv_add(ret, before[i]);
	return option_bench_args(options, env->backend->device_prefix != NULL, ret, e);
}

static bool run_it(const struct db_model *m, const struct env_run *env, struct run *r,
		   const struct db_bench *now, struct err *e)
{
	CLEANUP(strv_done) struct strv args = {0};
	char tail[4096] = "";
	int status = 0;
	struct proc_run run = {
		.env = strv_items(&env->environ),
		.cwd = env->base_dir, /* modules are looked for in the working folder too */
		.quiet_ms = QUIET_MS,
		.on_line = on_line,
		.cancelled = is_over,
		.arg = r,
		.tail = tail,
		.tail_size = sizeof(tail),
	};

	if (!arguments(m, env, r, now->device, &args, e))
		return false;
	run.argv = strv_items(&args);
	r->until = clock_ms() + LIMIT_MS;
	if (!proc_run(&run, &status, e))
		return too_slow(now, r, e);
	return status == 0 || fail(now, status, tail, e);
}

bool bench_measure(struct switcher *sw, const struct db_model *m, const struct bench_part *part,
		   struct db_bench *now, struct err *e)
{
	CLEANUP(env_run_done) struct env_run env = {0};
	struct run r = {.sw = sw, .part = part};

	if (!envs_run_facts(sw->s.envs, now->environment, &env, e) || !run_it(m, &env, &r, now, e))
		return false;
	if (r.speeds.prompt <= 0 || r.speeds.answer <= 0) {
		(void)err_set(e, ERR_WORKER, "llama-bench named no speed of '%s' on %s", now->model,
			      now->backend);
		return err_hint(e, "the task's log has what it printed");
	}
	now->prompt_per_second = r.speeds.prompt;
	now->answer_per_second = r.speeds.answer;
	now->at = clock_wall_ms();
	return db_bench_put(sw->s.db, now, e);
}

/* --- room for it --------------------------------------------------------- */

bool bench_room(struct switcher *sw, const struct db_model *m, const struct db_bench *now,
		struct task *t, struct err *e)
{
	CLEANUP(strv_done) struct strv loaded = {0};
	CLEANUP(buf_done) struct buf names = {0};
	struct fit fit = {0};

	switcher_loaded(sw, &loaded);
	if (loaded.count == 0)
		return true;
	for (size_t i = 0; i < loaded.count; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", loaded.items[i]);
	task_logf(t, "Loaded meanwhile: %s. One that answers makes it look slower.", names.data);
	change_fit(sw, m, now->environment, NULL, t, &fit);
	task_logf(t, "%s", fit.text);
	if (fit.fits || fit.missing) /* its own words say best what is missing */
		return true;
	if (task_cancelled(t))
		return err_set(e, ERR_CANCELLED, "cancelled while looking for memory");
	(void)err_set(e, ERR_NO_SPACE,
		      "'%s' is not measured on %s beside what is loaded (%.100s): %s", m->id,
		      now->backend, names.data, fit.text);
	return err_hint(e, "shunt unload %s, then again", loaded.items[0]);
}
