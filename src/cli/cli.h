/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct config;

/* The command line: everything but `serve`, talking HTTP to the daemon over its Unix socket. */

/* socket: path of the daemon's socket; rest as main's, argv[0] being the command ("switch"). Exit
 * status for main. */
struct cli_options {
	const char *socket;
	bool json, quiet;
	const char *(*setting)(size_t i); /* the i-th key of the configuration; NULL: no more */
	/* What GET /llm/api/doctor would answer, where no daemon does. backend NULL: all. */
	bool (*doctor)(const struct config *c, const char *backend, json_t **ret, struct err *e);
	const struct config *config; /* for it */
};
int cli_main(const struct cli_options *o, int argc, char **argv);
/* The list of commands with one line each, for `shunt help`. */
void cli_help(void);
