/* SPDX-License-Identifier: Apache-2.0 */
#include "api/shapes_priv.h"

#define MODEL_STATES "unloaded|loading|loaded|switching|unloading|failed"

/* clang-format off */

/* --- errors ------------------------------------------------------------- */

static const struct field error_fields[] = {
	FIELD("type", TEXT, true, "what kind of error it is"),
	FIELD("message", TEXT, true, "names the thing and the cause"),
	FIELD("hint", TEXT, true, "the remedy; empty when there is none"),
	{0},
};
static const struct shape error_inner = {"ErrorDetail", "What went wrong", error_fields, false};
static const struct field error_outer[] = {
	FIELD("success", BOOL, true, "false"),
	OBJECT_FIELD("error", true, "what went wrong", error_inner),
	{0},
};
const struct shape shape_error = {"Error", "An error", error_outer, false};

static const struct field openai_fields[] = {
	FIELD("message", TEXT, true, "names the thing, the cause and the remedy"),
	FIELD("type", TEXT, true, "as OpenAI names it"),
	FIELD("param", TEXT_NULL, true, "the field that it is about"),
	FIELD("code", TEXT_NULL, true, "Shunt's name of the error"),
	{0},
};
static const struct shape openai_inner = {"OpenAIErrorDetail", "What went wrong", openai_fields, false};
static const struct field openai_outer[] = {
	OBJECT_FIELD("error", true, "what went wrong", openai_inner),
	{0},
};
const struct shape shape_openai_error = {"OpenAIError", "An error in OpenAI's form", openai_outer, false};

static const struct field ollama_fields[] = {FIELD("error", TEXT, true, "what went wrong"), {0}};
const struct shape shape_ollama_error = {"OllamaError", "An error in Ollama's form", ollama_fields, false};

/* --- models ------------------------------------------------------------- */

const struct shape shape_options = {"ModelOptions", "Options of a model; null takes one back to its default", NULL, true};

static const struct field worker_fields[] = {
	FIELD("pid", INT, true, "process"),
	FIELD("state", TEXT, true, "of the process", .choices = "starting|running|stopping|failing|down"),
	FIELD("backend", TEXT, true, "what it computes on", .choices = BACKENDS),
	FIELD("environment", TEXT, true, "what it runs in"),
	FIELD("device", TEXT, true, "\"none\": the CPU; several: CUDA0,CUDA1"),
	TIME_FIELD("started", true, "when it started"),
	FIELD("gpu_layers", FIELD_INT | FIELD_NULL, true, "layers on the device, the output counted; null: it is on the CPU, or did not say"),
	FIELD("layers", FIELD_INT | FIELD_NULL, true, "of so many"),
	FIELD("memory_bytes", INT, true, "RAM that it takes now"),
	FIELD("slots", INT, true, "answers at once"),
	FIELD("requests", INT, true, "that it answers now"),
	FIELD("waiting", INT, true, "that wait for it"),
	{0},
};
static const struct shape worker_shape = {"Worker", "The process that answers for a model", worker_fields, false};
#define WORKER_FIELD FIELD("worker", FIELD_OBJECT | FIELD_NULL, true, "null: none", .shape = &worker_shape)

static const struct field model_fields[] = {
	FIELD("id", TEXT, true, "its name", .form = FORM_ID),
	FIELD("path", TEXT, true, "the GGUF file", .form = FORM_PATH),
	FIELD("size_bytes", INT, true, "of the file"),
	FIELD("sha256", TEXT, false, "of a pulled one"),
	FIELD("name", TEXT_NULL, true, "as the file says"),
	FIELD("architecture", TEXT_NULL, true, "as the file says"),
	FIELD("quantization", TEXT_NULL, true, "as the file says"),
	FIELD("parameters", INT, true, "how many"),
	FIELD("context_length", INT, true, "tokens that it was trained with"),
	FIELD("mode", TEXT_NULL, true, "what the file is for", .choices = "chat|embedding|rerank"),
	FIELD("capabilities", FIELD_LIST | TEXT, true, "what it can do", .choices = "chat|embedding|rerank|vision|audio"),
	FIELD("gpu_backend", TEXT_NULL, true, "null: none chosen yet", .choices = BACKENDS),
	FIELD("environment", TEXT_NULL, true, "which it uses"),
	FIELD("runtime", TEXT, true, "what runs it", .choices = "server|python"),
	FIELD("pulled", BOOL, true, "Shunt fetched it"),
	TIME_FIELD("created", true, "when it was added"),
	OBJECT_FIELD("options", true, "what was set", shape_options),
	FIELD("state", TEXT, true, "what it is doing", .choices = MODEL_STATES),
	FIELD("reason", TEXT, false, "why it failed"),
	FIELD("was_loaded", BOOL, false, "it was loaded when the daemon last stopped or died"),
	FIELD("task_id", TEXT, false, "the task that changes it", .form = FORM_TASK),
	WORKER_FIELD,
	{0},
};
static const struct shape model_shape = {"Model", "A registered GGUF file", model_fields, false};

