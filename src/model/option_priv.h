/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the option files share: reading the stored object. */

#include <jansson.h>

#include "base/err.h"

static inline void json_decref_p(json_t **j)
{
	json_decref(*j);
}

bool is_python(const json_t *options); /* its runtime */
/* option_python.c: what the runtime python has nothing for is refused. */
MUST_CHECK bool option_python_check(const json_t *options, struct err *e);

static inline const char *text_of(const json_t *options, const char *name, const char *fallback)
{
	const char *text = json_string_value(json_object_get(options, name));

	return text ? text : fallback;
}
