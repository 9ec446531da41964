/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/shapes.h"

static const struct {
	const char *path; /* how paths of this kind begin; the first that fits */
	const char *name, *help;
} tags[] = {
	{"/llm/api/models", "models", "What can be run"},
	{"/llm/api/environments", "environments", "What models run in"},
	{"/llm/api/venv", "environments", NULL},
	{"/llm/api", "machine", "What this machine has"},
	{"/tasks", "tasks", "Work that takes time"},
	{"/health", "daemon", "The daemon itself"},
	{"/version", "daemon", NULL},
	{"/metrics", "daemon", NULL},
	{"/openapi.json", "daemon", NULL},
	{"/", "inference", "Requests to models"},
};

/* What one document is made of while it is made. */
struct doc {
	json_t *paths, *schemas;
};

static void set(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static json_t *described(const char *text)
{
	json_t *j = json_object();

	set(j, "description", json_string(text));
	return j;
}

static const char *tag_of(const char *path)
{
	size_t i = 0;

	while (strncmp(path, tags[i].path, strlen(tags[i].path)) != 0)
		i++;
	return tags[i].name;
}

static json_t *tag_list(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		json_t *tag;

		if (!tags[i].help)
			continue;
		tag = described(tags[i].help);
		set(tag, "name", json_string(tags[i].name));
		json_array_append_new(list, tag);
	}
	return list;
}

/* --- parameters and bodies ---------------------------------------------- */

static json_t *parameter(const char *name, const char *in, bool required, json_t *schema)
{
	json_t *p = json_object();

	set(p, "name", json_string(name));
	set(p, "in", json_string(in));
	set(p, "required", json_boolean(required));
	set(p, "schema", schema);
	return p;
}

/* {id}, {task} …: the name says what it is. */
static void add_path_part(const char *path, json_t *list, json_t *schemas)
{
	static const struct field parts[] = {
		FIELD("id", FIELD_TEXT, true, "the model", .form = FORM_ID),
		FIELD("task", FIELD_TEXT, true, "the task", .form = FORM_TASK),
		FIELD("name", FIELD_TEXT, true, "the environment", .min = 1, .max = 255),
		FIELD("backend", FIELD_TEXT, true, "the backend", .form = FORM_BACKEND),
		{0},
	};
	const char *open = strchr(path, '{');
	CLEANUP(free) char *name = open ? mem_ndup(open + 1, strcspn(open + 1, "}")) : NULL;
	const struct field *f = name ? field_find(parts, name) : NULL;

	if (f)
		json_array_append_new(list,
				      parameter(f->name, "path", true, openapi_field(f, schemas)));
}

static json_t *parameters(const struct endpoint *row, json_t *schemas)
{
	json_t *list = json_array();

	add_path_part(row->path, list, schemas);
	for (const struct field *f = row->query; f && f->name; f++)
		json_array_append_new(list, parameter(f->name, f->header ? "header" : "query",
						      f->required, openapi_field(f, schemas)));
	return list;
}

/* schema NULL: 3.1 has none for streams of events. */
static json_t *content(const char *type, json_t *schema)
{
	json_t *media = json_object(), *j = json_object();

	if (schema)
		set(media, "schema", schema);
	set(j, type, media);
	return j;
}

static json_t *request_body(const struct endpoint *row, json_t *schemas)
{
	json_t *body = json_object(), *schema;
	bool required = false;

	for (const struct field *f = row->fields; f && f->name; f++)
		required = required || f->required || f->instead;
	schema = row->fields ? openapi_object(row->fields, row->options, true, schemas)
			     : openapi_shape(&shape_options, schemas);
	set(body, "required", json_boolean(required));
	set(body, "content", content("application/json", schema));
	return body;
}

/* --- answers ------------------------------------------------------------ */

static json_t *answer_schema(const struct answer *a, json_t *schemas)
{
	json_t *schema, *success;

	if (a->type && strcmp(a->type, "text/event-stream") == 0)
		return NULL;
	if (a->type)
		return json_pack("{ss}", "type",
				 strcmp(a->type, "application/json") == 0 ? "object" : "string");
	schema = openapi_object(a->fields, false, false, schemas);
	if (a->bare)
		return schema;
	success = json_pack("{sssb}", "type", "boolean", "const", 1);
	set(json_object_get(schema, "properties"), "success", success);
	if (!json_object_get(schema, "required"))
		set(schema, "required", json_array());
	json_array_append_new(json_object_get(schema, "required"), json_string("success"));
	return schema;
}

static void add_answer(const struct answer *a, json_t *responses, json_t *schemas)
{
	json_t *response = described(a->help);
	char status[16];

	(void)snprintf(status, sizeof(status), "%d", a->status);
	if (a->fields || a->type)
		set(response, "content",
		    content(a->type ? a->type : "application/json", answer_schema(a, schemas)));
	if (a->header)
		set(response, "headers",
		    json_pack("{s{sss{ss}}}", a->header, "description", a->header_help, "schema",
			      "type", "integer"));
	set(responses, status, response);
}

/* The names of all errors with this status: "busy"; NULL: none. Caller frees. */
static char *error_names(int status)
{
	struct buf out = {0};

	for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++)
		if (err_http_status((enum err_kind)kind) == status &&
		    kind != ERR_UNREACHABLE) /* the command's */
			buf_printf(&out, "%s%s", out.len ? ", " : "",
				   err_name((enum err_kind)kind));
	return buf_steal(&out);
}

