/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the rows of endpoints.c point to, by noun, and the JSON of each noun. */

#include "api/call.h"

extern const struct endpoint endpoint_table[];

typedef bool handler(struct call *c, struct err *e);

/* api_models.c, model_health.c, openai_models.c */
handler models_list, models_loaded, models_get, models_patch, models_delete, models_health,
	models_log, models_openai, models_openai_one;
json_t *worker_json(const struct model_live *live); /* null: none */
json_t *model_json(struct api *a, const struct db_model *m);
json_t *models_json(struct api *a, bool loaded_only, struct err *e); /* NULL: failed */
/* The row, known to the switcher (a pull may have just ended). */
MUST_CHECK bool model_require(struct api *a, const char *id, struct db_model *ret, struct err *e);
/* A model row appeared: route and live state for it, once. */
void model_ensure(struct api *a, const char *id);
/* What of the body are options of the model. */
json_t *model_options_of(const struct call *c);
/* Is the mmproj among them a projector? */
MUST_CHECK bool model_check_projector(const json_t *changes, struct err *e);
/* Merges options into a model's row; *ret_old (may be NULL): the text before, caller frees. */
MUST_CHECK bool model_merge_options(struct api *a, const char *id, const json_t *changes,
				    char **ret_old, struct err *e);

/* model_estimate.c */
handler models_estimate;

/* model_bench.c */
handler models_benchmark, models_benchmarks;

/* model_add.c; pulls.c goes on when a pull is done */
handler models_add;
bool pulls_follow(struct api *a, const char *task, const char *backend, const json_t *options,
		  struct err *e);
void pulls_free(struct pulls *p);

/* model_scan.c */
handler models_scan;

/* model_change.c; environments_rebuild too: its answer is a switch's */
handler model_switch_backend, model_load, model_unload, model_create_environment,
	environments_rebuild;

/* api_environments.c */
handler model_environment_status, model_delete_environment, environments_list, environments_get,
	environments_delete, environments_gc;

/* api_tasks.c */
handler tasks_get_list, tasks_get_one, tasks_get_log, tasks_post_cancel;
json_t *task_json(struct api *a, const struct db_task *t, bool with_log);
json_t *tasks_json(struct api *a, const char *state, const char *model, int limit, struct err *e);
MUST_CHECK bool task_require(const char *id, struct err *e);

/* api_events.c */
handler events_all, events_task;

/* api_backends.c */
handler backends_get, backends_refresh, toolkit_check;
struct backend_devices {
	struct env_device *list; /* caller frees */
	size_t count;
	bool asked;        /* a module there is */
	char why_not[512]; /* why there are none; "": there are, or the backend has no devices */
	char driver[96];   /* what the toolkit check found of it; "": nothing */
};
/* Devices as the module of a ready environment sees them. */
void backend_devices(struct api *a, const struct backend *b, struct backend_devices *ret);

/* api_hardware.c */
handler hardware_detect;
/* The GPUs, with what the modules of ready environments call them; the result: why a backend's
 * module shows none, by its name. Caller frees both. */
json_t *gpus_seen(struct api *a, struct gpus *ret);
/* Memory that a worker has on GPUs: as the driver counts it, where it does, else what the worker
 * said when it loaded. */
int64_t worker_device_bytes(struct api *a, const struct worker *w);

/* api_doctor.c */
handler doctor_get;

/* ollama_models.c */
handler ollama_tags, ollama_ps, ollama_show, ollama_version;

/* system.c */
handler system_health, system_version, system_metrics, system_openapi;
