/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "db/record.h"

#define COLUMN(field, type)                                                                        \
	{                                                                                          \
#field, type, offsetof(struct db_task, field)                                      \
	}
static const struct column columns[] = {
	COLUMN(id, COLUMN_TEXT),
	COLUMN(kind, COLUMN_TEXT),
	COLUMN(model, COLUMN_TEXT),
	COLUMN(environment, COLUMN_TEXT),
	COLUMN(backend, COLUMN_TEXT),
	COLUMN(state, COLUMN_TEXT),
	COLUMN(step, COLUMN_TEXT),
	COLUMN(step_n, COLUMN_INT),
	COLUMN(step_count, COLUMN_INT),
	COLUMN(percent, COLUMN_REAL),
	COLUMN(message, COLUMN_TEXT),
	COLUMN(error_type, COLUMN_TEXT),
	COLUMN(error_message, COLUMN_TEXT),
	COLUMN(error_hint, COLUMN_TEXT),
	COLUMN(result, COLUMN_TEXT),
	COLUMN(created, COLUMN_INT64),
	COLUMN(started, COLUMN_INT64),
	COLUMN(finished, COLUMN_INT64),
	COLUMN(done, COLUMN_BOOL),
};
#undef COLUMN

static const struct table tasks = {"tasks", "task", columns, ARRAY_LEN(columns),
				   sizeof(struct db_task)};

void db_task_done(struct db_task *t)
{
	record_done(&tasks, t);
}

void db_task_copy(const struct db_task *from, struct db_task *to)
{
	record_copy(&tasks, from, to);
}

void db_tasks_free(struct db_task *list, size_t count)
{
	records_free(&tasks, list, count);
}

bool db_task_put(struct db *db, const struct db_task *t, struct err *e)
{
	return record_put(db, &tasks, t, true, e);
}

bool db_task_get(struct db *db, const char *id, struct db_task *ret, struct err *e)
{
	return record_get(db, &tasks, id, ret, e);
}

bool db_task_list(struct db *db, const char *state, const char *model, int limit,
		  struct db_task **ret_list, size_t *ret_count, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!record_select(db, &tasks,
			   "WHERE (?1 IS NULL OR state=?1) AND (?2 IS NULL OR model=?2)"
			   " ORDER BY id DESC LIMIT ?3",
			   &q, e))
		return false;
	query_text(&q, state);
	query_text(&q, model);
	query_int(&q, limit > 0 ? limit : -1);
	return record_rows(&q, &tasks, (void **)ret_list, ret_count, e);
}

/* What was asked for is done, and only an extra step is missing. Of a switch also: what lasts of it
 * is the association, once its environment works. */
static bool end_done(struct db *db, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db,
		   "UPDATE tasks SET state='succeeded', step='Done', percent=100, finished=?"
		   " WHERE state='running' AND (done OR (kind='switch' AND EXISTS"
		   " (SELECT 1 FROM models m JOIN environments n ON n.name=m.environment"
		   " WHERE m.id=tasks.model AND n.name=tasks.environment"
		   " AND n.state IN ('built','ready'))))",
		   "ending tasks that are done", &q, e))
		return false;
	query_int(&q, clock_wall_ms());
	return query_run(&q, e);
}

static bool fail_others(struct db *db, const char *type, const char *message, const char *hint,
			int *ret_count, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db,
		   "UPDATE tasks SET state='failed', error_type=?, error_message=?, error_hint=?,"
		   " finished=? WHERE state IN ('queued','running')",
		   "ending interrupted tasks", &q, e))
		return false;
	query_text(&q, type);
	query_text(&q, message);
	query_text(&q, hint);
	query_int(&q, clock_wall_ms());
	if (!query_run(&q, e))
		return false;
	*ret_count = query_changes(&q);
	return true;
}

bool db_task_end_unfinished(struct db *db, const char *type, const char *message, const char *hint,
			    int *ret_count, struct err *e)
{
	DB_LOCK(db);

	return end_done(db, e) && fail_others(db, type, message, hint, ret_count, e);
}

bool db_task_prune(struct db *db, int keep, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!query(db,
		   "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks"
		   " WHERE state NOT IN ('queued','running') ORDER BY id DESC LIMIT -1 OFFSET ?)",
		   "forgetting old tasks", &q, e))
		return false;
	query_int(&q, keep > 0 ? keep : 0);
	return query_run(&q, e);
}
