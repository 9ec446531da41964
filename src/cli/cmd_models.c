/* SPDX-License-Identifier: Apache-2.0 */
/* add, scan, pull, set, rm: the catalogue. */

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/follow.h"
#include "cli/option_pair.h"
#include "cli/term.h"

static void say_added(const struct cli_options *o, const json_t *answer)
{
	const json_t *model = json_object_get(answer, "model");
	const char *id = client_text(model, "id");
	char size[32], parameters[32];

	if (o->json)
		client_print(answer);
	if (o->json || o->quiet)
		return;
	printf("%s%s%s: %s, %s, %s parameters, %s\n", term_tint(stdout, TINT_BOLD), id,
	       term_reset(stdout), client_text(model, "architecture"),
	       client_text(model, "quantization"),
	       term_count(client_int(model, "parameters"), parameters, sizeof(parameters)),
	       term_size(client_int(model, "size_bytes"), size, sizeof(size)));
	printf("next: shunt switch %s cpu   (or vulkan, cuda, rocm)\n", id);
}

bool command_add(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *path = fs_real(a->words[0]);
	const char *id = args_value(a, "id");

	if (!path) {
		err_set(e, ERR_NOT_FOUND, "no file '%s'", a->words[0]);
		return err_hint(e, "shunt pull fetches a model by name");
	}
	if (!client_call(o, NULL, json_pack("{ss ss*}", "path", path, "id", id), &answer, e,
			 "/llm/api/models"))
		return false;
	say_added(o, answer);
	return true;
}

static void say_found(const json_t *answer)
{
	size_t i;
	json_t *j;

	json_array_foreach(json_object_get(answer, "added"), i, j)
		printf("%s%s%s  %s\n", term_tint(stdout, TINT_BOLD), client_text(j, "id"),
		       term_reset(stdout), client_text(j, "path"));
	json_array_foreach(json_object_get(answer, "skipped"), i, j)
		fprintf(stderr, "skipped %s: %s\n", client_text(j, "path"),
			client_text(j, "reason"));
	json_array_foreach(json_object_get(answer, "folders"), i, j)
		printf("looked in %s\n", json_string_value(j));
	printf("%zu added, %zu known already\n", json_array_size(json_object_get(answer, "added")),
	       json_array_size(json_object_get(answer, "known")));
	if (!json_is_true(json_object_get(answer, "whole")))
		fprintf(stderr, "not all of it: too much is there; scan a smaller folder\n");
}

bool command_scan(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *path = a->count ? fs_real(a->words[0]) : NULL;

	if (a->count && !path)
		return err_set(e, ERR_NOT_FOUND, "no folder '%s'", a->words[0]);
	if (!client_call(o, NULL, json_pack("{ss*}", "path", path), &answer, e,
			 "/llm/api/models/scan"))
		return false;
	if (o->json)
		client_print(answer);
	else if (!o->quiet)
		say_found(answer);
	return true;
}

bool pull_model(const struct cli_options *o, const char *name, const char *as, char **ret_id,
		struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(json_decref) json_t *task = NULL;

	if (!client_call(o, NULL, json_pack("{ss ss*}", "pull", name, "id", as), &answer, e,
			 "/llm/api/models") ||
	    !follow_task(o, client_text(answer, "task_id"), false, &task, e))
		return false;
	*ret_id = mem_dup(client_text(json_object_get(task, "result"), "model"));
	return true;
}

bool command_pull(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;

	if (!pull_model(o, a->words[0], args_value(a, "id"), &id, e))
		return false;
	escaped = client_escape(id);
	if (!client_call(o, NULL, NULL, &answer, e, "/llm/api/models/%s", escaped))
		return false;
	say_added(o, answer);
	return true;
}

static void print_options(const json_t *model)
{
	CLEANUP(term_table_done) struct term_table t = {.columns = 2};
	const char *key;
	json_t *value;

	term_row(&t, "OPTION", TINT_DIM, "VALUE", TINT_DIM);
	json_object_foreach(json_object_get(model, "options"), key, value) {
		CLEANUP(free) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

		term_row(&t, key, TINT_NONE,
			 json_is_string(value) ? json_string_value(value) : text, TINT_NONE);
	}
	term_print(&t, stdout);
}

bool command_set(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(json_decref) json_t *body = json_object();
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;
	size_t i;
	json_t *name;

	for (int n = 1; n < a->count; n++)
		if (!option_pair_add(o, a->words[n], body, e))
			return false;
	if (!client_model(o, a->words[0], &id, &escaped, e))
		return false;
	if (!client_call(o, a->count > 1 ? "PATCH" : NULL, a->count > 1 ? STEAL(body) : NULL,
			 &answer, e, "/llm/api/models/%s", escaped))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	if (!o->quiet)
		print_options(json_object_get(answer, "model"));
	json_array_foreach(json_object_get(answer, "needs_reload"), i, name)
		if (!o->quiet)
			printf("%s takes effect at the next load: shunt load %s\n",
			       json_string_value(name), id);
	return true;
}

bool command_rm(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;

	if (!client_model(o, a->words[0], &id, &escaped, e))
		return false;
	if (!client_call(o, "DELETE", NULL, &answer, e, "/llm/api/models/%s%s", escaped,
			 args_has(a, "delete-file") ? "?delete_file=true" : ""))
		return false;
	if (o->json)
		client_print(answer);
	else if (!o->quiet)
		printf("forgot %s\n", id);
	return true;
}
