/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a model needs beside its own: all options whose values are paths. */

#include "base/mem.h"
#include "model/option.h"
#include "model/option_priv.h"

static void add_path(struct strv *ret, const json_t *path)
{
	if (json_is_string(path))
		strv_add(ret, json_string_value(path));
}

void option_files(const char *stored, struct strv *ret)
{
	CLEANUP(json_decref) json_t *options = json_loads(stored ? stored : "{}", 0, NULL);
	const json_t *path;
	size_t i;

	for (const struct option *o = option_table(); o->name; o++) {
		const json_t *value = json_object_get(options, o->name);

		if (o->type == OPTION_PATH)
			add_path(ret, value);
		else if (o->type == OPTION_PATHS)
			json_array_foreach(value, i, path)
				add_path(ret, path);
	}
}
