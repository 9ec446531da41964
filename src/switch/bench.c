/* SPDX-License-Identifier: Apache-2.0 */
/* What a measurement depends on, and whether that is still so. */

#include "switch/bench.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "backend/gpu_watch.h"
#include "model/catalog.h"
#include "model/option.h"
#include "switch/bench_priv.h"

static const struct {
	const char *what;
	size_t offset;
} parts[] = {
	{"file", offsetof(struct db_bench, file)},
	{"build", offsetof(struct db_bench, base_digest)},
	{"build", offsetof(struct db_bench, module_digest)},
	{"device", offsetof(struct db_bench, device)},
	{"driver", offsetof(struct db_bench, driver)},
	{"options", offsetof(struct db_bench, options)},
};

static const char *text_at(const struct db_bench *b, size_t offset)
{
	const char *text = *(char *const *)((const char *)b + offset);

	return text ? text : "";
}

double bench_seconds(const struct db_bench *b)
{
	return BENCH_PROMPT_TOKENS / b->prompt_per_second +
	       BENCH_ANSWER_TOKENS / b->answer_per_second;
}

const char *bench_differs(const struct db_bench *then, const struct db_bench *now)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strcmp(text_at(then, parts[i].offset), text_at(now, parts[i].offset)) != 0)
			return parts[i].what;
	return NULL;
}

char *bench_stale(struct switcher *sw, const struct db_model *m, const struct db_bench *b)
{
	const struct backend *backend = backend_find(b->backend);
	CLEANUP(db_bench_done) struct db_bench now = {0};
	struct err e = {0};
	const char *what;

	if (!backend || !bench_now(sw, m, backend, &now, &e))
		return mem_dup(backend ? e.msg : "there is no such backend any more");
	what = bench_differs(b, &now);
	return what ? mem_printf("the %s changed", what) : NULL;
}

/* The kernel, whose release its own drivers have, and the maker's part. Caller frees. */
static char *driver_now(struct switcher *sw, const char *devices)
{
	CLEANUP(free) char *first = mem_ndup(devices, strcspn(devices, ","));
	struct utsname kernel;
	char driver[192];

	if (uname(&kernel) < 0)
		return NULL;
	gpu_watch_driver(sw->s.gpus, first, driver, sizeof(driver));
	return mem_printf("Linux %s%s%s", kernel.release, driver[0] ? ", " : "", driver);
}

/* Caller frees. */
static char *file_now(const struct db_model *m, struct err *e)
{
	struct stat st;

	if (!catalog_check_file(m, e))
		return NULL;
	if (stat(m->path, &st) < 0) {
		(void)err_set(e, ERR_NOT_FOUND, "model '%s': no file '%s'", m->id, m->path);
		return NULL;
	}
	return mem_printf("%" PRId64 " %lld.%09ld %s", m->size_bytes, (long long)st.st_mtim.tv_sec,
			  st.st_mtim.tv_nsec, m->path);
}

/* Caller frees. */
static char *options_now(const struct db_model *m, bool gpu, struct err *e)
{
	CLEANUP(strv_done) struct strv args = {0};
	CLEANUP(buf_done) struct buf text = {0};

	if (!option_bench_args(m->options, gpu, &args, e))
		return NULL;
	for (size_t i = 0; i < args.count; i++)
		buf_printf(&text, "%s%s", i ? " " : "", args.items[i]);
	return buf_steal(&text);
}

bool bench_is_ready(struct switcher *sw, const struct db_model *m, const struct backend *b)
{
	CLEANUP(free) char *environment = switch_environment(m, b);
	struct err ignored = {0};

	return change_owns_devices(m, b, &ignored) && envs_ready(sw->s.envs, environment, b, NULL);
}

static bool require_ready(struct switcher *sw, const struct db_model *m, const char *environment,
			  const struct backend *b, struct db_env *ret, struct err *e)
{
	if (envs_ready(sw->s.envs, environment, b, ret))
		return true;
	(void)err_set(e, ERR_CONFLICT, "model '%s' has no %s environment that is ready", m->id,
		      b->name);
	return err_hint(e, "a benchmark builds nothing: shunt env create %s %s", m->id, b->name);
}

static bool fill(struct switcher *sw, const struct db_model *m, const struct backend *b,
		 struct db_env *env, struct db_bench *now, struct err *e)
{
	CLEANUP(env_run_done) struct env_run run = {0};

	if (!envs_run_facts(sw->s.envs, now->environment, &run, e))
		return false;
	now->name = mem_printf("%s/%s", m->id, b->name);
	now->model = mem_dup(m->id);
	now->backend = mem_dup(b->name);
	now->base_digest = STEAL(env->base_digest);
	now->module_digest = STEAL(env->module_digest);
	now->device = change_device(m, &run);
	now->driver = b->device_prefix ? driver_now(sw, now->device) : NULL;
	now->file = file_now(m, e);
	now->options = now->file ? options_now(m, b->device_prefix != NULL, e) : NULL;
	return now->options != NULL;
}

bool bench_now(struct switcher *sw, const struct db_model *m, const struct backend *b,
	       struct db_bench *ret, struct err *e)
{
	struct db_bench now = {.environment = switch_environment(m, b)};
	struct db_env env = {0};
	bool ok = change_owns_devices(m, b, e) &&
		  require_ready(sw, m, now.environment, b, &env, e) &&
		  fill(sw, m, b, &env, &now, e);

	db_env_done(&env);
	if (ok)
		*ret = now;
	else
		db_bench_done(&now);
	return ok;
}

bool bench_known(struct switcher *sw, const struct db_bench *now, struct db_bench *ret)
{
	struct db_bench *list = NULL;
	size_t count = 0;
	bool found = false;
	struct err ignored = {0}; /* what can't be read is measured again */

	if (!db_bench_list(sw->s.db, now->model, &list, &count, &ignored))
		return false;
	for (size_t i = 0; i < count && !found; i++) {
		found = strcmp(list[i].name, now->name) == 0 && !bench_differs(&list[i], now);
		if (found) {
			*ret = list[i];
			list[i] = (struct db_bench){0};
		}
	}
	db_benches_free(list, count);
	return found;
}

bool bench_possible(const struct db_model *m, struct err *e)
{
	struct option_facts facts = {.context_length = m->context_length, .mode = m->mode};
	const char *mode = option_mode(m->options, &facts);

	if (strcmp(mode, "chat") != 0) {
		(void)err_set(e, ERR_NOT_SUPPORTED,
			      "model '%s' has mode %s: a benchmark measures answers", m->id, mode);
		return err_hint(e, "choose its backend yourself: shunt switch %s cpu", m->id);
	}
	if (strchr(m->path, ',')) {
		(void)err_set(e, ERR_NOT_SUPPORTED,
			      "model '%s': llama-bench splits paths at a comma: '%s'", m->id,
			      m->path);
		return err_hint(e, "register it by a path without one, a link will do");
	}
	return true;
}

bool bench_nothing_ready(const struct db_model *m, struct err *e)
{
	(void)err_set(e, ERR_CONFLICT, "model '%s' has no environment that is ready", m->id);
	return err_hint(e, "shunt env create %s cpu (or vulkan, cuda, rocm)", m->id);
}
