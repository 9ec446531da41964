/* SPDX-License-Identifier: Apache-2.0 */
#include "db/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void *field(const void *row, const struct column *c)
{
	return (char *)row + c->offset;
}

void record_done(const struct table *t, void *row)
{
	for (size_t i = 0; i < t->column_count; i++) {
		if (t->columns[i].type == COLUMN_TEXT)
			free(*(char **)field(row, &t->columns[i]));
	}
	memset(row, 0, t->row_size);
}

void record_copy(const struct table *t, const void *from, void *to)
{
	memcpy(to, from, t->row_size);
	for (size_t i = 0; i < t->column_count; i++) {
		char **text = field(to, &t->columns[i]);

		if (t->columns[i].type == COLUMN_TEXT)
			*text = mem_dup(*text);
	}
}

void records_free(const struct table *t, void *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		record_done(t, (char *)rows + i * t->row_size);
	free(rows);
}

static const char *key_of(const struct table *t, const void *row)
{
	return *(char **)field(row, &t->columns[0]);
}

static void bind_field(struct query *q, const void *row, const struct column *c)
{
	const void *at = field(row, c);

	switch (c->type) {
	case COLUMN_TEXT:
		query_text(q, *(char *const *)at);
		break;
	case COLUMN_INT64:
		query_int(q, *(const int64_t *)at);
		break;
	case COLUMN_INT:
		query_int(q, *(const int *)at);
		break;
	case COLUMN_BOOL:
		query_int(q, *(const bool *)at);
		break;
	case COLUMN_REAL:
		query_real(q, *(const double *)at);
		break;
	}
}

static void read_field(sqlite3_stmt *stmt, int i, void *row, const struct column *c)
{
	void *at = field(row, c);

	switch (c->type) {
	case COLUMN_TEXT:
		*(char **)at = mem_dup((const char *)sqlite3_column_text(stmt, i));
		break;
	case COLUMN_INT64:
		*(int64_t *)at = sqlite3_column_int64(stmt, i);
		break;
	case COLUMN_INT:
		*(int *)at = sqlite3_column_int(stmt, i);
		break;
	case COLUMN_BOOL:
		*(bool *)at = sqlite3_column_int(stmt, i) != 0;
		break;
	case COLUMN_REAL:
		*(double *)at = sqlite3_column_double(stmt, i);
		break;
	}
}

static void read_row(sqlite3_stmt *stmt, const struct table *t, void *row)
{
	memset(row, 0, t->row_size);
	for (size_t i = 0; i < t->column_count; i++)
		read_field(stmt, (int)i, row, &t->columns[i]);
}

static void add_names(struct buf *sql, const struct table *t)
{
	for (size_t i = 0; i < t->column_count; i++)
		buf_printf(sql, "%s%s", i ? "," : "", t->columns[i].name);
}

/* Not REPLACE: that would delete the old row first, and who refers to it would object. */
static void insert_sql(struct buf *sql, const struct table *t, bool replace)
{
	const char *key = t->columns[0].name;

	buf_printf(sql, "INSERT INTO %s(", t->name);
	add_names(sql, t);
	buf_str(sql, ") VALUES(");
	for (size_t i = 0; i < t->column_count; i++)
		buf_str(sql, i ? ",?" : "?");
	buf_printf(sql, ") ON CONFLICT(%s) DO %s", key, replace ? "UPDATE SET " : "NOTHING");
	for (size_t i = 1; replace && i < t->column_count; i++)
		buf_printf(sql, "%s%s=excluded.%s", i > 1 ? "," : "", t->columns[i].name,
			   t->columns[i].name);
}

bool record_put(struct db *db, const struct table *t, const void *row, bool replace, struct err *e)
{
	DB_LOCK(db);

	return record_write(db, t, row, replace, e);
}

bool record_write(struct db *db, const struct table *t, const void *row, bool replace,
		  struct err *e)
{
	CLEANUP(buf_done) struct buf sql = {0};
	CLEANUP(free) char *doing = mem_printf("saving %s '%s'", t->thing, key_of(t, row));
	CLEANUP(query_end) struct query q = {0};

	insert_sql(&sql, t, replace);
	if (!query(db, sql.data, doing, &q, e))
		return false;
	for (size_t i = 0; i < t->column_count; i++)
		bind_field(&q, row, &t->columns[i]);
	if (!query_run(&q, e))
		return false;
	return query_changes(&q) > 0 ||
	       err_set(e, ERR_CONFLICT, "%s '%s' exists already", t->thing, key_of(t, row));
}

bool record_absent(const struct table *t, const char *key, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "there is no %s '%.200s'", t->thing, key);
}

bool record_select(struct db *db, const struct table *t, const char *rest, struct query *ret,
		   struct err *e)
{
	CLEANUP(buf_done) struct buf sql = {0};

	buf_str(&sql, "SELECT ");
	add_names(&sql, t);
	buf_printf(&sql, " FROM %s %s", t->name, rest);
	return query(db, sql.data, "reading the database", ret, e);
}

bool record_get(struct db *db, const struct table *t, const char *key, void *ret, struct err *e)
{
	CLEANUP(free) char *rest = mem_printf("WHERE %s=?", t->columns[0].name);
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!record_select(db, t, rest, &q, e))
		return false;
	query_text(&q, key);
	if (!query_row(&q, e))
		return q.failed ? false : record_absent(t, key, e);
	read_row(q.stmt, t, ret);
	return true;
}

bool record_delete(struct db *db, const struct table *t, const char *key, struct err *e)
{
	CLEANUP(free)
	char *sql = mem_printf("DELETE FROM %s WHERE %s=?", t->name, t->columns[0].name);
	CLEANUP(free) char *doing = mem_printf("removing %s '%s'", t->thing, key);
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, sql, doing, &q, e))
		return false;
	query_text(&q, key);
	if (!query_run(&q, e))
		return false;
	return query_changes(&q) > 0 || record_absent(t, key, e);
}

bool record_rows(struct query *q, const struct table *t, void **ret_rows, size_t *ret_count,
		 struct err *e)
{
	char *rows = NULL;
	size_t count = 0, room = 0;

	while (query_row(q, e)) {
		if (count == room) {
			room = room ? room * 2 : 16;
			rows = mem_grow(rows, room, t->row_size);
		}
		read_row(q->stmt, t, rows + count++ * t->row_size);
	}
	if (q->failed) {
		records_free(t, rows, count);
		return false;
	}
	*ret_rows = rows;
	*ret_count = count;
	return true;
}
