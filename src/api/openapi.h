/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* OpenAPI 3.1 of what the tables say: endpoint_table, gateway_paths, the model options. Any thread.
 */

#include <jansson.h>

#include "api/endpoint.h"

/* The whole document. with_key: callers must show one. Caller frees. */
char *openapi_text(const struct endpoint *table, bool with_key);

/* openapi_schema.c. Shapes that are referred to are added to schemas, once. */

json_t *openapi_field(const struct field *f, json_t *schemas);
/* An object of these fields, and of the model options. closed: of nothing else. */
json_t *openapi_object(const struct field *fields, bool options, bool closed, json_t *schemas);
json_t *openapi_shape(const struct shape *s, json_t *schemas); /* a reference to it */
