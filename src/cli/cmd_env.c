/* SPDX-License-Identifier: Apache-2.0 */
/* env ls, create, rebuild, rm, gc, path. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/consent.h"
#include "cli/follow.h"
#include "cli/term.h"

static enum tint tint_of(const char *state)
{
	if (strcmp(state, "ready") == 0)
		return TINT_GOOD;
	return strcmp(state, "failed") == 0 ? TINT_BAD : TINT_WARN;
}

static void add_env(struct term_table *t, const json_t *env)
{
	const json_t *verified = json_object_get(env, "verification");
	const char *state = client_text(env, "state");
	char size[32];

	term_row(t, client_text(env, "name"), TINT_BOLD, client_text(env, "backend"), TINT_NONE,
		 state, tint_of(state),
		 term_size(client_int(env, "size_bytes"), size, sizeof(size)), TINT_NONE,
		 client_text(verified, "device_name"), TINT_NONE);
}

static bool list(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(term_table_done) struct term_table t = {.columns = 5};
	size_t i;
	json_t *env;

	if (!client_call(o, NULL, NULL, &answer, e, "/llm/api/environments"))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	term_row(&t, "ENVIRONMENT", TINT_DIM, "BACKEND", TINT_DIM, "STATE", TINT_DIM, "SIZE",
		 TINT_DIM, "VERIFIED ON", TINT_DIM);
	json_array_foreach(json_object_get(answer, "environments"), i, env)
		add_env(&t, env);
	if (t.rows > 1)
		term_print(&t, stdout);
	else
		puts("no environments yet\nnext: shunt switch MODEL cpu");
	return true;
}

/* Follows the task of the answer, unless detached. */
static bool see_it_through(const struct cli_options *o, const struct args *a, const json_t *answer,
			   struct err *e)
{
	CLEANUP(json_decref) json_t *task = NULL;

	if (!args_has(a, "detach") &&
	    !follow_task(o, client_text(answer, "task_id"), false, &task, e))
		return false;
	if (o->json)
		client_print(task ? task : answer);
	else if (!o->quiet)
		printf("%s\n",
		       task ? client_text(task, "environment") : client_text(answer, "message"));
	return true;
}

static bool create(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;
	CLEANUP(free) char *path = NULL;

	if (a->count != 3)
		return err_set(e, ERR_INVALID, "usage: shunt env create MODEL BACKEND");
	if (!client_model(o, a->words[1], &id, &escaped, e))
		return false;
	path = mem_printf("/llm/api/models/%s/create-environment", escaped);
	return consent_call(o, a, json_pack("{ss}", "gpu_backend", a->words[2]), &answer, e,
			    path) &&
	       see_it_through(o, a, answer, e);
}

static bool rebuild(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(json_decref) json_t *body = NULL;
	CLEANUP(free) char *escaped = NULL;
	CLEANUP(free) char *path = NULL;

	if (a->count != 3)
		return err_set(e, ERR_INVALID, "usage: shunt env rebuild NAME BACKEND");
	escaped = client_escape(a->words[1]);
	body = json_pack("{ss sb}", "gpu_backend", a->words[2], "force", args_has(a, "force"));
	if (args_has(a, "no-reload"))
		json_object_set_new(body, "reload", json_false());
	path = mem_printf("/llm/api/venv/%s/rebuild", escaped);
	return consent_call(o, a, STEAL(body), &answer, e, path) && see_it_through(o, a, answer, e);
}

static bool with_name(const struct cli_options *o, const struct args *a, const char *method,
		      json_t **ret, struct err *e)
{
	CLEANUP(free) char *escaped = a->count == 2 ? client_escape(a->words[1]) : NULL;

	if (!escaped)
		return err_set(e, ERR_INVALID, "usage: shunt env %s NAME", a->words[0]);
	return client_call(o, method, NULL, ret, e, "/llm/api/environments/%s", escaped);
}

static bool delete_env(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;

	if (!with_name(o, a, "DELETE", &answer, e))
		return false;
	if (o->json)
		client_print(answer);
	else if (!o->quiet)
		printf("removed %s; its pieces stay until: shunt env gc\n", a->words[1]);
	return true;
}

/* Who asks for it wants its Python, mostly; stdout is only the path. */
static void say_why_no_python(const struct cli_options *o, const json_t *env)
{
	const json_t *why_not = json_object_get(json_object_get(env, "python"), "why_not");

	if (json_is_string(why_not) && !o->quiet)
		fprintf(stderr, "it has no Python: %s\n", json_string_value(why_not));
}

static bool path(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	const json_t *env;

	if (!with_name(o, a, NULL, &answer, e))
		return false;
	env = json_object_get(answer, "environment");
	if (o->json) {
		client_print(answer);
	} else {
		puts(client_text(env, "path"));
		say_why_no_python(o, env);
	}
	return true;
}

static bool gc(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	bool dry = args_has(a, "dry-run");
	int64_t total = 0;
	size_t i;
	json_t *piece;
	char size[32];

	if (!client_call(o, NULL, json_pack("{sb}", "dry_run", dry), &answer, e,
			 "/llm/api/environments/gc"))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	json_array_foreach(json_object_get(answer, "removed"), i, piece) {
		total += client_int(piece, "size_bytes");
		if (!o->quiet)
			printf("%-8s%.12s  %s\n", client_text(piece, "kind"),
			       client_text(piece, "digest"),
			       term_size(client_int(piece, "size_bytes"), size, sizeof(size)));
	}
	if (!o->quiet)
		printf("%s: %s\n", dry ? "would free" : "freed",
		       term_size(total, size, sizeof(size)));
	return true;
}

bool command_env(const struct cli_options *o, const struct args *a, struct err *e)
{
	static const struct {
		const char *name;
		command_fn *run;
	} verbs[] = {{"ls", list},       {"create", create}, {"rebuild", rebuild},
		     {"rm", delete_env}, {"gc", gc},         {"path", path}};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(a->words[0], verbs[i].name) == 0)
			return verbs[i].run(o, a, e);
	return err_set(e, ERR_INVALID,
		       "env: unknown '%s' (known: ls, create, rebuild, rm, gc, path)", a->words[0]);
}
