/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A model option as the command line has it, KEY=VALUE. VALUE is JSON when it is (numbers, true,
 * ["a"]), a list where the daemon's own description wants one (CUDA0,CUDA1), else text; nothing is
 * null, the default. The daemon checks it. */

#include "cli/client.h"

MUST_CHECK bool option_pair_add(const struct cli_options *o, const char *pair, json_t *object,
				struct err *e);
