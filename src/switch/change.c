/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/catalog.h"
#include "model/option.h"
#include "switch/evict.h"
#include "switch/switch_priv.h"

#define CUT_MS 5000 /* how long cut requests may take to end */

char *switch_environment(const struct db_model *m, const struct backend *b)
{
	if (m->environment && m->backend && strcmp(m->backend, b->name) == 0)
		return mem_dup(m->environment);
	return env_name(m->id, b->name);
}

/* What is in the environment now: a rebuild changes it. */
static char *content(struct switcher *sw, const char *environment)
{
	struct db_env row = {0};
	char *text;

	if (!db_env_get(sw->s.db, environment, &row, NULL))
		return mem_dup(environment);
	text = mem_printf("%s %s %s %s", environment, row.base_digest ? row.base_digest : "",
			  row.module_digest ? row.module_digest : "",
			  row.libraries_digest ? row.libraries_digest : "");
	db_env_done(&row);
	return text;
}

static bool wants_python(const struct db_model *m)
{
	return strcmp(option_runtime(m->options), runtime_python.name) == 0;
}

static bool has_mode(const struct db_model *m, struct err *e)
{
	struct option_facts facts = {.context_length = m->context_length, .mode = m->mode};
	const struct runtime *runtime = runtime_find(option_runtime(m->options));
	const char *mode = option_mode(m->options, &facts);

	if (runtime_proof(runtime, mode))
		return true;
	(void)err_set(e, ERR_NOT_SUPPORTED, "model '%s': runtime %s has no mode %s", m->id,
		      runtime->name, mode);
	return err_hint(e, "shunt set %s runtime=server", m->id);
}

bool change_owns_devices(const struct db_model *m, const struct backend *b, struct err *e)
{
	CLEANUP(free) char *devices = option_devices(m->options);
	char *rest = devices, *device;

	while (b->device_prefix && devices[0] && (device = strsep(&rest, ","))) {
		if (backend_owns_device(b, device))
			continue;
		(void)err_set(e, ERR_INVALID, "model '%s': device '%s' is not one of backend '%s'",
			      m->id, device, b->name);
		return err_hint(e, "shunt set %s devices=", m->id);
	}
	return true;
}

bool change_prepare(struct switcher *sw, const struct db_model *m, const char *environment,
		    const struct backend *b, const struct env_wish *w, struct task *t,
		    struct err *e)
{
	return has_mode(m, e) && change_owns_devices(m, b, e) &&
	       envs_create(sw->s.envs, environment, b, w, t, e) &&
	       change_prepare_runtime(sw, m, environment, t, e);
}

bool change_prepare_runtime(struct switcher *sw, const struct db_model *m, const char *environment,
			    struct task *t, struct err *e)
{
	return !wants_python(m) || envs_make_server(sw->s.envs, environment, t, e);
}

bool change_is_prepared(struct switcher *sw, const struct db_model *m, const char *environment,
			const struct backend *b)
{
	return envs_ready(sw->s.envs, environment, b, NULL) &&
	       (!wants_python(m) || envs_has_server(sw->s.envs, environment));
}

/* Of a worker in Python: its pieces are in use, as llama-server's are. */
static char *python_content(struct switcher *sw, const struct db_model *m, const char *environment)
{
	struct db_env row = {0};
	char *text;

	if (!wants_python(m) || !db_env_get(sw->s.db, environment, &row, NULL))
		return mem_dup("");
	text = mem_printf(" %s %s", row.python_digest ? row.python_digest : "",
			  row.server_digest ? row.server_digest : "");
	db_env_done(&row);
	return text;
}

char *change_key(struct switcher *sw, const struct db_model *m, const char *environment)
{
	CLEANUP(free) char *python = python_content(sw, m, environment);
	CLEANUP(free) char *options = option_worker_part(m->options);
	CLEANUP(free) char *inside = content(sw, environment);

	return mem_printf("%s\n%s%s\n%s", inside, m->path, python, options);
}

bool change_runs_in(struct switcher *sw, const struct entry *en, const char *environment)
{
	CLEANUP(free) char *inside = content(sw, environment);
	size_t len = strlen(inside);

	return en->worker && en->loaded_as && strncmp(en->loaded_as, inside, len) == 0 &&
	       en->loaded_as[len] == '\n';
}

const char *change_key_options(const char *key)
{
	return strrchr(key, '\n') + 1;
}

static void on_load(void *task, double fraction)
{
	if (task)
		task_progress(task, fraction);
}

