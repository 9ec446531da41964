/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * "key = value" lines, read line by line, each error with its file and line. Not inih: it tells no
 * line to its caller, cuts lines at 200 bytes without a word, and takes " ;" in a value for a
 * comment.
 */

#include <stdbool.h>

#include "base/err.h"

typedef bool config_pair_fn(void *arg, int line, const char *key, const char *value, struct err *e);
/* Lines that begin with '#' or ';' are comments; the only section is [shunt]. The value is as it
 * stands, without the space around it. Stops at the first error. */
MUST_CHECK bool config_file_read(const char *file, config_pair_fn *fn, void *arg, struct err *e);
