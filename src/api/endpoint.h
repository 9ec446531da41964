/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One row a request that we answer: method, path with a {part}, what its body may hold, who
 * handles it. Here is how a row is found and a body is checked; the table is in endpoints.c. Any
 * thread.
 */

#include <jansson.h>
#include <stdbool.h>

#include "api/field.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct call;

/* One way a request may end well. */
struct answer {
	int status; /* 0 ends the list */
	const char *help;
	const struct field
		*fields;    /* of its JSON, beside "success"; NULL with a type: other text */
	const char *type;   /* NULL: JSON */
	bool bare;          /* without "success" */
	const char *header; /* one that it has beside the usual; NULL: none */
	const char *header_help;
};

/* What is checked here is what /openapi.json shows. */
struct endpoint {
	const char *method; /* NULL ends the table; GET answers HEAD too */
	const char *path;   /* "/tasks/{task}/cancel": the part's name says how it is checked */
	bool (*handle)(struct call *c, struct err *e);
	const struct field *fields; /* NULL: no body fields */
	bool options;               /* a body may also hold model options */
	const struct field *query;  /* NULL: none */
	const char *name;           /* operationId */
	const char *summary;
	const struct answer *answers;
	const char *errors; /* statuses beside those that every row has: "404 409" */
};

struct match {
	const struct endpoint *row;
	char *part; /* decoded {part}, NULL: the path has none */
	char part_name[16];
	struct buf allow; /* methods of this path, when none fits: "GET, POST" */
};
void match_done(struct match *m);
static inline void match_done_p(struct match *m)
{
	match_done(m);
}

/* The first row that fits. ERR_INVALID for a bad percent escape, ERR_NOT_FOUND for a path without
 * rows, ERR_INVALID with `allow` filled for a method that the path has not (405). */
MUST_CHECK bool endpoint_find(const struct endpoint *table, const char *method, const char *path,
			      struct match *ret, struct err *e);
/* %41 → A. NULL: a bad escape, or a NUL. Caller frees. */
char *percent_decode(const char *text, size_t len);

/* Parses a body: one JSON object, at most 64 levels deep, no name twice. Nothing is {}. */
MUST_CHECK bool body_parse(const char *text, size_t len, json_t **ret, struct err *e);
/* Types, required and unknown fields of an endpoint; absent ones get what they mean. */
MUST_CHECK bool body_check(const struct endpoint *row, json_t *body,
			   bool (*is_option)(const char *name), struct err *e);
