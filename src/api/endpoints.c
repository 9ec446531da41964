/* SPDX-License-Identifier: Apache-2.0 */
/* Every request that the API answers, checked and shown in /openapi.json as it stands here. The
 * gateway's paths are in gateway_paths(). */

#include "api/handlers.h"
#include "api/shapes.h"

/* clang-format off */

/* --- bodies and queries ------------------------------------------------- */

#define BACKEND_FIELD(need, help) FIELD("gpu_backend", FIELD_TEXT, need, help, .form = FORM_BACKEND)

static const struct field estimate_fields[] = {
	BACKEND_FIELD(false, "absent: the model's; its environment need not be there"),
	{0},
};
static const struct field force_fields[] = {
	FIELD("force", FIELD_BOOL, false, "does not wait for running requests", .fallback = "false"),
	{0},
};
static const struct field dry_run_fields[] = {
	FIELD("dry_run", FIELD_BOOL, false, "only tells what would go", .fallback = "false"),
	{0},
};
static const struct field show_fields[] = {
	FIELD("model", FIELD_TEXT, false, "which, by id or alias"),
	FIELD("name", FIELD_TEXT, false, "the same, as older clients say"),
	FIELD("verbose", FIELD_BOOL, false, "changes nothing"),
	{0},
};
static const struct field create_fields[] = {
	BACKEND_FIELD(true, "what to compute on"),
	FIELD("arch", FIELD_TEXT, false, "GPU architectures to build for, as 86,90; without: those of the GPUs here", .form = FORM_ARCH, .min = 2, .max = 100),
	FIELD("provision", FIELD_BOOL, false, "a compiler that is not installed may be fetched with pip", .fallback = "false"),
	{0},
};
static const struct field switch_fields[] = {
	FIELD("gpu_backend", FIELD_TEXT, true, "where the model goes; auto: to the fastest that is ready", .form = FORM_BACKEND_OR_AUTO),
	FIELD("reload", FIELD_TEXT | FIELD_BOOL, false, "auto: restart the worker of a loaded model; true: load it in any case; false: unload it", .choices = "auto", .fallback = "\"auto\""),
	FIELD("force", FIELD_BOOL, false, "ends another switch under way, and does not wait for running requests", .fallback = "false"),
	FIELD("arch", FIELD_TEXT, false, "GPU architectures to build for, as 86,90; without: those of the GPUs here", .form = FORM_ARCH, .min = 2, .max = 100),
	FIELD("provision", FIELD_BOOL, false, "a compiler that is not installed may be fetched with pip", .fallback = "false"),
	{0},
};
static const struct field rebuild_fields[] = {
	BACKEND_FIELD(true, "which it gets"),
	FIELD("reload", FIELD_TEXT | FIELD_BOOL, false, "auto: restart the worker of a loaded model; true: load it in any case; false: unload it", .choices = "auto", .fallback = "\"auto\""),
	FIELD("force", FIELD_BOOL, false, "ends another switch under way, and does not wait for running requests", .fallback = "false"),
	FIELD("arch", FIELD_TEXT, false, "GPU architectures to build for, as 86,90; without: those of the GPUs here", .form = FORM_ARCH, .min = 2, .max = 100),
	FIELD("provision", FIELD_BOOL, false, "a compiler that is not installed may be fetched with pip", .fallback = "false"),
	{0},
};
static const struct field benchmark_fields[] = {
	FIELD("backends", FIELD_LIST | FIELD_TEXT, false, "which; without any: all that are ready", .form = FORM_BACKEND),
	{0},
};
static const struct field scan_fields[] = {
	FIELD("path", FIELD_TEXT, false, "a folder; absent: where other programs keep models", .form = FORM_FOLDER),
	{0},
};
static const struct field add_fields[] = {
	FIELD("path", FIELD_TEXT, false, "a GGUF file that is here", .form = FORM_PATH, .instead = "pull"),
	FIELD("pull", FIELD_TEXT, false, "something to fetch: smollm2, or hf:OWNER/REPO[:QUANT]", .instead = "path", .min = 1, .max = 400),
	FIELD("id", FIELD_TEXT, false, "the model's name; else made from the file's", .form = FORM_ID),
	BACKEND_FIELD(false, "switch to it too"),
	{0},
};
static const struct field backend_query[] = {
	BACKEND_FIELD(true, "whose environment"),
	{0},
};
static const struct field doctor_query[] = {
	BACKEND_FIELD(false, "whose toolkit; absent: of all that fit this machine"),
	{0},
};
static const struct field delete_query[] = {
	FIELD("delete_file", FIELD_BOOL, false, "the file too, if Shunt pulled it and no other model uses it", .fallback = "false"),
	{0},
};
static const struct field wait_query[] = {
	FIELD("provision", FIELD_BOOL, false, "a compiler that is not installed may be fetched with pip", .fallback = "false"),
	FIELD("wait", FIELD_BOOL, false, "answer when it is loaded; false: at once", .fallback = "true"),
	{0},
};
static const struct field tasks_query[] = {
	FIELD("state", FIELD_TEXT, false, "only these", .choices = TASK_STATES),
	FIELD("model", FIELD_TEXT, false, "only of this model"),
	FIELD("limit", FIELD_INT, false, "at most so many", .min = 0, .max = 1000, .fallback = "100"),
	{0},
};
static const struct field log_query[] = {
	FIELD("offset", FIELD_INT, false, "bytes to leave out at the beginning", .min = 0, .max = 1LL << 52, .fallback = "0"),
	{0},
};
static const struct field events_query[] = {
	FIELD("Last-Event-ID", FIELD_TEXT, false, "the last event that the client has", .header = true),
	{0},
};

