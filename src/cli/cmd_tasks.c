/* SPDX-License-Identifier: Apache-2.0 */
/* tasks, cancel, logs: what is done, what was done, what was printed. */

#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/follow.h"
#include "cli/term.h"

static enum tint tint_of(const char *state)
{
	if (strcmp(state, "succeeded") == 0)
		return TINT_GOOD;
	return strcmp(state, "failed") == 0 ? TINT_BAD : TINT_WARN;
}

static void add_task(struct term_table *t, const json_t *task)
{
	const char *state = client_text(task, "state");
	const char *error = client_text(json_object_get(task, "error"), "message");
	char percent[32];

	(void)snprintf(percent, sizeof(percent), "%.0f %%",
		       json_number_value(json_object_get(task, "percent")));
	term_row(t, client_text(task, "id"), TINT_BOLD, client_text(task, "kind"), TINT_NONE, state,
		 tint_of(state), percent, TINT_NONE, client_text(task, "model"), TINT_NONE,
		 error[0] ? error : client_text(task, "message"), TINT_DIM);
}

static bool list(const struct cli_options *o, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(term_table_done) struct term_table t = {.columns = 6};
	size_t i;
	json_t *task;

	if (!client_call(o, NULL, NULL, &answer, e, "/tasks"))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	term_row(&t, "TASK", TINT_DIM, "KIND", TINT_DIM, "STATE", TINT_DIM, "", TINT_DIM, "MODEL",
		 TINT_DIM, "", TINT_DIM);
	json_array_foreach(json_object_get(answer, "tasks"), i, task)
		add_task(&t, task);
	term_print(&t, stdout);
	return true;
}

static bool to_stdout(void *arg, const char *data, size_t len)
{
	(void)fwrite(data, 1, len, stdout);
	return true;
}

/* A text as it stands. */
static bool print_log(const struct cli_options *o, const char *path, struct err *e)
{
	return client_stream(o, NULL, path, to_stdout, client_interrupted, NULL, e);
}

bool command_tasks(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *id = a->count ? client_escape(a->words[0]) : NULL;
	CLEANUP(free) char *log = id ? mem_printf("/tasks/%s/log", id) : NULL;
	const json_t *task, *error;

	if (!id)
		return list(o, e);
	if (!client_call(o, NULL, NULL, &answer, e, "/tasks/%s", id))
		return false;
	if (args_has(a, "log"))
		return print_log(o, log, e);
	if (args_has(a, "follow"))
		return follow_task(o, a->words[0], true, NULL, e);
	if (o->json) {
		client_print(answer);
		return true;
	}
	task = json_object_get(answer, "task");
	error = json_object_get(task, "error");
	printf("%s  %s  %.0f %%  %s\n", client_text(task, "state"), client_text(task, "kind"),
	       json_number_value(json_object_get(task, "percent")), client_text(task, "step"));
	if (client_text(task, "message")[0])
		puts(client_text(task, "message"));
	if (json_is_object(error))
		puts(client_text(error, "message"));
	if (client_text(error, "hint")[0])
		printf("  try: %s\n", client_text(error, "hint"));
	return true;
}

bool command_cancel(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *id = client_escape(a->words[0]);

	if (!client_call(o, "POST", NULL, &answer, e, "/tasks/%s/cancel", id))
		return false;
	if (o->json)
		client_print(answer);
	else if (!o->quiet)
		printf("task %s is being cancelled\n", a->words[0]);
	return true;
}

bool command_logs(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;
	CLEANUP(free) char *path = NULL;

	if (!client_model(o, a->words[0], &id, &escaped, e))
		return false;
	path = mem_printf("/llm/api/models/%s/log", escaped);
	return print_log(o, path, e);
}
