/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What answers hold, as tables for /openapi.json. The tests compare them with real answers. */

#include "api/field.h"

#define TASK_STATES "queued|running|succeeded|failed|cancelled"

extern const struct shape shape_error, shape_openai_error, shape_ollama_error, shape_options;

/* What an answer holds beside "success", one list each. */
extern const struct field answers_models[], answers_scan[], answers_model[], answers_model_patch[],
	answers_model_load[], answers_estimate[], answers_model_add[], answers_model_delete[],
	answers_health_model[], answers_task_id[], answers_benchmarks[], answers_switch[],
	answers_env_status[], answers_environments[], answers_environment[], answers_name[],
	answers_gc[], answers_backends[], answers_toolkit[], answers_doctor[], answers_hardware[],
	answers_tasks[], answers_task[], answers_health[], answers_version[], answers_openai_list[],
	answers_ollama_tags[], answers_ollama_ps[], answers_ollama_show[], answers_ollama_version[],
	answers_openai_model[];