/* --- answers ------------------------------------------------------------ */

#define ANSWER(name, code, help, fields) static const struct answer name[] = {{code, help, fields, NULL, false, NULL, NULL}, {0}}
#define TEXT_ANSWER(name, help, type) static const struct answer name[] = {{200, help, NULL, type, false, NULL, NULL}, {0}}
#define TEXT_TYPE "text/plain; charset=utf-8"

ANSWER(models_answer, 200, "Models", answers_models);
ANSWER(scan_answer, 200, "What was found", answers_scan);
ANSWER(model_answer, 200, "The model", answers_model);
ANSWER(patch_answer, 200, "The merged model", answers_model_patch);
ANSWER(delete_answer, 200, "It is forgotten", answers_model_delete);
ANSWER(benchmark_answer, 202, "A task measures", answers_task_id);
ANSWER(benchmarks_answer, 200, "What was measured", answers_benchmarks);
ANSWER(estimate_answer, 200, "What it would take", answers_estimate);
ANSWER(switch_answer, 202, "A task does it", answers_switch);
ANSWER(model_health_answer, 200, "How its worker is", answers_health_model);
ANSWER(env_status_answer, 200, "One entry a backend", answers_env_status);
ANSWER(environments_answer, 200, "Environments", answers_environments);
ANSWER(environment_answer, 200, "The environment", answers_environment);
ANSWER(name_answer, 200, "It is removed", answers_name);
ANSWER(gc_answer, 200, "What nobody uses", answers_gc);
ANSWER(backends_answer, 200, "Backends", answers_backends);
ANSWER(toolkit_answer, 200, "What was found", answers_toolkit);
ANSWER(doctor_answers, 200, "What was found", answers_doctor);
ANSWER(hardware_answer, 200, "This machine", answers_hardware);
ANSWER(tasks_answer, 200, "Tasks", answers_tasks);
ANSWER(task_answer, 200, "The task", answers_task);
ANSWER(cancel_answer, 202, "It ends soon", answers_task);
ANSWER(health_answer, 200, "It is alive", answers_health);
ANSWER(version_answer, 200, "Versions", answers_version);
TEXT_ANSWER(text_answer, "Text", TEXT_TYPE);
TEXT_ANSWER(metrics_answer, "Prometheus' text format", "text/plain; version=0.0.4; charset=utf-8");
TEXT_ANSWER(openapi_answer, "This document", "application/json");
TEXT_ANSWER(events_answer, "Events, each a whole snapshot", "text/event-stream");
static const struct answer add_answer[] = {
	{201, "It is registered", answers_model_add, NULL, false, NULL, NULL},
	{202, "It is being fetched", answers_task_id, NULL, false, NULL, NULL},
	{0},
};
static const struct answer load_answer[] = {
	{200, "It is loaded", answers_model_load, NULL, false, NULL, NULL},
	{202, "It is being loaded", answers_task_id, NULL, false, NULL, NULL},
	{0},
};
static const struct answer log_answer[] = {
	{200, "The log from offset on", NULL, TEXT_TYPE, false, "X-Next-Offset", "the offset that goes on from here"},
	{0},
};
static const struct answer stream_answer[] = {
	{200, "Events, each a whole snapshot, to the task's end", NULL, "text/event-stream", false, NULL, NULL},
	{204, "The client has its last event", NULL, NULL, false, NULL, NULL},
	{0},
};
#define BARE_ANSWER(name, help, fields) static const struct answer name[] = {{200, help, fields, NULL, true, NULL, NULL}, {0}}
BARE_ANSWER(list_answer, "As OpenAI lists them", answers_openai_list);
BARE_ANSWER(one_answer, "As OpenAI lists it", answers_openai_model);
BARE_ANSWER(ollama_tags_answer, "As Ollama lists them", answers_ollama_tags);
BARE_ANSWER(ollama_ps_answer, "As Ollama lists them", answers_ollama_ps);
BARE_ANSWER(ollama_show_answer, "As Ollama tells", answers_ollama_show);
BARE_ANSWER(ollama_version_answer, "The version", answers_ollama_version);

