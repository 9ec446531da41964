/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "engine/python.h"
#include "env/env_devices.h"
#include "env/env_priv.h"
#include "env/env_python.h"

/* Compiled shaders and kernels last: the second start need not compile them again. And a home of
 * their own: llama-server takes options from <config home>/llama.cpp/config.ini, which are the
 * user's for other programs, and drivers and loaders look for settings there too. (There is no flag
 * against it; of /etc/llama.cpp/config.ini only what our arguments don't say can get through.) */
static const struct {
	const char *variable, *folder;
} folders[] = {
	{"MESA_SHADER_CACHE_DIR", "mesa"},         {"CUDA_CACHE_PATH", "cuda"},
	{"__GL_SHADER_DISK_CACHE_PATH", "nvidia"}, {"HOME", "home"},
	{"XDG_CONFIG_HOME", "home/.config"},       {"XDG_CACHE_HOME", "home/.cache"},
};

/* "K=V" in the place of an earlier K: programs take the first that they find. */
static void set(struct strv *environ, const char *setting)
{
	size_t key = strcspn(setting, "=") + 1;

	for (size_t i = 0; i < environ->count; i++) {
		if (strncmp(environ->items[i], setting, key) == 0) {
			free(environ->items[i]);
			environ->items[i] = mem_dup(setting);
			return;
		}
	}
	strv_add(environ, setting);
}

static void set_folders(struct envs *es, struct strv *environ)
{
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		CLEANUP(free) char *folder = fs_join(es->cache_dir, folders[i].folder);
		CLEANUP(free) char *setting = mem_printf("%s=%s", folders[i].variable, folder);
		struct err e = {0};

		if (!fs_mkdirs(folder, 0700, &e))
			log_warn("no folder for workers reason=\"%s\", continuing", e.msg);
		set(environ, setting);
	}
}

void env_run_fill(struct envs *es, const struct db_env *row, const struct backend *b,
		  struct env_run *ret)
{
	const char *const *own = es->s.worker_env;

	ret->name = mem_dup(row->name);
	ret->backend = b;
	ret->base_dir = store_path(es->s.store, row->base_digest);
	ret->device = mem_dup(b->device_prefix ? row->device : "none");
	if (env_server_usable(es, row)) {
		CLEANUP(free) char *piece = store_path(es->s.store, row->server_digest);

		ret->python = mem_printf("%s/%s/bin/python", es->envs_dir, row->name);
		ret->launcher = engine_python_launcher(es->s.engine);
		ret->packages = fs_join(piece, PYTHON_PIECE_FOLDER);
	}
	proc_clean_env(&ret->environ);
	set_folders(es, &ret->environ);
	for (; own && *own; own++)
		set(&ret->environ, *own);
	if (b->module) {
		CLEANUP(free) char *piece = store_path(es->s.store, row->module_digest);
		CLEANUP(free) char *setting = NULL;

		ret->module = fs_join(piece, b->module);
		setting = mem_printf("GGML_BACKEND_PATH=%s", ret->module);
		set(&ret->environ, setting);
	}
}

/* Its pieces are there and built, if not verified. */
static bool require_built(struct envs *es, const struct db_env *row, struct err *e)
{
	enum env_state state;

	if (!env_state_find(row->state, &state) || (state != ENV_READY && state != ENV_BUILT)) {
		(void)err_set(e, ERR_CONFLICT, "environment '%s' is %s, not ready%s%s", row->name,
			      row->state, row->reason ? ": " : "", row->reason ? row->reason : "");
		return err_hint(e, "switch the model to the backend again to build it");
	}
	if (!env_pieces_there(es, row)) {
		(void)err_set(e, ERR_CONFLICT, "environment '%s': its pieces are not in the store",
			      row->name);
		return err_hint(e, "switch the model to the backend again to build them");
	}
	return true;
}

/* One that is only built has no verified device yet: the first that is seen. */
static bool find_device(struct env_run *run, struct err *e)
{
	CLEANUP(free) struct env_device *list = NULL;
	size_t count = 0;

	if (run->device)
		return true;
	if (!env_devices_ask(run, NULL, NULL, &list, &count, e))
		return false;
	run->device = mem_dup(list[0].name);
	return true;
}

bool envs_run_facts(struct envs *es, const char *name, struct env_run *ret, struct err *e)
{
	CLEANUP(db_env_done) struct db_env row = {0};
	struct env_run run = {0};

	if (!db_env_get(es->s.db, name, &row, e) || !require_built(es, &row, e))
		return false;
	env_run_fill(es, &row, backend_find(row.backend), &run);
	if (!find_device(&run, e)) {
		env_run_done(&run);
		return err_wrap(e, "environment '%s'", name);
	}
	*ret = run;
	return true;
}

void env_run_done(struct env_run *r)
{
	free(r->name);
	free(r->base_dir);
	free(r->module);
	free(r->device);
	free(r->python);
	free(r->launcher);
	free(r->packages);
	strv_done(&r->environ);
	*r = (struct env_run){0};
}

bool envs_devices(struct envs *es, const char *name, struct env_device **ret, size_t *ret_count,
		  struct err *e)
{
	CLEANUP(db_env_done) struct db_env row = {0};
	CLEANUP(env_run_done) struct env_run run = {0};

	if (!db_env_get(es->s.db, name, &row, e) || !require_built(es, &row, e))
		return false;
	env_run_fill(es, &row, backend_find(row.backend), &run);
	return env_devices_ask(&run, NULL, NULL, ret, ret_count, e) ||
	       err_wrap(e, "environment '%s'", name);
}
