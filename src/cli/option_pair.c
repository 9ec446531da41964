/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/option_pair.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What a list of that option holds: "string", "number"; NULL: it takes none. */
static const char *items_of(const json_t *document, const char *key)
{
	const json_t *j = json_object_get(document, "components");
	const json_t *one;
	size_t i;

	j = json_object_get(json_object_get(j, "schemas"), "ModelOptions");
	j = json_object_get(json_object_get(json_object_get(j, "properties"), key), "anyOf");
	json_array_foreach(j, i, one)
		if (strcmp(client_text(one, "type"), "array") == 0)
			return client_text(json_object_get(one, "items"), "type");
	return NULL;
}

static json_t *item(const char *text, size_t len, bool number)
{
	json_t *value = number ? json_loadb(text, len, JSON_DECODE_ANY, NULL) : NULL;

	return value ? value : json_stringn(text, len);
}

/* NULL: not UTF-8. */
static json_t *list(const char *text, bool numbers)
{
	json_t *all = json_array();

	while (all && *text) {
		size_t len = strcspn(text, ",");

		if (json_array_append_new(all, item(text, len, numbers)) != 0)
			json_decref(STEAL(all));
		text += len + (text[len] == ',');
	}
	return all;
}

static bool value_of(const struct cli_options *o, const char *key, const char *text, json_t **ret,
		     struct err *e)
{
	CLEANUP(json_decref) json_t *document = NULL;
	const char *items;

	*ret = text[0] ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
	if (*ret)
		return true;
	if (!client_call(o, NULL, NULL, &document, e, "/openapi.json"))
		return false;
	items = items_of(document, key);
	*ret = items ? list(text, strcmp(items, "number") == 0) : json_string(text);
	return true;
}

bool option_pair_add(const struct cli_options *o, const char *pair, json_t *object, struct err *e)
{
	const char *equals = strchr(pair, '=');
	CLEANUP(free) char *key = NULL;
	json_t *value;

	if (!equals || equals == pair)
		return err_set(e, ERR_INVALID, "'%s' is not KEY=VALUE", pair);
	key = mem_ndup(pair, (size_t)(equals - pair));
	if (!value_of(o, key, equals + 1, &value, e))
		return false;
	if (!value || json_object_set_new(object, key, value) != 0)
		return err_set(e, ERR_INVALID, "'%s' is not UTF-8", pair);
	return true;
}