/* --- the table ---------------------------------------------------------- */

#define M "/llm/api/models"
#define E "/llm/api/environments"
const struct endpoint endpoint_table[] = {
	{"GET",    M,                               models_list,              NULL,             false,
	 NULL, "listModels", "All registered models", models_answer, ""},
	{"POST",   M,                               models_add,               add_fields,       true,
	 NULL, "addModel", "Register a file, or fetch one", add_answer, "404 409 424 501 507"},
	{"POST",   M "/scan",                       models_scan,              scan_fields,      false,
	 NULL, "scanModels", "Register the GGUF files below a folder", scan_answer, "404"},
	{"GET",    M "/loaded",                     models_loaded,            NULL,             false,
	 NULL, "listLoadedModels", "The models that have a worker", models_answer, ""},
	{"GET",    M "/{id}",                       models_get,               NULL,             false,
	 NULL, "getModel", "One model", model_answer, ""},
	{"PATCH",  M "/{id}",                       models_patch,             NULL,             true,
	 NULL, "setOptions", "Change model options", patch_answer, "409 501"},
	{"DELETE", M "/{id}",                       models_delete,            NULL,             false,
	 delete_query, "deleteModel", "Stop its worker and forget it", delete_answer, "409"},
	{"POST",   M "/{id}/switch-backend",        model_switch_backend,     switch_fields,    false,
	 NULL, "switchBackend", "Move it to another backend, with no request lost", switch_answer, "409 424 507"},
	{"POST",   M "/{id}/load",                  model_load,               NULL,             true,
	 wait_query, "loadModel", "Start its worker; options are kept", load_answer, "409 424 501 502 507"},
	{"POST",   M "/{id}/estimate",              models_estimate,          estimate_fields,  true,
	 NULL, "estimateModel", "What a load would take, and whether it fits; nothing is kept or begun", estimate_answer, "409"},
	{"POST",   M "/{id}/unload",                model_unload,             force_fields,     false,
	 NULL, "unloadModel", "Stop its worker and free its memory", model_answer, "409"},
	{"POST",   M "/{id}/create-environment",    model_create_environment, create_fields,   false,
	 NULL, "createEnvironment", "Build its environment of a backend, without a switch", switch_answer, "409 424 507"},
	{"GET",    M "/{id}/environment-status",    model_environment_status, NULL,             false,
	 NULL, "getEnvironmentStatus", "Its environments, one entry a backend", env_status_answer, ""},
	{"DELETE", M "/{id}/delete-environment",    model_delete_environment, NULL,             false,
	 backend_query, "deleteModelEnvironment", "Remove its environment of a backend", name_answer, "409"},
	{"GET",    M "/{id}/health",                models_health,            NULL,             false,
	 NULL, "getModelHealth", "How its worker is", model_health_answer, ""},
	{"GET",    M "/{id}/log",                   models_log,               NULL,             false,
	 NULL, "getModelLog", "The end of what its worker printed, at most 256 KiB", text_answer, ""},
	{"GET",    M "/{id}/benchmark",             models_benchmarks,        NULL,             false,
	 NULL, "getBenchmarks", "How fast it was on each backend", benchmarks_answer, ""},
	{"POST",   M "/{id}/benchmark",             models_benchmark,         benchmark_fields, false,
	 NULL, "benchmarkModel", "Measure how fast it is on backends that are ready", benchmark_answer, "409 501"},

	{"GET",    E,                               environments_list,        NULL,             false,
	 NULL, "listEnvironments", "All environments", environments_answer, ""},
	{"POST",   E "/gc",                         environments_gc,          dry_run_fields,   false,
	 NULL, "collectGarbage", "Remove the builds that nobody uses", gc_answer, ""},
	{"GET",    E "/{name}",                     environments_get,         NULL,             false,
	 NULL, "getEnvironment", "One environment", environment_answer, ""},
	{"DELETE", E "/{name}",                     environments_delete,      NULL,             false,
	 NULL, "deleteEnvironment", "Remove an environment that no model uses", name_answer, "409"},
	{"POST",   "/llm/api/venv/{name}/rebuild",  environments_rebuild,     rebuild_fields,   false,
	 NULL, "rebuildEnvironment", "Give a named environment a backend, for all its models", switch_answer, "409 424 507"},

	{"GET",    "/llm/api/backends",             backends_get,             NULL,             false,
	 NULL, "listBackends", "What can be built and run here; found out once", backends_answer, ""},
	{"POST",   "/llm/api/backends/refresh",     backends_refresh,         NULL,             false,
	 NULL, "refreshBackends", "Find it out again", backends_answer, ""},
	{"GET",    "/llm/api/toolkit/check/{backend}", toolkit_check,         NULL,             false,
	 NULL, "checkToolkit", "What a backend needs and what was found", toolkit_answer, ""},
	{"GET",    "/llm/api/doctor",               doctor_get,               NULL,             false,
	 doctor_query, "examineMachine", "What is wrong here, and what mends it", doctor_answers, ""},
	{"GET",    "/llm/api/hardware/detect",      hardware_detect,          NULL,             false,
	 NULL, "detectHardware", "CPU, memory, GPUs", hardware_answer, ""},
	{"GET",    "/llm/api/events",               events_all,               NULL,             false,
	 events_query, "streamEvents", "Models and tasks, whenever something changes", events_answer, ""},

	{"GET",    "/tasks",                        tasks_get_list,           NULL,             false,
	 tasks_query, "listTasks", "Tasks, newest first", tasks_answer, ""},
	{"GET",    "/tasks/{task}",                 tasks_get_one,            NULL,             false,
	 NULL, "getTask", "One task", task_answer, ""},
	{"GET",    "/tasks/{task}/log",             tasks_get_log,            NULL,             false,
	 log_query, "getTaskLog", "Its log, compilation and all", log_answer, ""},
	{"GET",    "/tasks/{task}/stream",          events_task,              NULL,             false,
	 events_query, "streamTask", "One task as it changes", stream_answer, ""},
	{"POST",   "/tasks/{task}/cancel",          tasks_post_cancel,        NULL,             false,
	 NULL, "cancelTask", "End it, and undo what it was doing", cancel_answer, "409"},

	{"GET",    "/health",                       system_health,            NULL,             false,
	 NULL, "getHealth", "Is the daemon alive?", health_answer, ""},
	{"GET",    "/version",                      system_version,           NULL,             false,
	 NULL, "getVersion", "Version of Shunt and of the engine", version_answer, ""},
	{"GET",    "/metrics",                      system_metrics,           NULL,             false,
	 NULL, "getMetrics", "Numbers for Prometheus", metrics_answer, ""},
	{"GET",    "/openapi.json",                 system_openapi,           NULL,             false,
	 NULL, "getOpenapi", "OpenAPI 3.1 of all of this", openapi_answer, ""},

	{"GET",    "/v1/models",                    models_openai,            NULL,             false,
	 NULL, "listOpenaiModels", "The registered models", list_answer, ""},
	{"GET",    "/v1/models/{id}",               models_openai_one,        NULL,             false,
	 NULL, "getOpenaiModel", "One of them", one_answer, ""},

	{"GET",    "/api/tags",                     ollama_tags,              NULL,             false,
	 NULL, "listOllamaModels", "The registered models by id and alias", ollama_tags_answer, ""},
	{"GET",    "/api/ps",                       ollama_ps,                NULL,             false,
	 NULL, "listRunningOllamaModels", "The loaded ones", ollama_ps_answer, ""},
	{"GET",    "/api/version",                  ollama_version,           NULL,             false,
	 NULL, "getOllamaVersion", "Version of Shunt", ollama_version_answer, ""},
	{"POST",   "/api/show",                     ollama_show,              show_fields,      false,
	 NULL, "showOllamaModel", "One of them", ollama_show_answer, "404"},
	{0},
};
/* clang-format on */