char *change_context_key(struct switcher *sw, const struct db_model *m, const char *environment)
{
	CLEANUP(env_run_done) struct env_run run = {0};
	struct err e = {0};

	if (!envs_run_facts(sw->s.envs, environment, &run, &e))
		return mem_printf("!%s", e.msg);
	return context_key(m, run.base_dir);
}

char *change_device(const struct db_model *m, const struct env_run *run)
{
	CLEANUP(free) char *set = option_devices(m->options);

	return run->backend->device_prefix && set[0] ? STEAL(set) : mem_dup(run->device);
}

/* What its process is started with before all options. */
static bool command(const struct db_model *m, const struct env_run *run,
		    const struct runtime *runtime, struct strv *ret, struct err *e)
{
	if (runtime == &runtime_server) {
		strv_printf(ret, "%s/llama-server", run->base_dir);
		return true;
	}
	if (!run->python) {
		(void)err_set(e, ERR_UNAVAILABLE,
			      "model '%s': environment '%s' is not prepared for runtime %s", m->id,
			      run->name, runtime->name);
		return err_hint(e, "shunt load %s", m->id);
	}
	strv_add(ret, run->python);
	strv_add(ret, "-I"); /* no setting of the user's gets in */
	strv_add(ret, run->launcher);
	strv_add(ret, "--packages");
	strv_add(ret, run->packages);
	return true;
}

bool change_start(struct switcher *sw, const struct db_model *m, const char *environment,
		  struct task *t, struct worker **ret, struct err *e)
{
	const struct runtime *runtime = runtime_find(option_runtime(m->options));
	CLEANUP(strv_done) struct strv program = {0};
	CLEANUP(env_run_done) struct env_run run = {0};
	CLEANUP(strv_done) struct strv args = {0};
	struct option_facts facts = {.context_length = m->context_length, .mode = m->mode};
	CLEANUP(free) char *folder = contexts_folder(sw->s.contexts, m->id);
	CLEANUP(free) char *key = NULL;
	CLEANUP(free) char *device = NULL;
	CLEANUP(free) char *options = NULL;
	struct db_model as = *m;
	struct worker *w = NULL;
	bool gpu;

	if (!catalog_check_file(m, e) || !envs_run_facts(sw->s.envs, environment, &run, e))
		return false;
	gpu = run.backend->device_prefix != NULL;
	device = change_device(m, &run);
	if (!change_owns_devices(m, run.backend, e) || !has_mode(m, e) ||
	    !command(m, &run, runtime, &program, e))
		return false;
	evict_for(sw, m, environment, t);
	as.options = options = change_options(sw, m, &run, t);
	option_args(options, &facts, gpu, &args);
	key = context_key(m, run.base_dir);
	struct worker_spec spec = {
		.model_id = m->id,
		.model_path = m->path,
		.environment = environment,
		.backend = run.backend->name,
		.runtime = runtime,
		.command = strv_items(&program),
		.device = device,
		.device_prefix = run.backend->device_prefix,
		.args = strv_items(&args),
		.environ = strv_items(&run.environ),
		.slots = option_parallel(m->options),
		.mode = option_mode(m->options, &facts),
		.context_dir = key[0] == '!' ? NULL : folder,
		.context_key = key,
		.context_tokens = option_ctx_size(m->options, &facts),
	};
	if (!worker_start(sw->s.supervisor, &spec, on_load, t ? task_cancelled : NULL, t, &w, e))
		return err_wrap(e, "starting '%s' on %s", m->id, run.backend->name);
	if (!worker_prove(w, t ? task_cancelled : NULL, t, e)) {
		worker_stop(w);
		worker_unref(w);
		return err_wrap(e, "'%s' gave no answer on %s", m->id, run.backend->name);
	}
	if (!envs_mark_ready(sw->s.envs, environment, e)) {
		worker_stop(w);
		worker_unref(w);
		return false;
	}
	fit_remember(sw->s.db, sw->s.self, &as, environment, w);
	*ret = w;
	return true;
}

bool change_restore(struct switcher *sw, const struct db_model *m, const char *environment,
		    struct task *t, struct context *c, struct worker **w, struct err *e)
{
	if (context_restore(c, *w, t ? task_cancelled : NULL, t) == CONTEXT_DONE)
		return true;
	log_warn("worker lost its conversations model=%s reason=\"%s\", continuing", m->id,
		 c->report.why_not);
	worker_stop(*w);
	worker_unref(STEAL(*w));
	return change_start(sw, m, environment, t, w, e);
}

