/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/doctor_here.h"

#include <stdlib.h>
#include <string.h>

#include "api/doctor_answer.h"
#include "backend/sysfs.h"
#include "base/fs.h"
#include "base/mem.h"
#include "daemon/data_dir.h"
#include "engine/engine.h"

static bool open_engine(const struct config *c, struct engine **ret, struct err *e)
{
	CLEANUP(free) char *data = data_dir();
	const struct engine_settings s = {.data_dir = data,
					  .source = c->engine_source,
					  .cpu = c->engine_cpu,
					  .no_provision =
						  strcmp(c->toolkit_provision, "never") == 0,
					  .cache_dir = c->state_dir};

	return engine_open(&s, ret, e);
}

bool doctor_here(const struct config *c, const char *backend, json_t **ret, struct err *e)
{
	CLEANUP(free) char *self = fs_real("/proc/self/exe");
	CLEANUP(free) char *store = config_store_dir(c);
	CLEANUP(free) char *models = fs_join(c->state_dir, "models");
	CLEANUP(engine_free) struct engine *en = NULL;
	CLEANUP(strv_done) struct strv env = {0};
	CLEANUP(gpus_done) struct gpus g = {0};
	char compiler[ENGINE_COMPILER];
	struct doctor d = {.root = "",
			   .gpus = &g,
			   .ask = {.gpus = &g},
			   .store_dir = store,
			   .models_dir = models};

	if (backend && !backend_require(backend, &d.backend, e))
		return false;
	if (!open_engine(c, &en, e))
		return false;
	engine_base_needs(en, &d.base_disk_bytes, &d.base_memory_bytes);
	engine_ask(en, compiler, &d.ask);
	if (!config_variables(c->worker_env, &env, e))
		return err_wrap(e, "worker_env");
	d.worker_env = strv_items(&env);
	gpus_read(self, sysfs_root(), &g);
	*ret = doctor_answer(&d);
	return true;
}
