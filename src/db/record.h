/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tables whose rows are plain structs: one list of columns gives insert, select, copy and free. */

#include "db/db_priv.h"

enum column_type { COLUMN_TEXT, COLUMN_INT64, COLUMN_INT, COLUMN_BOOL, COLUMN_REAL };

struct column {
	const char *name;
	enum column_type type;
	size_t offset;
};

struct table {
	const char *name;             /* "models" */
	const char *thing;            /* "model" */
	const struct column *columns; /* the first is the key, a text */
	size_t column_count;
	size_t row_size;
};

void record_done(const struct table *t, void *row);
void record_copy(const struct table *t, const void *from, void *to);
/* Frees an array from record_list. */
void records_free(const struct table *t, void *rows, size_t count);
/* A taken key: the row is replaced, or ERR_CONFLICT. */
MUST_CHECK bool record_put(struct db *db, const struct table *t, const void *row, bool replace,
			   struct err *e);
/* The same, within the caller's transaction: lock held. */
MUST_CHECK bool record_write(struct db *db, const struct table *t, const void *row, bool replace,
			     struct err *e);
MUST_CHECK bool record_get(struct db *db, const struct table *t, const char *key, void *ret,
			   struct err *e);
MUST_CHECK bool record_delete(struct db *db, const struct table *t, const char *key, struct err *e);
/* "SELECT <columns> FROM <table> <rest>": bind to *ret, then record_rows. */
MUST_CHECK bool record_select(struct db *db, const struct table *t, const char *rest,
			      struct query *ret, struct err *e);
MUST_CHECK bool record_rows(struct query *q, const struct table *t, void **ret_rows,
			    size_t *ret_count, struct err *e);
/* The error for a key that has no row. */
bool record_absent(const struct table *t, const char *key, struct err *e);
