/* SPDX-License-Identifier: Apache-2.0 */
/* backends, doctor: what can be built and run here, and what is missing. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/gpus.h"
#include "cli/term.h"

static const char *yes_no(const json_t *b, const char *key)
{
	return json_is_true(json_object_get(b, key)) ? "yes" : "no";
}

bool command_backends(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(term_table_done) struct term_table t = {.columns = 4};
	bool refresh = args_has(a, "refresh");
	size_t i;
	json_t *b;

	if (!client_call(o, refresh ? "POST" : NULL, NULL, &answer, e,
			 refresh ? "/llm/api/backends/refresh" : "/llm/api/backends"))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	term_row(&t, "BACKEND", TINT_DIM, "BUILD", TINT_DIM, "RUN", TINT_DIM, "", TINT_DIM);
	json_array_foreach(json_object_get(answer, "backends"), i, b) {
		const char *build = yes_no(b, "can_build"), *run = yes_no(b, "can_run");

		term_row(&t, client_text(b, "name"), TINT_BOLD, build,
			 build[0] == 'y' ? TINT_GOOD : TINT_BAD, run,
			 run[0] == 'y' ? TINT_GOOD : TINT_BAD, client_text(b, "why_not"), TINT_DIM);
	}
	term_print(&t, stdout);
	return true;
}

static void print_item(const json_t *item)
{
	bool ok = json_is_true(json_object_get(item, "ok"));
	const char *found = client_text(item, "found"), *needed = client_text(item, "needed");
	const char *packages = client_text(item, "packages");
	const char *mark = term_utf8() ? (ok ? "✓" : "✗") : (ok ? "ok" : "--");

	printf("  %s%s%s %-22s %s", term_tint(stdout, ok ? TINT_GOOD : TINT_BAD), mark,
	       term_reset(stdout), client_text(item, "name"),
	       found[0] ? found
	       : ok     ? ""
			: "missing");
	if (!ok && strcmp(needed, "any") != 0)
		printf(", needs %s", needed);
	if (!ok && packages[0])
		printf("  (%s)", packages);
	puts("");
}

static bool has_item(const json_t *items, const char *name)
{
	size_t i;
	json_t *item;

	json_array_foreach(items, i, item)
		if (strcmp(client_text(item, "name"), name) == 0)
			return true;
	return false;
}

/* Without what stands in `known` already, which may be NULL. */
static void print_toolkit(const json_t *toolkit, const char *title, const json_t *known)
{
	const char *install = client_text(toolkit, "install");
	size_t i;
	json_t *item;

	printf("%s%s%s\n", term_tint(stdout, TINT_BOLD), title, term_reset(stdout));
	json_array_foreach(json_object_get(toolkit, "items"), i, item)
		if (!has_item(known, client_text(item, "name")))
			print_item(item);
	if (install[0])
		printf("  install: %s%s%s\n", term_tint(stdout, TINT_BOLD), install,
		       term_reset(stdout));
}

static bool check_one(const struct cli_options *o, const char *backend, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *escaped = client_escape(backend);
	const json_t *toolkit;

	if (!client_call(o, NULL, NULL, &answer, e, "/llm/api/toolkit/check/%s", escaped))
		return false;
	toolkit = json_object_get(answer, "toolkit");
	if (o->json)
		client_print(answer);
	else
		print_toolkit(toolkit, client_text(toolkit, "backend"), NULL);
	return true;
}

/* What the CPU needs, every build needs: once is enough. */
bool command_doctor(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	const json_t *common = NULL;
	size_t i;
	json_t *b;

	if (a->count == 1)
		return check_one(o, a->words[0], e);
	if (!client_call(o, "POST", NULL, &answer, e, "/llm/api/backends/refresh"))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	json_array_foreach(json_object_get(answer, "backends"), i, b) {
		const json_t *toolkit = json_object_get(b, "toolkit");
		const char *name = client_text(b, "name");
		bool cpu = strcmp(name, "cpu") == 0;

		print_toolkit(toolkit, cpu ? "cpu, and all others" : name, common);
		if (cpu)
			common = json_object_get(toolkit, "items");
	}
	return gpus_print(o, e);
}
