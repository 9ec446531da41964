/* SPDX-License-Identifier: Apache-2.0 */
#include "db/record.h"

#define COLUMN(field, type)                                                                        \
	{                                                                                          \
#field, type, offsetof(struct db_env, field)                                       \
	}
static const struct column columns[] = {
	COLUMN(name, COLUMN_TEXT),           COLUMN(backend, COLUMN_TEXT),
	COLUMN(state, COLUMN_TEXT),          COLUMN(base_digest, COLUMN_TEXT),
	COLUMN(module_digest, COLUMN_TEXT),  COLUMN(device, COLUMN_TEXT),
	COLUMN(device_name, COLUMN_TEXT),    COLUMN(reason, COLUMN_TEXT),
	COLUMN(size_bytes, COLUMN_INT64),    COLUMN(created, COLUMN_INT64),
	COLUMN(verified, COLUMN_INT64),      COLUMN(python_digest, COLUMN_TEXT),
	COLUMN(python_version, COLUMN_TEXT), COLUMN(python_program, COLUMN_TEXT),
	COLUMN(python_seen, COLUMN_TEXT),    COLUMN(python_reason, COLUMN_TEXT),
	COLUMN(server_digest, COLUMN_TEXT),  COLUMN(libraries_digest, COLUMN_TEXT),
	COLUMN(arch, COLUMN_TEXT),
};
#undef COLUMN

static const struct table environments = {"environments", "environment", columns,
					  ARRAY_LEN(columns), sizeof(struct db_env)};

void db_env_done(struct db_env *env)
{
	record_done(&environments, env);
}

void db_envs_free(struct db_env *list, size_t count)
{
	records_free(&environments, list, count);
}

static bool tell_models(struct db *db, const struct db_env *env, const char *doing, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, "UPDATE models SET backend=?1 WHERE environment=?2 AND backend<>?1", doing,
		   &q, e))
		return false;
	query_text(&q, env->backend);
	query_text(&q, env->name);
	return query_run(&q, e);
}

bool db_env_put(struct db *db, const struct db_env *env, struct err *e)
{
	CLEANUP(free) char *doing = mem_printf("saving environment '%s'", env->name);
	bool ok;

	DB_LOCK(db);
	if (!db_exec(db, "BEGIN IMMEDIATE", doing, e))
		return false;
	ok = record_write(db, &environments, env, true, e) && tell_models(db, env, doing, e);
	return db_end_transaction(db, ok, doing, e);
}

bool db_env_get(struct db *db, const char *name, struct db_env *ret, struct err *e)
{
	return record_get(db, &environments, name, ret, e);
}

bool db_env_list(struct db *db, struct db_env **ret_list, size_t *ret_count, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	return record_select(db, &environments, "ORDER BY name", &q, e) &&
	       record_rows(&q, &environments, (void **)ret_list, ret_count, e);
}

/* A model that refers to it would be left without; the foreign key forbids it, this says it well.
 */
static bool is_unused(struct db *db, const char *name, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, "SELECT id FROM models WHERE environment=? ORDER BY id LIMIT 1",
		   "reading the database", &q, e))
		return false;
	query_text(&q, name);
	if (!query_row(&q, e))
		return !q.failed;
	(void)err_set(e, ERR_CONFLICT, "environment '%s' is in use by model '%.200s'", name,
		      (const char *)sqlite3_column_text(q.stmt, 0));
	return err_hint(e, "switch the model to another backend, or remove it, first");
}

bool db_env_delete(struct db *db, const char *name, struct err *e)
{
	return is_unused(db, name, e) && record_delete(db, &environments, name, e);
}
