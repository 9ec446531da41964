/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON values out of our records: text that may be absent or not UTF-8, times, errors. Any thread.
 */

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

static inline void json_decref_p(json_t **j)
{
	json_decref(*j);
}

/* NULL is null; bytes that are not UTF-8 become '?'. */
json_t *answer_text(const char *s);
/* ISO 8601; 0 is null. */
json_t *answer_time(int64_t wall_ms);
/* JSON text of our own (a row's options or result); null when absent or broken. */
json_t *answer_stored(const char *text);
/* {"type", "message", "hint"} */
json_t *answer_error(const char *type, const char *message, const char *hint);
