/* SPDX-License-Identifier: Apache-2.0 */
/* Every request that the API answers. The gateway's paths are in gateway_owns(). */

#include "api/handlers.h"

static const struct field backend_fields[] = {{"gpu_backend", FIELD_TEXT, true}, {0}};
static const struct field force_fields[] = {{"force", FIELD_BOOL, false}, {0}};
static const struct field dry_run_fields[] = {{"dry_run", FIELD_BOOL, false}, {0}};
static const struct field show_fields[] = {
	{"model", FIELD_TEXT, false},
	{"name", FIELD_TEXT, false},
	{"verbose", FIELD_BOOL, false},
	{0},
};
static const struct field switch_fields[] = {
	{"gpu_backend", FIELD_TEXT, true},
	{"reload", FIELD_TEXT | FIELD_BOOL, false},
	{"force", FIELD_BOOL, false},
	{0},
};
static const struct field scan_fields[] = {{"path", FIELD_TEXT, false}, {0}};
static const struct field add_fields[] = {
	{"path", FIELD_TEXT, false},
	{"pull", FIELD_TEXT, false},
	{"id", FIELD_TEXT, false},
	{"gpu_backend", FIELD_TEXT, false},
	{0},
};

#define M "/llm/api/models"
#define E "/llm/api/environments"
/* clang-format off */
const struct endpoint endpoint_table[] = {
	{"GET",    M,                               models_list,              NULL,             false},
	{"POST",   M,                               models_add,               add_fields,       true},
	{"POST",   M "/scan",                       models_scan,              scan_fields,      false},
	{"GET",    M "/loaded",                     models_loaded,            NULL,             false},
	{"GET",    M "/{id}",                       models_get,               NULL,             false},
	{"PATCH",  M "/{id}",                       models_patch,             NULL,             true},
	{"DELETE", M "/{id}",                       models_delete,            NULL,             false},
	{"POST",   M "/{id}/switch-backend",        model_switch_backend,     switch_fields,    false},
	{"POST",   M "/{id}/load",                  model_load,               NULL,             true},
	{"POST",   M "/{id}/unload",                model_unload,             force_fields,     false},
	{"POST",   M "/{id}/create-environment",    model_create_environment, backend_fields,   false},
	{"GET",    M "/{id}/environment-status",    model_environment_status, NULL,             false},
	{"DELETE", M "/{id}/delete-environment",    model_delete_environment, NULL,             false},
	{"GET",    M "/{id}/health",                models_health,            NULL,             false},
	{"GET",    M "/{id}/log",                   models_log,               NULL,             false},
	{"POST",   M "/{id}/benchmark",             not_supported,            NULL,             false},

	{"GET",    E,                               environments_list,        NULL,             false},
	{"POST",   E "/gc",                         environments_gc,          dry_run_fields,   false},
	{"GET",    E "/{name}",                     environments_get,         NULL,             false},
	{"DELETE", E "/{name}",                     environments_delete,      NULL,             false},
	{"POST",   "/llm/api/venv/{name}/rebuild",  environments_rebuild,     switch_fields,    false},

	{"GET",    "/llm/api/backends",             backends_get,             NULL,             false},
	{"POST",   "/llm/api/backends/refresh",     backends_refresh,         NULL,             false},
	{"GET",    "/llm/api/toolkit/check/{backend}", toolkit_check,         NULL,             false},
	{"GET",    "/llm/api/hardware/detect",      hardware_detect,          NULL,             false},
	{"GET",    "/llm/api/events",               events_all,               NULL,             false},

	{"GET",    "/tasks",                        tasks_get_list,           NULL,             false},
	{"GET",    "/tasks/{task}",                 tasks_get_one,            NULL,             false},
	{"GET",    "/tasks/{task}/log",             tasks_get_log,            NULL,             false},
	{"GET",    "/tasks/{task}/stream",          events_task,              NULL,             false},
	{"POST",   "/tasks/{task}/cancel",          tasks_post_cancel,        NULL,             false},

	{"GET",    "/health",                       system_health,            NULL,             false},
	{"GET",    "/version",                      system_version,           NULL,             false},
	{"GET",    "/metrics",                      system_metrics,           NULL,             false},
	{"GET",    "/openapi.json",                 not_supported,            NULL,             false},

	{"GET",    "/v1/models",                    models_openai,            NULL,             false},
	{"GET",    "/v1/models/{id}",               models_openai_one,        NULL,             false},

	{"GET",    "/api/tags",                     ollama_tags,              NULL,             false},
	{"GET",    "/api/ps",                       ollama_ps,                NULL,             false},
	{"GET",    "/api/version",                  ollama_version,           NULL,             false},
	{"POST",   "/api/show",                     ollama_show,              show_fields,      false},
	{0},
};
/* clang-format on */
