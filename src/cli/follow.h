/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Follows a task to its end: a bar on a terminal, plain lines in a pipe, nothing with --quiet. */

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/cli.h"

/* Shows the task until all that it was asked for is done, or to_end: until nothing of it runs any
 * more. A failed or cancelled one is an error: its type, message and
 * hint. *ret (may be NULL): its last snapshot, the caller's. Ctrl-C leaves the task running and is
 * ERR_CANCELLED. */
MUST_CHECK bool follow_task(const struct cli_options *o, const char *id, bool to_end, json_t **ret,
			    struct err *e);
