/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One command: one row in cli.c, one function in a file of its own. */

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/cli.h"

typedef bool command_fn(const struct cli_options *o, const struct args *a, struct err *e);

struct command {
	const char *name;
	const char *usage; /* what follows the name */
	const char *summary;
	const char *flags; /* as args_parse takes them */
	int min, max;      /* words */
	command_fn *run;
};
/* The table, ended by a NULL name. */
const struct command *command_table(void);

command_fn command_add, command_backends, command_bench, command_cancel, command_chat,
	command_completion, command_doctor, command_env, command_load, command_logs, command_pull,
	command_rm, command_run, command_scan, command_set, command_status, command_switch,
	command_tasks, command_unload;

/* Steps that commands share. */

/* Asks for the switch and follows it unless detached. *ret_answer (may be NULL): what the API
 * said. */
MUST_CHECK bool switch_model(const struct cli_options *o, const char *id, const char *backend,
			     const struct args *a, struct err *e);
/* What a model is doing now, and where. */
MUST_CHECK bool switch_print(const struct cli_options *o, const char *escaped, struct err *e);
/* Fetches a known model and registers it; the id that it got, caller frees. */
MUST_CHECK bool pull_model(const struct cli_options *o, const char *name, const char *as,
			   char **ret_id, struct err *e);
/* One answer, streamed to stdout. messages: an array, borrowed. *ret_answer (may be NULL) is the
 * text, caller frees. */
MUST_CHECK bool chat_once(const struct cli_options *o, const char *id, json_t *messages,
			  char **ret_answer, struct err *e);
/* Lines from stdin to answers, until its end. */
MUST_CHECK bool chat_loop(const struct cli_options *o, const char *id, struct err *e);