static void add_error(int status, const struct shape *form, json_t *responses, json_t *schemas)
{
	CLEANUP(free) char *names = error_names(status);
	json_t *response = described(names);
	char key[16];

	(void)snprintf(key, sizeof(key), "%d", status);
	set(response, "content", content("application/json", openapi_shape(form, schemas)));
	if (status == 429 || status == 503)
		set(response, "headers",
		    json_pack("{s{sss{ss}}}", "Retry-After", "description",
			      "seconds until it is worth asking again", "schema", "type",
			      "integer"));
	set(responses, key, response);
}

static void add_errors(const char *list, const struct shape *form, json_t *responses,
		       json_t *schemas)
{
	char *end = NULL;

	for (long status = strtol(list, &end, 10); status; status = strtol(list, &end, 10)) {
		add_error((int)status, form, responses, schemas);
		list = end;
	}
}

static json_t *responses(const struct endpoint *row, json_t *schemas)
{
	const struct shape *form = strncmp(row->path, "/v1/", 4) == 0    ? &shape_openai_error
				   : strncmp(row->path, "/api/", 5) == 0 ? &shape_ollama_error
									 : &shape_error;
	json_t *j = json_object();

	for (const struct answer *a = row->answers; a->status; a++)
		add_answer(a, j, schemas);
	add_errors("400 401 403 500 503", form, j, schemas);
	if (strchr(row->path, '{'))
		add_error(404, form, j, schemas);
	if (strcmp(row->method, "GET") != 0) /* they may have bodies */
		add_errors("413 429", form, j, schemas);
	add_errors(row->errors, form, j, schemas);
	return j;
}

/* --- paths -------------------------------------------------------------- */

static void add_operation(struct doc *d, const char *method, const char *path, json_t *operation)
{
	json_t *item = json_object_get(d->paths, path), *list = json_array();
	char lower[8] = "";

	for (size_t i = 0; method[i] && i + 1 < sizeof(lower); i++)
		lower[i] = (char)tolower((unsigned char)method[i]);
	if (!item) {
		item = json_object();
		set(d->paths, path, item);
	}
	json_array_append_new(list, json_string(tag_of(path)));
	set(operation, "tags", list);
	set(item, lower, operation);
}

static void add_row(struct doc *d, const struct endpoint *row)
{
	json_t *operation = json_object();

	set(operation, "operationId", json_string(row->name));
	set(operation, "summary", json_string(row->summary));
	set(operation, "parameters", parameters(row, d->schemas));
	if (row->fields || row->options)
		set(operation, "requestBody", request_body(row, d->schemas));
	set(operation, "responses", responses(row, d->schemas));
	add_operation(d, row->method, row->path, operation);
}

/* "/v1/chat/completions" → postV1ChatCompletions */
static json_t *name_of(const char *path)
{
	CLEANUP(buf_done) struct buf name = {0};
	bool up = true;

	buf_str(&name, "post");
	for (; *path; path++) {
		char c = (char)(up ? toupper((unsigned char)*path) : *path);

		up = !isalnum((unsigned char)*path);
		if (!up)
			buf_add(&name, &c, 1);
	}
	return json_string(name.data);
}

/* The body and the answer are the worker's: what is known of them is the model. */
static void add_inference(struct doc *d, const char *path, const char *summary)
{
	static const struct field fields[] = {
		FIELD("model", FIELD_TEXT, false,
		      "id of a model, which GET /v1/models lists; absent: the only one loaded",
		      .min = 1, .max = 200),
		{0},
	};
	json_t *operation = json_object(), *body = json_object(), *answers = json_object();
	static const char *const any[] = {"200", "default"};

	set(body, "required", json_true());
	set(body, "content",
	    content(gateway_takes_form(path) ? "multipart/form-data" : "application/json",
		    openapi_object(fields, false, false, d->schemas)));
	for (size_t i = 0; i < ARRAY_LEN(any); i++)
		set(answers, any[i],
		    described(i ? "An error in the form of the path's clients"
				: "The worker's answer, as JSON or as a stream of events"));
	set(operation, "operationId", name_of(path));
	set(operation, "summary", json_string(summary));
	set(operation, "requestBody", body);
	set(operation, "responses", answers);
	add_operation(d, "POST", path, operation);
}

/* --- the document ------------------------------------------------------- */

static json_t *key_schemes(void)
{
	return json_pack("{s{ssss}s{ssssss}}", "bearer", "type", "http", "scheme", "bearer",
			 "header", "type", "apiKey", "in", "header", "name", "X-Api-Key");
}

char *openapi_text(const struct endpoint *table, bool with_key)
{
	CLEANUP(json_decref) json_t *document = json_object();
	struct doc d = {json_object(), json_object()};
	json_t *components = json_object();
	const char *summary = NULL, *path;

	for (const struct endpoint *row = table; row->method; row++)
		add_row(&d, row);
	for (size_t i = 0; (path = gateway_path_at(i, &summary)); i++)
		add_inference(&d, path, summary);
	set(components, "schemas", d.schemas);
	set(document, "openapi", json_string("3.1.0"));
	set(document, "info",
	    json_pack("{ssssss}", "title", "Shunt", "version", SHUNT_VERSION, "description",
		      "Moves a local model from one GPU backend to another"));
	set(document, "servers", json_pack("[{ss}]", "url", "/"));
	set(document, "tags", tag_list());
	set(document, "paths", d.paths);
	if (with_key) {
		set(components, "securitySchemes", key_schemes());
		set(document, "security", json_pack("[{s[]}{s[]}]", "bearer", "header"));
	}
	set(document, "components", components);
	return json_dumps(document, JSON_COMPACT);
}