const struct field answers_models[] = {LIST_FIELD("models", "in the order of their ids", model_shape), {0}};
static const struct field found_fields[] = {
	FIELD("path", TEXT, true, "the file"),
	FIELD("id", TEXT, true, "the model", .form = FORM_ID),
	{0},
};
static const struct shape found_shape = {"FoundModel", "A file that is a model", found_fields, false};
static const struct field skipped_fields[] = {
	FIELD("path", TEXT, true, "the file or folder"),
	FIELD("reason", TEXT, true, "why it is no model"),
	{0},
};
static const struct shape skipped_shape = {"SkippedFile", "A file that is no model", skipped_fields, false};
const struct field answers_scan[] = {
	LIST_FIELD("added", "models that are new", found_shape),
	LIST_FIELD("known", "models that were there", found_shape),
	LIST_FIELD("skipped", "what is no model", skipped_shape),
	FIELD("folders", FIELD_LIST | TEXT, true, "where it looked"),
	FIELD("whole", BOOL, true, "it looked everywhere; false: there is more"),
	{0},
};
const struct field answers_model[] = {OBJECT_FIELD("model", true, "as it is now", model_shape), {0}};
const struct field answers_model_patch[] = {
	OBJECT_FIELD("model", true, "as it is now", model_shape),
	FIELD("needs_reload", FIELD_LIST | TEXT, true, "options that wait for the next load"),
	{0},
};
#define TASK_FIELD(need) FIELD("task_id", TEXT, need, "GET /tasks/{task} follows it", .form = FORM_TASK)
const struct field answers_task_id[] = {TASK_FIELD(true), {0}};
static const struct field bench_fields[] = {
	FIELD("gpu_backend", TEXT, true, "what it was measured on", .choices = BACKENDS),
	FIELD("environment", TEXT, true, "in which"),
	FIELD("base_digest", TEXT, true, "build of llama.cpp"),
	FIELD("module_digest", TEXT_NULL, true, "build of the backend's part"),
	FIELD("device", TEXT, true, "\"none\": the CPU; several: CUDA0,CUDA1"),
	FIELD("driver", TEXT_NULL, true, "as the kernel tells"),
	FIELD("prompt_tokens_per_second", NUMBER, true, "that it reads"),
	FIELD("answer_tokens_per_second", NUMBER, true, "that it writes"),
	FIELD("seconds", NUMBER, true, "for 1024 tokens of prompt and 256 of answer"),
	TIME_FIELD("at", true, "when"),
	FIELD("stale", TEXT_NULL, true, "why it is not to be used any more; null: it holds"),
	{0},
};
static const struct shape bench_shape = {"Benchmark", "How fast a model was on a backend", bench_fields, false};
const struct field answers_benchmarks[] = {LIST_FIELD("benchmarks", "one a backend", bench_shape), {0}};
static const struct field place_fields[] = {
	FIELD("place", TEXT, true, "a device, or RAM"),
	FIELD("weights_bytes", INT, true, "of the model; in RAM also pages of its file"),
	FIELD("cache_bytes", INT, true, "what conversations live in"),
	FIELD("compute_bytes", INT, true, "what computing takes"),
	FIELD("other_bytes", INT, true, "of the driver; in RAM of the process"),
	FIELD("bytes", INT, true, "all of it"),
	FIELD("free_bytes", FIELD_INT | FIELD_NULL, true, "now; null: nobody tells"),
	{0},
};
static const struct shape place_shape = {"EstimatedMemory", "What is needed of one memory", place_fields, false};
static const struct field estimate_fields[] = {
	FIELD("gpu_backend", TEXT, true, "what it would compute on", .choices = BACKENDS),
	FIELD("device", TEXT, true, "\"none\": the CPU"),
	FIELD("environment_ready", BOOL, true, "it could start at once"),
	FIELD("by", TEXT, true, "measured: at the last load with these options; calibrated: with others; estimated: not loaded there yet", .choices = "measured|calibrated|estimated"),
	FIELD("fits", FIELD_BOOL | FIELD_NULL, true, "beside all that runs now, with a margin; null: what is free is not known"),
	FIELD("why", TEXT, true, "in a sentence"),
	FIELD("gpu_layers", FIELD_INT | FIELD_NULL, true, "layers on the device, the output counted; null: the CPU computes"),
	FIELD("layers", FIELD_INT | FIELD_NULL, true, "of so many"),
	FIELD("shared", BOOL, true, "the device's memory is RAM: RAM has its bytes too"),
	LIST_FIELD("memory", "the device, if there is one, and RAM", place_shape),
	{0},
};
static const struct shape estimate_shape = {"Estimate", "What a load would take", estimate_fields, false};
const struct field answers_estimate[] = {OBJECT_FIELD("estimate", true, "of a load that was not begun", estimate_shape), {0}};
const struct field answers_model_load[] = {
	OBJECT_FIELD("model", true, "loaded", model_shape),
	TASK_FIELD(true),
	{0},
};
const struct field answers_model_add[] = {
	OBJECT_FIELD("model", true, "as it is now", model_shape),
	TASK_FIELD(false),
	FIELD("environment", TEXT, false, "which is made for the backend"),
	{0},
};
const struct field answers_model_delete[] = {
	FIELD("id", TEXT, true, "what was forgotten", .form = FORM_ID),
	FIELD("file_deleted", BOOL, true, "the file is gone too"),
	{0},
};
const struct field answers_switch[] = {
	TASK_FIELD(true),
	FIELD("instant_switch", BOOL, true, "everything is built and verified"),
	FIELD("message", TEXT, true, "for people"),
	FIELD("environment", TEXT_NULL, true, "which is made or switched to; null: measuring tells"),
	{0},
};
const struct field answers_health_model[] = {
	FIELD("id", TEXT, true, "the model", .form = FORM_ID),
	FIELD("state", TEXT, true, "what it is doing", .choices = MODEL_STATES),
	FIELD("healthy", BOOL, true, "its worker answers"),
	FIELD("reason", TEXT, true, "why it failed; empty when it did not"),
	WORKER_FIELD,
	FIELD("device", TEXT_NULL, true, "several: CUDA0,CUDA1; null: no worker"),
	FIELD("memory_bytes", INT, true, "RAM of its worker, and what it has on GPUs"),
	FIELD("device_memory_bytes", INT, true, "on GPUs: as their drivers count it, else as the worker said when it loaded"),
	FIELD("requests_in_flight", INT, true, "that are answered now"),
	FIELD("requests_waiting", INT, true, "that wait"),
	FIELD("requests_total", INT, true, "given to workers since the daemon started"),
	FIELD("tokens_per_second", FIELD_NUMBER | FIELD_NULL, true, "of the last answers; null: none yet"),
	{0},
};

