/* SPDX-License-Identifier: Apache-2.0 */
/* bench: how fast a model is on each backend. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/follow.h"
#include "cli/term.h"

static void add_row(struct term_table *t, const json_t *b)
{
	const char *stale = client_text(b, "stale"), *at = client_text(b, "at");
	enum tint tint = stale[0] ? TINT_DIM : TINT_NONE;
	char prompt[32], answer[32], when[256];

	(void)snprintf(prompt, sizeof(prompt), "%.1f",
		       json_number_value(json_object_get(b, "prompt_tokens_per_second")));
	(void)snprintf(answer, sizeof(answer), "%.1f",
		       json_number_value(json_object_get(b, "answer_tokens_per_second")));
	(void)snprintf(when, sizeof(when), "%.10s %.5s%s%s", at, strlen(at) > 16 ? at + 11 : "",
		       stale[0] ? ", stale: " : "", stale);
	term_row(t, client_text(b, "gpu_backend"), tint, client_device(b), tint, prompt, tint,
		 answer, tint, when, stale[0] ? TINT_WARN : TINT_NONE);
}

static void print(const json_t *answer)
{
	CLEANUP(term_table_done) struct term_table t = {.columns = 5};
	const json_t *b;
	size_t i;

	term_row(&t, "BACKEND", TINT_DIM, "DEVICE", TINT_DIM, "PROMPT TOKENS/S", TINT_DIM,
		 "ANSWER TOKENS/S", TINT_DIM, "WHEN (UTC)", TINT_DIM);
	json_array_foreach(json_object_get(answer, "benchmarks"), i, b)
		add_row(&t, b);
	term_print(&t, stdout);
}

bool command_bench(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *asked = NULL;
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *escaped = NULL;
	CLEANUP(free) char *id = NULL;
	json_t *body = json_object(), *names = json_array();

	for (int i = 1; i < a->count; i++)
		json_array_append_new(names, json_string(a->words[i]));
	if (a->count > 1)
		json_object_set(body, "backends", names);
	json_decref(names);
	if (!client_model(o, a->words[0], &id, &escaped, e)) {
		json_decref(body);
		return false;
	}
	if (!client_call(o, NULL, body, &asked, e, "/llm/api/models/%s/benchmark", escaped) ||
	    !follow_task(o, client_text(asked, "task_id"), false, NULL, e) ||
	    !client_call(o, NULL, NULL, &answer, e, "/llm/api/models/%s/benchmark", escaped))
		return false;
	if (o->json)
		client_print(answer);
	else if (!o->quiet)
		print(answer);
	return true;
}
