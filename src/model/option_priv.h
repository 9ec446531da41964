/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the option files share: reading the stored object, writing arguments. */

#include <inttypes.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

static inline void json_decref_p(json_t **j)
{
	json_decref(*j);
}

bool is_python(const json_t *options); /* its runtime */
/* option_python.c: what the runtime python has nothing for is refused. */
MUST_CHECK bool option_python_check(const json_t *options, struct err *e);

/* option_devices.c. Joined by commas, caller frees. */
char *devices_of(const json_t *options);
/* --split-mode, --tensor-split, with this between its numbers. */
void add_split(struct strv *args, const json_t *options, const char *between);
/* No device twice, all of one backend; and whether the options about them go together. */
MUST_CHECK bool option_devices_check(const json_t *list, struct err *e);
MUST_CHECK bool option_split_check(const json_t *options, struct err *e);

static inline const char *text_of(const json_t *options, const char *name, const char *fallback)
{
	const char *text = json_string_value(json_object_get(options, name));

	return text ? text : fallback;
}

static inline void add(struct strv *args, const char *flag, const char *value)
{
	strv_add(args, flag);
	strv_add(args, value);
}

static inline void add_int(struct strv *args, const char *flag, int64_t n)
{
	strv_add(args, flag);
	strv_printf(args, "%" PRId64, n);
}