/* --- environments ------------------------------------------------------- */

static const struct field digest_fields[] = {
	FIELD("base", TEXT_NULL, true, "the server and the CPU's part"),
	FIELD("module", TEXT_NULL, true, "the backend's part"),
	FIELD("libraries", TEXT_NULL, true, "what the module runs with, where it is not the system's"),
	FIELD("python", TEXT_NULL, true, "llama-cpp-python"),
	FIELD("python_server", TEXT_NULL, true, "what the runtime python needs besides"),
	{0},
};
static const struct shape digest_shape = {"Digests", "Builds in the store", digest_fields, false};
static const struct field verification_fields[] = {
	FIELD("device", TEXT_NULL, true, "as llama.cpp names it"),
	FIELD("device_name", TEXT_NULL, true, "as people name it"),
	TIME_FIELD("at", true, "when"),
	{0},
};
static const struct shape verification_shape = {"Verification", "A real answer was generated", verification_fields, false};
static const struct field python_fields[] = {
	FIELD("version", TEXT_NULL, true, "of Python"),
	FIELD("path", TEXT_NULL, true, "its program"),
	FIELD("why_not", TEXT_NULL, true, "why there is none"),
	{0},
};
static const struct shape python_shape = {"Python", "llama-cpp-python in the environment", python_fields, false};
#define ENV_FIELDS                                                                          \
	FIELD("name", TEXT, true, "llm_MODEL_BACKEND"),                                          \
	FIELD("backend", TEXT, true, "what it computes on", .choices = BACKENDS),                \
	FIELD("reason", TEXT_NULL, true, "why it failed"),                                       \
	FIELD("path", TEXT_NULL, true, "its folder"),                                            \
	OBJECT_FIELD("digests", true, "its builds", digest_shape),                          \
	FIELD("arch", TEXT_NULL, true, "it was to be built for; null: the GPUs that are here"),  \
	FIELD("size_bytes", INT, true, "of its builds, which others may share"),                 \
	FIELD("verification", FIELD_OBJECT | FIELD_NULL, true, "null: not yet",                  \
	 .shape = &verification_shape),                                                     \
	OBJECT_FIELD("python", true, "for scripts", python_shape),                                \
	TIME_FIELD("created", true, "when")
