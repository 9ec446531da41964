/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "db/db_priv.h"

static const char damaged[] = "move it away to start anew; models must then be added again";

bool db_failed(struct db *db, const char *doing, struct err *e)
{
	int code = sqlite3_errcode(db->sql) & 0xff;
	int errnum = sqlite3_system_errno(db->sql);

	if (code == SQLITE_NOTADB) {
		(void)err_set(e, ERR_SYSTEM, "%s: '%s' is not a database", doing, db->path);
		return err_hint(e, "%s", damaged);
	}
	if (code == SQLITE_CORRUPT) {
		(void)err_set(e, ERR_SYSTEM, "%s: '%s' is damaged", doing, db->path);
		return err_hint(e, "%s", damaged);
	}
	if (code == SQLITE_FULL || (code == SQLITE_IOERR && (errnum == ENOSPC || errnum == EDQUOT)))
		return err_set(e, ERR_NO_SPACE, "%s: no space left for '%s'", doing, db->path);
	if (sqlite3_extended_errcode(db->sql) == SQLITE_CONSTRAINT_FOREIGNKEY)
		return err_set(e, ERR_CONFLICT, "%s: no such environment is recorded", doing);
	(void)err_set(e, ERR_SYSTEM, "%s: '%s': %s", doing, db->path, sqlite3_errmsg(db->sql));
	if (code == SQLITE_BUSY)
		return err_hint(e, "another program holds the database");
	return false;
}

static sqlite3_stmt **find_prepared(struct db *db, const char *sql)
{
	size_t i = 0;

	while (i < ARRAY_LEN(db->prepared) && db->prepared[i] &&
	       strcmp(sqlite3_sql(db->prepared[i]), sql) != 0)
		i++;
	assert(i < ARRAY_LEN(db->prepared)); /* the texts are ours: make room for more */
	return &db->prepared[i];
}

bool query(struct db *db, const char *sql, const char *doing, struct query *ret, struct err *e)
{
	sqlite3_stmt **stmt = find_prepared(db, sql);

	if (!*stmt && sqlite3_prepare_v3(db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) !=
			      SQLITE_OK)
		return db_failed(db, doing, e);
	*ret = (struct query){.db = db, .stmt = *stmt, .doing = doing};
	return true;
}

void query_text(struct query *q, const char *text)
{
	(void)sqlite3_bind_text(q->stmt, ++q->bound, text, -1, SQLITE_STATIC);
}

void query_int(struct query *q, int64_t number)
{
	(void)sqlite3_bind_int64(q->stmt, ++q->bound, number);
}

void query_real(struct query *q, double number)
{
	(void)sqlite3_bind_double(q->stmt, ++q->bound, number);
}

bool query_row(struct query *q, struct err *e)
{
	int code = sqlite3_step(q->stmt);

	if (code == SQLITE_ROW)
		return true;
	q->failed = code != SQLITE_DONE;
	return q->failed && db_failed(q->db, q->doing, e);
}

bool query_run(struct query *q, struct err *e)
{
	if (FAULT("db.write"))
		return err_sys(e, errno, "%s", q->doing);
	return !query_row(q, e) && !q->failed;
}

int query_changes(const struct query *q)
{
	return sqlite3_changes(q->db->sql);
}

void query_end(struct query *q)
{
	if (!q->stmt)
		return;
	(void)sqlite3_reset(q->stmt);
	(void)sqlite3_clear_bindings(q->stmt);
	q->stmt = NULL;
}

bool db_exec(struct db *db, const char *sql, const char *doing, struct err *e)
{
	return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK || db_failed(db, doing, e);
}

bool db_end_transaction(struct db *db, bool ok, const char *doing, struct err *e)
{
	if (ok && FAULT("db.commit"))
		ok = err_sys(e, errno, "%s", doing);
	ok = ok && db_exec(db, "COMMIT", doing, e);
	if (!ok && !sqlite3_get_autocommit(db->sql))
		(void)sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
	return ok;
}
