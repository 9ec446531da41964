/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* "keep_alive" of a request, as Ollama has it: how long the model stays loaded after the last one.
 * A number of seconds, or "300", "5m", "1h30m"; below 0: for ever; 0: it is unloaded at once. */

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The JSON value as it stands in the body. *ret: ms, -1: for ever. */
MUST_CHECK bool keep_alive_parse(const char *value, size_t len, int64_t *ret, struct err *e);
