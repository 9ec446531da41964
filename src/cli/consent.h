/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Something big may have to be fetched before what the user wants: on a terminal he is asked. */

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/cli.h"

/* A change that may have to build: client_call with POST, and --arch and --yes in the body, which
 * is taken over. Asks again with a yes that the user gives. */
MUST_CHECK bool consent_call(const struct cli_options *o, const struct args *a, json_t *body,
			     json_t **ret, struct err *e, const char *path);
/* True: e is ERR_CONSENT, the user was asked and said yes; e is clear, to try again with that. */
bool consent_given(const struct cli_options *o, struct err *e);