static const struct field env_fields[] = {
	ENV_FIELDS,
	FIELD("state", TEXT, true, "how far it is", .choices = "planned|building|built|ready|failed"),
	FIELD("models", FIELD_LIST | TEXT, true, "that use it"),
	{0},
};
static const struct shape env_shape = {"Environment", "What models run in", env_fields, false};
static const struct field status_fields[] = {
	ENV_FIELDS,
	FIELD("state", TEXT, true, "how far it is", .choices = "absent|planned|building|built|ready|failed"),
	FIELD("gpu_backend", TEXT, true, "what it computes on", .choices = BACKENDS),
	FIELD("ready", BOOL, true, "a switch is instant"),
	FIELD("active", BOOL, true, "the model uses it"),
	{0},
};
static const struct shape status_shape = {"EnvironmentStatus", "A model's environment of one backend", status_fields, false};

const struct field answers_env_status[] = {LIST_FIELD("environments", "one a backend", status_shape), {0}};
const struct field answers_environments[] = {LIST_FIELD("environments", "all", env_shape), {0}};
const struct field answers_environment[] = {OBJECT_FIELD("environment", true, "as it is now", env_shape), {0}};
const struct field answers_name[] = {FIELD("name", TEXT, true, "what was removed"), {0}};

static const struct field piece_fields[] = {
	FIELD("digest", TEXT, true, "of all that went into it"),
	FIELD("kind", TEXT, true, "base, module …; stage: an interrupted build"),
	FIELD("size_bytes", INT, true, "on the disk"),
	{0},
};
static const struct shape piece_shape = {"Piece", "A build in the store", piece_fields, false};
const struct field answers_gc[] = {
	FIELD("dry_run", BOOL, true, "nothing was removed"),
	LIST_FIELD("removed", "what went, or would go", piece_shape),
	FIELD("size_bytes", INT, true, "of all of it"),
	{0},
};

/* --- tasks -------------------------------------------------------------- */

static const struct field task_fields[] = {
	FIELD("id", TEXT, true, "16 hexadecimal digits", .form = FORM_TASK),
	FIELD("kind", TEXT, true, "switch, load, pull …"),
	FIELD("state", TEXT, true, "how far it is", .choices = TASK_STATES),
	FIELD("model", TEXT_NULL, true, "which it is about"),
	FIELD("environment", TEXT_NULL, true, "which it is about"),
	FIELD("gpu_backend", TEXT_NULL, true, "which it is about"),
	FIELD("step", TEXT_NULL, true, "what it does now"),
	FIELD("step_n", INT, true, "number of the step"),
	FIELD("step_count", INT, true, "how many there are"),
	FIELD("percent", NUMBER, true, "of the whole"),
	FIELD("done", BOOL, true, "what was asked for is; extra steps may still run"),
	FIELD("message", TEXT_NULL, true, "for people"),
	FIELD("error", FIELD_OBJECT | FIELD_NULL, true, "of a failed one", .shape = &error_inner),
	FIELD("result", FIELD_OBJECT | FIELD_NULL, true, "what its kind tells at the end"),
	TIME_FIELD("created", true, "when"),
	TIME_FIELD("started", true, "when"),
	TIME_FIELD("finished", true, "when"),
	FIELD("log_tail", TEXT, false, "the end of its log, where one task is asked for"),
	{0},
};
static const struct shape task_shape = {"Task", "Work that takes time", task_fields, false};
const struct field answers_tasks[] = {LIST_FIELD("tasks", "newest first", task_shape), {0}};
const struct field answers_task[] = {OBJECT_FIELD("task", true, "as it is now", task_shape), {0}};

