/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in a request's body. */

#include <string.h>

#include "api/endpoint.h"

#define MAX_DEPTH 64

/* jansson recurses; our threads have small stacks. */
static bool too_deep(const char *text, size_t len)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '[') && ++depth > MAX_DEPTH)
			return true;
		else if (!in_string && (text[i] == '}' || text[i] == ']'))
			depth--;
	}
	return false;
}

bool body_parse(const char *text, size_t len, json_t **ret, struct err *e)
{
	json_error_t why;
	json_t *body;

	if (len == 0) {
		*ret = json_object();
		return true;
	}
	if (too_deep(text, len))
		return err_set(e, ERR_INVALID, "the body's JSON is deeper than %d levels",
			       MAX_DEPTH);
	body = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!body)
		return err_set(e, ERR_INVALID, "the body is not JSON: line %d, column %d: %s",
			       why.line, why.column, why.text);
	if (!json_is_object(body)) {
		json_decref(body);
		return err_set(e, ERR_INVALID, "the body must be a JSON object");
	}
	*ret = body;
	return true;
}

static bool unknown(const struct endpoint *row, const char *name, struct err *e)
{
	CLEANUP(buf_done) struct buf known = {0};

	(void)err_set(e, ERR_INVALID, "unknown field '%.60s'", name);
	for (const struct field *f = row->fields; f && f->name; f++)
		buf_printf(&known, "%s%s", known.len ? ", " : "", f->name);
	if (row->options)
		buf_printf(&known, "%sthe model options (n_ctx, n_gpu_layers …)",
			   known.len ? ", " : "");
	return err_hint(e, "known here: %s", known.len ? known.data : "none");
}

bool body_check(const struct endpoint *row, json_t *body, bool (*is_option)(const char *name),
		struct err *e)
{
	const char *name;
	json_t *value;

	json_object_foreach(body, name, value) {
		const struct field *f = field_find(row->fields, name);
		CLEANUP(free) char *what = mem_printf("field '%.60s'", name);

		if (!f && !(row->options && is_option(name)))
			return unknown(row, name, e);
		if (f && !field_check(f, what, value, e))
			return false;
	}
	return field_complete(row->fields, "field", body, e);
}
