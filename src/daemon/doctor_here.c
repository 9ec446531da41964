/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/doctor_here.h"

#include <stdlib.h>

#include "api/doctor_answer.h"
#include "base/fs.h"
#include "base/mem.h"
#include "daemon/data_dir.h"
#include "engine/engine.h"

static bool base_needs(const struct config *c, struct doctor *d, struct err *e)
{
	CLEANUP(free) char *data = data_dir();
	CLEANUP(engine_free) struct engine *en = NULL;
	const struct engine_settings s = {.data_dir = data,
					  .source = c->engine_source,
					  .cpu = c->engine_cpu,
					  .cache_dir = c->state_dir};

	if (!engine_open(&s, &en, e))
		return false;
	engine_base_needs(en, &d->base_disk_bytes, &d->base_memory_bytes);
	return true;
}

bool doctor_here(const struct config *c, const char *backend, json_t **ret, struct err *e)
{
	const char *sys = getenv("SYSFS_PATH"); /* as the daemon has it */
	CLEANUP(free) char *self = fs_real("/proc/self/exe");
	CLEANUP(free) char *store = config_store_dir(c);
	CLEANUP(free) char *models = fs_join(c->state_dir, "models");
	CLEANUP(gpus_done) struct gpus g = {0};
	struct doctor d = {.root = "", .gpus = &g, .store_dir = store, .models_dir = models};

	if (backend && !backend_require(backend, &d.backend, e))
		return false;
	if (!base_needs(c, &d, e))
		return false;
	gpus_read(self, sys ? sys : "/sys", &g);
	*ret = doctor_answer(&d);
	return true;
}
