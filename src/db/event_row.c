/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/clock.h"
#include "db/db_priv.h"

enum { KEPT = 10000 }; /* the history's length */

static bool forget_old(struct db *db, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, "DELETE FROM events WHERE id <= ?", "forgetting old events", &q, e))
		return false;
	query_int(&q, sqlite3_last_insert_rowid(db->sql) - KEPT);
	return query_run(&q, e);
}

bool event_insert(struct db *db, const char *kind, const char *subject, const char *text,
		  struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, "INSERT INTO events(at, kind, subject, text) VALUES(?,?,?,?)",
		   "saving an event", &q, e))
		return false;
	query_int(&q, clock_wall_ms());
	query_text(&q, kind);
	query_text(&q, subject);
	query_text(&q, text);
	return query_run(&q, e) && forget_old(db, e);
}

bool db_event_add(struct db *db, const char *kind, const char *subject, const char *text,
		  struct err *e)
{
	static const char doing[] = "saving an event";

	DB_LOCK(db);
	if (!db_exec(db, "BEGIN IMMEDIATE", doing, e))
		return false;
	return db_end_transaction(db, event_insert(db, kind, subject, text, e), doing, e);
}

static char *text_of(const struct query *q, int i)
{
	return mem_dup((const char *)sqlite3_column_text(q->stmt, i));
}

bool db_event_list(struct db *db, int64_t after, int limit, struct db_event **ret_list,
		   size_t *ret_count, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};
	struct db_event *list = NULL;
	size_t count = 0;

	if (!query(db,
		   "SELECT id, at, kind, subject, text FROM events WHERE id > ? ORDER BY id LIMIT "
		   "?",
		   "reading events", &q, e))
		return false;
	query_int(&q, after);
	query_int(&q, limit > 0 ? limit : -1);
	while (query_row(&q, e)) {
		list = mem_grow(list, count + 1, sizeof(*list));
		list[count++] = (struct db_event){.id = sqlite3_column_int64(q.stmt, 0),
						  .at = sqlite3_column_int64(q.stmt, 1),
						  .kind = text_of(&q, 2),
						  .subject = text_of(&q, 3),
						  .text = text_of(&q, 4)};
	}
	if (q.failed) {
		db_events_free(list, count);
		return false;
	}
	*ret_list = list;
	*ret_count = count;
	return true;
}

void db_events_free(struct db_event *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].kind);
		free(list[i].subject);
		free(list[i].text);
	}
	free(list);
}
