/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A command's words: positional ones and flags ("--id X", "--id=X", "--force"); "--" ends flags. */

#include <stdbool.h>

#include "base/err.h"

#define ARGS_MAX 64

struct args {
	const char *words[ARGS_MAX]; /* borrowed from argv */
	int count;
	struct {
		const char *name, *value; /* value NULL: a plain flag */
	} flags[8];
	int flag_count;
};

/* known: flags of the command separated by spaces, with '=' at the end for those that take a value:
 * "id= force". Unknown flag, missing value, too many of anything: ERR_INVALID. */
MUST_CHECK bool args_parse(int argc, char **argv, const char *known, struct args *ret,
			   struct err *e);
bool args_has(const struct args *a, const char *flag);
const char *args_value(const struct args *a, const char *flag); /* NULL: not given */
