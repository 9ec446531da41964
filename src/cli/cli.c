/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/term.h"

/* In the order in which people meet them. `serve`, `config` and `version` need no daemon: main()
 * does them. */
/* clang-format off */
static const struct command commands[] = {
	{"status",     "",                                   "models, their backends, workers and running tasks", "", 0, 0, command_status},
	{"run",        "NAME [PROMPT…] [--backend B] [--yes]", "from nothing to an answer: find or pull, environment, load, chat", "backend= yes", 1, -1, command_run},
	{"add",        "FILE [--id ID]",                     "register a GGUF file", "id=", 1, 1, command_add},
	{"scan",       "[DIR]",                              "register the GGUF files below a folder, or those of other programs", "", 0, 1, command_scan},
	{"pull",       "NAME [--id ID]",                     "fetch and register a model: smollm2, the small one to try, or hf:OWNER/REPO[:QUANT]", "id=", 1, 1, command_pull},
	{"set",        "MODEL [KEY=VALUE…]",                 "change model options; without any, show them", "", 1, -1, command_set},
	{"rm",         "MODEL [--delete-file]",              "forget a model", "delete-file", 1, 1, command_rm},
	{"switch",     "MODEL BACKEND [--no-reload] [--detach] [--force] [--arch LIST] [--yes]", "move a model to cpu, vulkan, cuda, rocm, or auto: the fastest that is ready", "no-reload detach force arch= yes", 2, 2, command_switch},
	{"load",       "MODEL [KEY=VALUE…] [--detach] [--yes] [--estimate [--backend B]]", "start its worker, with these options from now on; --estimate only says what that would take, and whether it fits", "detach yes estimate backend=", 1, -1, command_load},
	{"unload",     "MODEL [--force]",                    "stop its worker and free its memory", "force", 1, 1, command_unload},
	{"bench",      "MODEL [BACKEND…]",                   "measure how fast it is on the backends that are ready, or on these", "", 1, -1, command_bench},
	{"chat",       "MODEL [PROMPT…]",                    "ask; without a prompt, a conversation", "", 1, -1, command_chat},
	{"env",        "ls | create MODEL BACKEND [--arch LIST] [--yes] [--detach] | rebuild NAME BACKEND [--arch LIST] [--yes] [--no-reload] [--force] [--detach] | rm NAME | gc [--dry-run] | path NAME", "environments", "detach dry-run no-reload force arch= yes", 1, 3, command_env},
	{"backends",   "[--refresh]",                        "what can be built and run here", "refresh", 0, 0, command_backends},
	{"doctor",     "[BACKEND]",                          "what is wrong with this machine, and the command that mends it; exit status 1: something is in the way", "", 0, 1, command_doctor},
	{"tasks",      "[ID] [--follow] [--log]",            "what is being done and what was", "follow log", 0, 1, command_tasks},
	{"cancel",     "ID",                                 "end a task", "", 1, 1, command_cancel},
	{"logs",       "MODEL",                              "what its worker printed", "", 1, 1, command_logs},
	{"completion", "bash | zsh | fish | words [WORD…]",  "completions for a shell; words: those that may come next", "", 1, -1, command_completion},
	{NULL,         NULL, NULL, NULL, 0, 0, NULL},
};
/* clang-format on */

const struct command *command_table(void)
{
	return commands;
}

void cli_help(void)
{
	puts("usage: shunt COMMAND …\n");
	printf("  %-13s%s\n", "serve", "the daemon, in the foreground");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-13s%s\n", c->name, c->summary);
	printf("  %-13s%s\n", "config show", "the settings with their meaning");
	printf("  %-13s%s\n\n", "version", "of this program");
	puts("shunt COMMAND --help tells more. --json prints what the API said, --quiet only\n"
	     "errors. Each setting is a flag too (--socket, --state-dir …).");
}

static int usage(const struct command *c, FILE *to)
{
	fprintf(to, "usage: shunt %s %s\n  %s\n", c->name, c->usage, c->summary);
	return to == stdout ? 0 : 2;
}

static int fail(const struct err *e)
{
	CLEANUP(free) char *msg = term_clean(e->msg);
	CLEANUP(free) char *hint = term_clean(e->hint);

	fprintf(stderr, "%sshunt:%s ", term_tint(stderr, TINT_BAD), term_reset(stderr));
	term_wrap(stderr, msg, (int)strlen("shunt: "), term_wrap_width(stderr));
	fputc('\n', stderr);
	if (hint[0])
		fprintf(stderr, "  %stry:%s %s\n", term_tint(stderr, TINT_BOLD), term_reset(stderr),
			hint);
	return err_exit_code(e->kind);
}

int cli_main(const struct cli_options *o, int argc, char **argv)
{
	const struct command *c = commands;
	struct args a = {0};
	struct err e = {0};

	(void)setlocale(LC_CTYPE, "");
	while (c->name && strcmp(c->name, argv[0]) != 0)
		c++;
	if (!c->name) {
		(void)err_set(&e, ERR_INVALID, "unknown command '%s'", argv[0]);
		(void)err_hint(&e, "shunt help lists them");
		return fail(&e);
	}
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0)
			return usage(c, stdout);
	if (!args_parse(argc - 1, argv + 1, c->flags, &a, &e))
		return fail(&e);
	if (a.count < c->min || (c->max >= 0 && a.count > c->max))
		return usage(c, stderr);
	return c->run(o, &a, &e) ? 0 : fail(&e);
}
