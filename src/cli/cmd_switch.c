/* SPDX-License-Identifier: Apache-2.0 */
/* switch, unload: a model and its worker. */

#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/consent.h"
#include "cli/follow.h"
#include "cli/term.h"

bool switch_print(const struct cli_options *o, const char *escaped, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	const json_t *model, *worker;
	char memory[32], device[64];

	if (!client_call(o, NULL, NULL, &answer, e, "/llm/api/models/%s", escaped))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	model = json_object_get(answer, "model");
	worker = json_object_get(model, "worker");
	if (o->quiet)
		return true;
	printf("%s%s%s is on %s: ", term_tint(stdout, TINT_BOLD), client_text(model, "id"),
	       term_reset(stdout), client_text(model, "gpu_backend"));
	if (json_is_object(worker))
		printf("%s, %s, %s\n", client_text(model, "state"),
		       client_place(worker, device, sizeof(device)),
		       term_size(client_int(worker, "memory_bytes"), memory, sizeof(memory)));
	else
		printf("%s, the first question loads it\n", client_text(model, "state"));
	return true;
}

bool switch_model(const struct cli_options *o, const char *id, const char *backend,
		  const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(json_decref) json_t *task = NULL;
	CLEANUP(free) char *escaped = client_escape(id);
	CLEANUP(free) char *path = mem_printf("/llm/api/models/%s/switch-backend", escaped);
	json_t *body = json_pack("{ss}", "gpu_backend", backend);

	if (a && args_has(a, "no-reload"))
		json_object_set_new(body, "reload", json_false());
	if (a && args_has(a, "force"))
		json_object_set_new(body, "force", json_true());
	if (!consent_call(o, a, body, &answer, e, path))
		return false;
	if (a && args_has(a, "detach")) {
		if (o->json)
			client_print(answer);
		else if (!o->quiet)
			printf("%s\nshunt tasks %s --follow\n", client_text(answer, "message"),
			       client_text(answer, "task_id"));
		return true;
	}
	if (!o->quiet && !o->json)
		fprintf(stderr, "%s\n", client_text(answer, "message"));
	if (!follow_task(o, client_text(answer, "task_id"), false, &task, e))
		return false;
	/* What was found out on the way. */
	if (!o->quiet && !o->json &&
	    strcmp(client_text(task, "message"), client_text(answer, "message")) != 0)
		fprintf(stderr, "%s\n", client_text(task, "message"));
	return true;
}

bool command_switch(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;

	if (!client_model(o, a->words[0], &id, &escaped, e) ||
	    !switch_model(o, id, a->words[1], a, e))
		return false;
	if (args_has(a, "detach"))
		return true;
	if (!switch_print(o, escaped, e))
		return false;
	if (!o->json && !o->quiet)
		printf("next: shunt chat %s \"Why is the sky blue?\"\n", id);
	return true;
}

bool command_unload(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;
	json_t *body = NULL;

	if (!client_model(o, a->words[0], &id, &escaped, e))
		return false;
	if (args_has(a, "force"))
		body = json_pack("{sb}", "force", 1);
	if (!client_call(o, "POST", body, &answer, e, "/llm/api/models/%s/unload", escaped))
		return false;
	if (o->json)
		client_print(answer);
	else if (!o->quiet)
		printf("%s is unloaded\n", id);
	return true;
}
