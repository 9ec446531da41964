/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schema of fields, shapes and model options. */

#include <string.h>

#include "api/openapi.h"
#include "api/shapes.h"
#include "backend/backend.h"
#include "model/option.h"

static void set(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

/* A whole one without a point: 1000000, not 1000000.0. */
static json_t *number(double n)
{
	json_int_t whole = (json_int_t)n;

	return (double)whole == n ? json_integer(whole) : json_real(n);
}

/* --- texts -------------------------------------------------------------- */

static void add_words(json_t *list, const char *words, char separator)
{
	char ends[] = {separator, '\0'};

	while (words && *words) {
		size_t len = strcspn(words, ends);

		json_array_append_new(list, json_stringn(words, len));
		words += len + (words[len] == separator);
	}
}

static json_t *backend_names(bool or_auto)
{
	json_t *list = json_array();

	if (or_auto)
		json_array_append_new(list, json_string("auto"));
	for (const struct backend *const *b = backend_all(); *b; b++)
		json_array_append_new(list, json_string((*b)->name));
	for (const struct backend *const *b = backend_all(); *b; b++)
		add_words(list, (*b)->aliases, ' ');
	return list;
}

static json_t *typed(const char *type)
{
	json_t *schema = json_object();

	set(schema, "type", json_string(type));
	return schema;
}

static json_t *choice(const char *choices)
{
	json_t *list = json_array(), *schema = typed("string");

	add_words(list, choices, '|');
	set(schema, "enum", list);
	return schema;
}

static json_t *text(const struct field *f)
{
	json_t *schema;

	if (f->choices)
		return choice(f->choices);
	schema = typed("string");
	if (f->form == FORM_BACKEND || f->form == FORM_BACKEND_OR_AUTO)
		set(schema, "enum", backend_names(f->form == FORM_BACKEND_OR_AUTO));
	if (field_pattern(f->form))
		set(schema, "pattern", json_string(field_pattern(f->form)));
	if (field_format(f->form))
		set(schema, "format", json_string(field_format(f->form)));
	if (f->max > 0) {
		set(schema, "minLength", number(f->min));
		set(schema, "maxLength", number(f->max));
	}
	return schema;
}

/* --- types -------------------------------------------------------------- */

static json_t *bounded(const char *type, double min, double max)
{
	json_t *schema = typed(type);

	if (min == 0 && max == 0)
		return schema;
	set(schema, "minimum", number(min));
	set(schema, "maximum", number(max));
	return schema;
}

static json_t *free_object(void)
{
	json_t *schema = typed("object");

	set(schema, "additionalProperties", json_true());
	return schema;
}

static json_t *one_type(const struct field *f, unsigned type, json_t *schemas)
{
	switch (type) {
	case FIELD_TEXT:
		return text(f);
	case FIELD_BOOL:
		return typed("boolean");
	case FIELD_INT:
		return bounded("integer", f->min, f->max);
	case FIELD_NUMBER:
		return bounded("number", f->min, f->max);
	case FIELD_OBJECT:
		return f->shape ? openapi_shape(f->shape, schemas) : free_object();
	default:
		return typed("null");
	}
}

/* What may be several things, or the one thing. Takes the list over. */
static json_t *any_of(json_t *list)
{
	json_t *schema;

	if (json_array_size(list) == 1) {
		schema = json_incref(json_array_get(list, 0));
		json_decref(list);
		return schema;
	}
	schema = json_object();
	set(schema, "anyOf", list);
	return schema;
}

/* Of the values, not of the lists of them. */
static json_t *values(const struct field *f, json_t *schemas)
{
	unsigned types = f->types & ~(unsigned)FIELD_LIST;
	json_t *list = json_array();

	if (types & FIELD_NUMBER) /* which a whole one is, too */
		types &= ~(unsigned)FIELD_INT;
	for (unsigned type = 1; type <= types; type <<= 1)
		if (types & type)
			json_array_append_new(list, one_type(f, type, schemas));
	return any_of(list);
}

static json_t *list_of(json_t *items)
{
	json_t *schema = typed("array");

	set(schema, "items", items);
	return schema;
}

json_t *openapi_field(const struct field *f, json_t *schemas)
{
	json_t *schema = values(f, schemas);

	if (f->types & FIELD_LIST)
		schema = list_of(schema);
	set(schema, "description", json_string(f->help));
	if (f->fallback)
		set(schema, "default", json_loads(f->fallback, JSON_DECODE_ANY, NULL));
	return schema;
}

/* --- model options ------------------------------------------------------ */

static json_t *option_text(const struct option *o)
{
	json_t *schema = typed("string");

	set(schema, "pattern", json_string("^[^-]")); /* nothing that looks like a flag */
	set(schema, "minLength", number(o->min));
	set(schema, "maxLength", number(o->max));
	return schema;
}

static json_t *option_list(const struct option *o, json_t *items)
{
	json_t *schema = list_of(items);

	set(schema, "maxItems", number(o->max));
	return schema;
}

/* Of one backend, each once. */
static json_t *devices(const struct option *o)
{
	json_t *item = typed("string"), *schema, *list = json_array();

	set(item, "maxLength", json_integer(OPTION_DEVICE_MAX));
	for (const struct backend *const *b = backend_all(); *b; b++) {
		const char *prefix = (*b)->device_prefix;
		CLEANUP(free) char *pattern = prefix ? mem_printf("^%s[0-9]+$", prefix) : NULL;

		if (prefix)
			json_array_append_new(list,
					      json_pack("{s:{s:s}}", "items", "pattern", pattern));
	}
	schema = option_list(o, item);
	set(schema, "uniqueItems", json_true());
	set(schema, "anyOf", list);
	return schema;
}

static json_t *numbers(const struct option *o)
{
	json_t *schema = list_of(bounded("number", o->min, o->max));

	set(schema, "maxItems", json_integer(OPTION_DEVICES_MAX));
	return schema;
}

static json_t *whole_number(const struct option *o)
{
	json_t *number = bounded("integer", o->min, o->max), *list;

	if (!o->choices)
		return number;
	list = json_array();
	json_array_append_new(list, number);
	json_array_append_new(list, choice(o->choices));
	return any_of(list);
}

static json_t *option_values(const struct option *o)
{
	static const struct field path = {.form = FORM_PATH}, id = {.form = FORM_ID};

	switch (o->type) {
	case OPTION_INT:
		return whole_number(o);
	case OPTION_NUMBER:
		return bounded("number", o->min, o->max);
	case OPTION_BOOL:
		return typed("boolean");
	case OPTION_CHOICE:
		return choice(o->choices);
	case OPTION_TEXT:
		return option_text(o);
	case OPTION_PATH:
		return text(&path);
	case OPTION_PATHS:
		return option_list(o, text(&path));
	case OPTION_DEVICES:
		return devices(o);
	case OPTION_NUMBERS:
		return numbers(o);
	case OPTION_IDS:
		return option_list(o, text(&id));
	case OPTION_OBJECT:
		break;
	}
	return free_object();
}

static json_t *option_schema(const struct option *o)
{
	json_t *list = json_array(), *schema, *help;

	json_array_append_new(list, option_values(o));
	json_array_append_new(list, typed("null"));
	schema = any_of(list);
	help = json_sprintf("%s; default: %s%s", o->help, o->fallback,
			    o->reload ? "; takes effect at the next load" : "");
	set(schema, "description", help);
	return schema;
}

/* --- objects ------------------------------------------------------------ */

/* JSON Schema wants no empty ones. */
static void set_list(json_t *schema, const char *name, json_t *list)
{
	if (json_array_size(list))
		set(schema, name, list);
	else
		json_decref(list);
}

json_t *openapi_object(const struct field *fields, bool options, bool closed, json_t *schemas)
{
	json_t *schema = typed("object"), *properties = json_object(), *required = json_array();
	json_t *either = json_array();

	for (const struct field *f = fields; f && f->name; f++) {
		set(properties, f->name, openapi_field(f, schemas));
		if (f->required)
			json_array_append_new(required, json_string(f->name));
		if (f->instead)
			json_array_append_new(either, json_pack("{s[s]}", "required", f->name));
	}
	for (const struct option *o = option_table(); options && o->name; o++)
		set(properties, o->name, option_schema(o));
	set(schema, "properties", properties);
	set_list(schema, "required", required);
	set_list(schema, "oneOf", either);
	if (closed)
		set(schema, "additionalProperties", json_false());
	return schema;
}

json_t *openapi_shape(const struct shape *s, json_t *schemas)
{
	json_t *schema, *reference = json_object();

	set(reference, "$ref", json_sprintf("#/components/schemas/%s", s->name));
	if (json_object_get(schemas, s->name))
		return reference;
	set(schemas, s->name, json_object()); /* it may refer to itself */
	schema = openapi_object(s->fields, s->options, s->options, schemas);
	set(schema, "description", json_string(s->help));
	set(schemas, s->name, schema);
	return reference;
}
