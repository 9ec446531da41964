/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The connection, as the files of db.h see it. Whoever calls what is below holds the lock. */

#include <pthread.h>
#include <sqlite3.h>

#include "base/err.h"
#include "db/db.h"

struct db {
	pthread_mutex_t lock;
	char *path; /* set once */
	sqlite3 *sql;
	sqlite3_stmt *prepared[56]; /* guarded by lock; found again by their text */
};

/* DB_LOCK(db); holds the lock to the end of the scope. */
struct db *db_lock(struct db *db);
void db_unlock_p(struct db **db);
#define DB_LOCK(db) CLEANUP(db_unlock) struct db *locked_ __attribute__((unused)) = db_lock(db)

/* Says what SQLite said; `doing` begins the sentence: "saving task '…'". */
bool db_failed(struct db *db, const char *doing, struct err *e);

/*
 * One statement: query(db, "SELECT …", doing, e), binds in their order, then query_row() until it
 * says false, or query_run() once. query_end() always, also when NULL.
 */
struct query {
	struct db *db;
	sqlite3_stmt *stmt;
	const char *doing; /* borrowed */
	int bound;         /* parameters so far */
	bool failed;       /* query_row() said false because of an error */
};
MUST_CHECK bool query(struct db *db, const char *sql, const char *doing, struct query *ret,
		      struct err *e);
void query_text(struct query *q, const char *text); /* NULL: null; must outlive the query */
void query_int(struct query *q, int64_t number);
void query_real(struct query *q, double number);
/* True: there is a row. False: the end, or an error (then q->failed, e set). */
bool query_row(struct query *q, struct err *e);
/* Runs what gives no rows. Fault point db.write. */
MUST_CHECK bool query_run(struct query *q, struct err *e);
int query_changes(const struct query *q); /* rows that the last query_run changed */
void query_end(struct query *q);

static inline void query_end_p(struct query *q)
{
	query_end(q);
}

/* Statements without parameters, without rows. */
MUST_CHECK bool db_exec(struct db *db, const char *sql, const char *doing, struct err *e);
/* Ends a transaction that db_exec began; on failure it is rolled back. Fault point db.commit. */
MUST_CHECK bool db_end_transaction(struct db *db, bool ok, const char *doing, struct err *e);

MUST_CHECK bool db_migrate(struct db *db, struct err *e);
/* Within the caller's transaction. */
MUST_CHECK bool event_insert(struct db *db, const char *kind, const char *subject, const char *text,
			     struct err *e);