/* --- the daemon, OpenAI's lists ----------------------------------------- */

const struct field answers_health[] = {
	FIELD("status", TEXT, true, "ok"),
	FIELD("version", TEXT, true, "of Shunt"),
	FIELD("uptime_ms", INT, true, "since the start"),
	{0},
};
const struct field answers_version[] = {
	FIELD("version", TEXT, true, "of Shunt"),
	FIELD("engine", TEXT, true, "the release of llama-cpp-python whose llama.cpp is built"),
	{0},
};
static const struct field meta_fields[] = {
	FIELD("n_ctx_train", INT, true, "tokens that it was trained with"),
	FIELD("n_params", INT, true, "parameters"),
	FIELD("size", INT, true, "bytes of the file"),
	{0},
};
static const struct shape meta_shape = {"OpenAIModelMeta", "As llama-server tells it", meta_fields, false};
const struct field answers_openai_model[] = {
	FIELD("id", TEXT, true, "for the field model", .form = FORM_ID),
	FIELD("object", TEXT, true, "model"),
	FIELD("created", INT, true, "seconds since 1970"),
	FIELD("owned_by", TEXT, true, "shunt"),
	OBJECT_FIELD("meta", true, "of the file", meta_shape),
	{0},
};
static const struct shape openai_model = {"OpenAIModel", "A model as OpenAI lists it", answers_openai_model, false};
const struct field answers_openai_list[] = {
	FIELD("object", TEXT, true, "list"),
	LIST_FIELD("data", "the registered models", openai_model),
	{0},
};

/* --- Ollama's ----------------------------------------------------------- */

static const struct field detail_fields[] = {
	FIELD("parent_model", TEXT, true, "empty"),
	FIELD("format", TEXT, true, "gguf"),
	FIELD("family", TEXT_NULL, true, "as the file says"),
	FIELD("families", FIELD_LIST | TEXT_NULL, true, "the same in a list"),
	FIELD("parameter_size", TEXT, true, "135.0M"),
	FIELD("quantization_level", TEXT_NULL, true, "Q4_1"),
	{0},
};
static const struct shape detail_shape = {"OllamaDetails", "Facts of a model", detail_fields, false};
#define OLLAMA_FIELDS                                                     \
	FIELD("name", TEXT, true, "for the field model"),                 \
	FIELD("model", TEXT, true, "the same"),                           \
	TIME_FIELD("modified_at", true, "when it was added"),             \
	FIELD("size", INT, true, "bytes of the file, or of its worker"),  \
	FIELD("digest", TEXT, true, "SHA-256 of a pulled one"),           \
	OBJECT_FIELD("details", true, "facts", detail_shape)
static const struct field tag_fields[] = {OLLAMA_FIELDS, {0}};
static const struct shape tag_shape = {"OllamaModel", "A model as Ollama lists it", tag_fields, false};
const struct field answers_ollama_tags[] = {LIST_FIELD("models", "by id and alias", tag_shape), {0}};
static const struct field running_fields[] = {
	OLLAMA_FIELDS,
	FIELD("size_vram", INT, true, "bytes on a GPU"),
	FIELD("expires_at", TEXT_NULL, true, "null: not known"),
	FIELD("context_length", INT, true, "tokens that a conversation may use"),
	{0},
};
static const struct shape running_shape = {"RunningOllamaModel", "A loaded model as Ollama lists it", running_fields, false};
const struct field answers_ollama_ps[] = {LIST_FIELD("models", "that are loaded", running_shape), {0}};
const struct field answers_ollama_show[] = {
	FIELD("modelfile", TEXT, true, "where the file is"),
	FIELD("parameters", TEXT, true, "empty"),
	FIELD("template", TEXT, true, "empty"),
	OBJECT_FIELD("details", true, "facts", detail_shape),
	FIELD("model_info", FIELD_OBJECT, true, "facts by their names in the file"),
	FIELD("capabilities", FIELD_LIST | TEXT, true, "what it can do"),
	TIME_FIELD("modified_at", true, "when it was added"),
	{0},
};
const struct field answers_ollama_version[] = {FIELD("version", TEXT, true, "of Shunt"), {0}};
