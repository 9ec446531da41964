/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what is wrong with this machine, and what mends it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/term.h"

static const struct mark {
	const char *state, *sign, *plain;
	enum tint tint;
} marks[] = {
	{"bad", "✗", "--", TINT_BAD},
	{"warn", "!", "! ", TINT_WARN},
	{"ok", "✓", "ok", TINT_GOOD},
};

static const struct mark *mark_of(const json_t *finding)
{
	const struct mark *m = marks;

	while (m->tint != TINT_GOOD && strcmp(m->state, client_text(finding, "state")) != 0)
		m++;
	return m;
}

enum { INDENT = 4, REMEDY_INDENT = 6 };

/* A command is not wrapped: it is there to be pasted. */
static void print_remedy(const json_t *finding)
{
	CLEANUP(free) char *command = term_clean(client_text(finding, "command"));
	CLEANUP(free) char *advice = term_clean(client_text(finding, "advice"));

	if (command[0])
		printf("%*s%s%s%s\n", REMEDY_INDENT, "", term_tint(stdout, TINT_BOLD), command,
		       term_reset(stdout));
	if (!advice[0])
		return;
	printf("%*s", REMEDY_INDENT, "");
	term_wrap(stdout, advice, REMEDY_INDENT, term_wrap_width(stdout));
	puts("");
}

static void print_finding(const json_t *finding)
{
	CLEANUP(free) char *what = term_clean(client_text(finding, "what"));
	const struct mark *m = mark_of(finding);

	printf("  %s%s%s ", term_tint(stdout, m->tint), term_utf8() ? m->sign : m->plain,
	       term_reset(stdout));
	term_wrap(stdout, what, INDENT, term_wrap_width(stdout));
	puts("");
	print_remedy(finding);
}

static void print_all(const struct cli_options *o, const json_t *answer)
{
	const char *topic = "", *install = client_text(answer, "install");
	size_t i;
	json_t *f;

	json_array_foreach(json_object_get(answer, "findings"), i, f) {
		if (o->quiet && mark_of(f)->tint != TINT_BAD)
			continue;
		if (strcmp(topic, client_text(f, "topic")) != 0) {
			topic = client_text(f, "topic");
			printf("%s%s%s\n", term_tint(stdout, TINT_BOLD), topic, term_reset(stdout));
		}
		print_finding(f);
	}
	if (install[0] && !o->quiet)
		printf("all packages at once:\n  %s%s%s\n", term_tint(stdout, TINT_BOLD), install,
		       term_reset(stdout));
}

/* Says whose view it is: the daemon's groups and PATH may be others. */
static void add_daemon(const struct cli_options *o, json_t *answer)
{
	CLEANUP(free)
	char *what = mem_printf("no daemon answers on '%s': this is what your own user, groups and "
				"PATH give",
				o->socket);
	json_t *f = json_pack("{s:s, s:s, s:s, s:s, s:n}", "state", "warn", "topic", "daemon",
			      "what", what, "command", "shunt serve", "advice");

	json_array_insert_new(json_object_get(answer, "findings"), 0, f);
	if (strcmp(client_text(answer, "state"), "ok") == 0)
		json_object_set_new(answer, "state", json_string("warn"));
}

static bool ask(const struct cli_options *o, const char *backend, json_t **ret, struct err *e)
{
	CLEANUP(free) char *escaped = backend ? client_escape(backend) : NULL;

	if (client_call(o, NULL, NULL, ret, e, "/llm/api/doctor%s%s",
			escaped ? "?gpu_backend=" : "", escaped ? escaped : ""))
		return true;
	if (e->kind != ERR_UNREACHABLE || !o->doctor)
		return false;
	err_clear(e);
	if (!o->doctor(o->config, backend, ret, e))
		return false;
	add_daemon(o, *ret);
	return true;
}

bool command_doctor(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	size_t bad = 0, i;
	json_t *f;

	if (!ask(o, a->count == 1 ? a->words[0] : NULL, &answer, e))
		return false;
	if (o->json)
		client_print(answer);
	else
		print_all(o, answer);
	json_array_foreach(json_object_get(answer, "findings"), i, f)
		bad += mark_of(f)->tint == TINT_BAD;
	return bad == 0 || err_set(e, ERR_TOOLKIT, "%zu %s in the way", bad,
				   bad == 1 ? "thing is" : "things are");
}
