/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What one value may be, said once: requests are checked against it, and /openapi.json shows it.
 * Requests and answers are lists of such fields. Any thread.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* Types of a value, any of them. */
enum {
	FIELD_TEXT = 1,
	FIELD_BOOL = 2,
	FIELD_INT = 4,
	FIELD_NUMBER = 8,
	FIELD_OBJECT = 16,
	FIELD_NULL = 32,
	FIELD_LIST = 64 /* a list of the others */
};

/* What a text is. */
enum field_form {
	FORM_ANY,
	FORM_ID,      /* a model's */
	FORM_BACKEND, /* name or alias */
	FORM_BACKEND_OR_AUTO,
	FORM_PATH,   /* absolute, of a file */
	FORM_FOLDER, /* absolute */
	FORM_ARCH,   /* of GPUs, one or several: 86,90 or gfx1100 */
	FORM_TASK,
	FORM_TIME
};

struct shape;
struct field {
	const char *name; /* NULL ends the list */
	unsigned types;   /* FIELD_… */
	bool required;    /* in an answer: always there */
	bool header;      /* a parameter that is a header, not in the query */
	const char *help;
	const char *choices; /* of a text: "auto|never"; NULL: any */
	enum field_form form;
	double min, max;           /* of a number; of a text: characters. Both 0: no bounds */
	const char *fallback;      /* JSON of what an absent one means; NULL: nothing */
	const struct shape *shape; /* of FIELD_OBJECT; NULL: any object */
	const char *instead;       /* the field that stands in its place: one of both is there */
};

#define FIELD(key, kinds, needed, text, ...)                                                       \
	{                                                                                          \
		.name = (key), .types = (kinds), .required = (needed), .help = (text), __VA_ARGS__ \
	}

/* An object that several answers have. */
struct shape {
	const char *name;
	const char *help;
	const struct field *fields;
	bool options; /* has the model options too */
};

const struct field *field_find(const struct field *list, const char *name); /* NULL: none */
/* ERR_INVALID that names `what` ("field 'force'") and what it must be. */
MUST_CHECK bool field_check(const struct field *f, const char *what, const json_t *value,
			    struct err *e);
/* Every required one is there; absent ones get their fallback. */
MUST_CHECK bool field_complete(const struct field *list, const char *what, json_t *object,
			       struct err *e);
/* One parameter of a query, from text to its type, into the object. ERR_INVALID: unknown, twice, or
 * not what it must be. */
MUST_CHECK bool field_take_query(const struct field *list, const char *name, const char *text,
				 json_t *object, struct err *e);
/* ERR_INVALID that says what a model's id is. */
MUST_CHECK bool field_is_id(const char *text, struct err *e);
/* Pattern (ECMA) and format of a form; NULL: none. */
const char *field_pattern(enum field_form form);
const char *field_format(enum field_form form);
