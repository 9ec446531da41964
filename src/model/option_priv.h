/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the option files share: reading the stored object. */

#include <jansson.h>

static inline void json_decref_p(json_t **j)
{
	json_decref(*j);
}

static inline const char *text_of(const json_t *options, const char *name, const char *fallback)
{
	const char *text = json_string_value(json_object_get(options, name));

	return text ? text : fallback;
}
