/* SPDX-License-Identifier: Apache-2.0 */
/* status: models, workers and running tasks on one screen. */

#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/term.h"

static enum tint tint_of(const char *state)
{
	if (strcmp(state, "loaded") == 0)
		return TINT_GOOD;
	if (strcmp(state, "failed") == 0)
		return TINT_BAD;
	return strcmp(state, "unloaded") == 0 ? TINT_DIM : TINT_WARN;
}

static void add_model(struct term_table *t, const json_t *m)
{
	const json_t *worker = json_object_get(m, "worker");
	const char *backend = client_text(m, "gpu_backend"), *state = client_text(m, "state");
	bool was_loaded = json_is_true(json_object_get(m, "was_loaded"));
	char memory[32] = "", requests[32] = "", shown[64], size[32], device[64];

	(void)snprintf(shown, sizeof(shown), "%s%s", state, was_loaded ? ", was loaded" : "");
	if (json_is_object(worker)) {
		term_size(client_int(worker, "memory_bytes"), memory, sizeof(memory));
		(void)snprintf(requests, sizeof(requests), "%lld",
			       (long long)client_int(worker, "requests"));
	}
	term_row(t, client_text(m, "id"), TINT_BOLD, backend[0] ? backend : "-", TINT_NONE, shown,
		 tint_of(state), client_place(worker, device, sizeof(device)), TINT_NONE, memory,
		 TINT_NONE, requests, TINT_NONE,
		 term_size(client_int(m, "size_bytes"), size, sizeof(size)), TINT_DIM);
}

static void print_models(const json_t *models)
{
	CLEANUP(term_table_done) struct term_table t = {.columns = 7};
	size_t i;
	json_t *m;

	if (json_array_size(models) == 0) {
		puts("no models yet\nnext: shunt pull smollm2, or shunt add FILE.gguf");
		return;
	}
	term_row(&t, "MODEL", TINT_DIM, "BACKEND", TINT_DIM, "STATE", TINT_DIM, "DEVICE", TINT_DIM,
		 "MEMORY", TINT_DIM, "REQUESTS", TINT_DIM, "FILE", TINT_DIM);
	json_array_foreach(models, i, m)
		add_model(&t, m);
	term_print(&t, stdout);
	json_array_foreach(models, i, m)
		if (client_text(m, "reason")[0]) {
			CLEANUP(free) char *reason = term_clean(client_text(m, "reason"));

			printf("%s%s%s: ", term_tint(stdout, TINT_BAD), client_text(m, "id"),
			       term_reset(stdout));
			term_wrap(stdout, reason, (int)strlen(client_text(m, "id")) + 2,
				  term_wrap_width(stdout));
			puts("");
		}
}

static void print_tasks(const json_t *tasks)
{
	CLEANUP(term_table_done) struct term_table t = {.columns = 5};
	size_t i;
	json_t *task;

	term_row(&t, "TASK", TINT_DIM, "KIND", TINT_DIM, "MODEL", TINT_DIM, "STEP", TINT_DIM, "",
		 TINT_DIM);
	json_array_foreach(tasks, i, task) {
		char percent[32];

		(void)snprintf(percent, sizeof(percent), "%.0f %%",
			       json_number_value(json_object_get(task, "percent")));
		term_row(&t, client_text(task, "id"), TINT_BOLD, client_text(task, "kind"),
			 TINT_NONE, client_text(task, "model"), TINT_NONE,
			 client_text(task, "step"), TINT_NONE, percent, TINT_NONE);
	}
	if (t.rows > 1) {
		puts("");
		term_print(&t, stdout);
	}
}

bool command_status(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *models = NULL;
	CLEANUP(json_decref) json_t *tasks = NULL;
	json_t *list;

	if (!client_call(o, NULL, NULL, &models, e, "/llm/api/models") ||
	    !client_call(o, NULL, NULL, &tasks, e, "/tasks?state=running"))
		return false;
	list = json_object_get(models, "models");
	if (o->json) {
		json_object_set(models, "tasks", json_object_get(tasks, "tasks"));
		client_print(models);
		return true;
	}
	print_models(list);
	print_tasks(json_object_get(tasks, "tasks"));
	return true;
}
