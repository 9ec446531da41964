/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The words that may come next on a command line, from the table of commands and from what the
 * daemon knows now. */

#include "base/buf.h"
#include "cli/command.h"

/* words: what stands behind "shunt", the last one not yet complete. One candidate a line, its
 * meaning behind a tab; "\t" alone: files. A daemon that does not run knows nothing. */
void candidates(const struct cli_options *o, const char *const *words, int count, struct buf *out);