void change_set_worker(struct switcher *sw, struct entry *en, struct worker *w, char *loaded_as)
{
	pthread_mutex_lock(&sw->lock);
	en->worker = w;
	free(en->loaded_as);
	en->loaded_as = loaded_as;
	en->ready_since = clock_ms();
	en->not_before = 0;
	pthread_mutex_unlock(&sw->lock);
}

void change_go_on(struct switcher *sw, struct entry *en)
{
	if (!en->worker || worker_state(en->worker) == WORKER_DOWN)
		return; /* who gives the slot back finds it dead, and closes the route */
	entry_set_state(sw, en, MODEL_LOADED, NULL);
	route_open(en->route, en->worker);
}

void change_give_up(struct switcher *sw, struct entry *en, const struct err *why)
{
	pthread_mutex_lock(&sw->lock);
	en->failures++;
	en->not_before = clock_ms() + (1000LL << (en->failures < 6 ? en->failures : 6));
	pthread_mutex_unlock(&sw->lock);
	entry_set_state(sw, en, MODEL_FAILED, why);
	route_close(en->route, why);
}

/* Whoever has an answer is not to meet the load that made it possible: from here on only the slot
 * is held, for a moment. */
static void load_is_over(struct switcher *sw, struct entry *en, const struct task *t)
{
	pthread_mutex_lock(&sw->lock);
	if (t && !en->task_backend && strcmp(en->task, task_id(t)) == 0)
		en->task[0] = '\0';
	pthread_mutex_unlock(&sw->lock);
}

bool change_load(struct switcher *sw, struct entry *en, const struct db_model *m, struct task *t,
		 struct err *e)
{
	CLEANUP(free) char *key = change_key(sw, m, m->environment);
	struct worker *w = NULL;

	entry_set_state(sw, en, MODEL_LOADING, NULL);
	route_hold(en->route);
	if (!change_start(sw, m, m->environment, t, &w, e) || !kept_restore(sw, m, t, &w, e)) {
		if (e->kind != ERR_CANCELLED) {
			change_give_up(sw, en, e);
			return false;
		}
		entry_set_state(sw, en, MODEL_UNLOADED, NULL);
		return false; /* the task's end knows what becomes of those who wait */
	}
	change_set_worker(sw, en, w, STEAL(key));
	load_is_over(sw, en, t);
	change_go_on(sw, en);
	return true;
}

struct worker *change_take_worker(struct switcher *sw, struct entry *en)
{
	struct worker *w;

	pthread_mutex_lock(&sw->lock);
	w = STEAL(en->worker);
	free(STEAL(en->loaded_as));
	pthread_mutex_unlock(&sw->lock);
	return w;
}

bool change_cut(struct switcher *sw, struct entry *en, struct worker *w)
{
	log_warn("cutting requests model=%s after_ms=%lld, continuing", en->id,
		 (long long)sw->s.drain_timeout_ms);
	route_cut(w);
	return route_drain(en->route, w, CUT_MS, NULL, NULL);
}

bool change_drain(struct switcher *sw, struct entry *en, bool force, bool (*cancelled)(void *),
		  void *arg, struct err *e)
{
	if (route_drain(en->route, en->worker, sw->s.drain_timeout_ms, cancelled, arg))
		return true;
	if (cancelled && cancelled(arg))
		return err_set(e, ERR_CANCELLED, "cancelled while running requests finished");
	if (force && change_cut(sw, en, en->worker))
		return true;
	err_set(e, ERR_BUSY, "model '%s': %d requests still run after %lld s", en->id,
		atomic_load(&worker_traffic(en->worker)->running),
		(long long)sw->s.drain_timeout_ms / 1000);
	return err_hint(e, "wait for them, or use force to cut them");
}

bool change_unload(struct switcher *sw, struct entry *en, bool force, bool (*cancelled)(void *),
		   void *arg, struct err *e)
{
	CLEANUP(context_done) struct context kept = {0};
	struct worker *old;

	entry_set_state(sw, en, MODEL_UNLOADING, NULL);
	route_hold(en->route);
	if (!change_drain(sw, en, force, cancelled, arg, e)) {
		change_go_on(sw, en);
		return false;
	}
	kept_save(sw, en, cancelled, arg, &kept);
	old = change_take_worker(sw, en);
	worker_stop(old);
	worker_unref(old);
	kept_write(&kept);
	entry_set_state(sw, en, MODEL_UNLOADED, NULL);
	route_close(en->route, NULL);
	return true;
}
