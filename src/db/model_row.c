/* SPDX-License-Identifier: Apache-2.0 */
#include "db/record.h"

#define COLUMN(field, type)                                                                        \
	{                                                                                          \
#field, type, offsetof(struct db_model, field)                                     \
	}
static const struct column columns[] = {
	COLUMN(id, COLUMN_TEXT),
	COLUMN(path, COLUMN_TEXT),
	COLUMN(size_bytes, COLUMN_INT64),
	COLUMN(sha256, COLUMN_TEXT),
	COLUMN(architecture, COLUMN_TEXT),
	COLUMN(name, COLUMN_TEXT),
	COLUMN(quantization, COLUMN_TEXT),
	COLUMN(parameters, COLUMN_INT64),
	COLUMN(context_length, COLUMN_INT64),
	COLUMN(mode, COLUMN_TEXT),
	COLUMN(backend, COLUMN_TEXT),
	COLUMN(environment, COLUMN_TEXT),
	COLUMN(options, COLUMN_TEXT),
	COLUMN(pulled, COLUMN_BOOL),
	COLUMN(loaded, COLUMN_BOOL),
	COLUMN(created, COLUMN_INT64),
};
#undef COLUMN

static const struct table models = {"models", "model", columns, ARRAY_LEN(columns),
				    sizeof(struct db_model)};

void db_model_done(struct db_model *m)
{
	record_done(&models, m);
}

void db_model_copy(const struct db_model *from, struct db_model *to)
{
	record_copy(&models, from, to);
}

void db_models_free(struct db_model *list, size_t count)
{
	records_free(&models, list, count);
}

bool db_model_insert(struct db *db, const struct db_model *m, struct err *e)
{
	return record_put(db, &models, m, false, e);
}

bool db_model_get(struct db *db, const char *id, struct db_model *ret, struct err *e)
{
	return record_get(db, &models, id, ret, e);
}

static bool list(struct db *db, const char *which, struct db_model **ret_list, size_t *ret_count,
		 struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	return record_select(db, &models, which, &q, e) &&
	       record_rows(&q, &models, (void **)ret_list, ret_count, e);
}

bool db_model_list(struct db *db, struct db_model **ret_list, size_t *ret_count, struct err *e)
{
	return list(db, "ORDER BY id", ret_list, ret_count, e);
}

bool db_model_list_aliased(struct db *db, struct db_model **ret_list, size_t *ret_count,
			   struct err *e)
{
	return list(db, "WHERE instr(options, '\"aliases\"') > 0 ORDER BY id", ret_list, ret_count,
		    e);
}

static bool set_text(struct db *db, const char *sql, const char *doing, const char *id,
		     const char *text, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, sql, doing, &q, e))
		return false;
	query_text(&q, text);
	query_text(&q, id);
	if (!query_run(&q, e))
		return false;
	return query_changes(&q) > 0 || record_absent(&models, id, e);
}

bool db_model_set_options(struct db *db, const char *id, const char *options, struct err *e)
{
	return set_text(db, "UPDATE models SET options=? WHERE id=?", "saving a model's options",
			id, options, e);
}

bool db_model_set_file(struct db *db, const struct db_model *m, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!query(db,
		   "UPDATE models SET size_bytes=?, sha256=?, architecture=?, name=?, "
		   "quantization=?, parameters=?, context_length=?, mode=? WHERE id=?",
		   "saving what a model's file says", &q, e))
		return false;
	query_int(&q, m->size_bytes);
	query_text(&q, m->sha256);
	query_text(&q, m->architecture);
	query_text(&q, m->name);
	query_text(&q, m->quantization);
	query_int(&q, m->parameters);
	query_int(&q, m->context_length);
	query_text(&q, m->mode);
	query_text(&q, m->id);
	if (!query_run(&q, e))
		return false;
	return query_changes(&q) > 0 || record_absent(&models, m->id, e);
}

bool db_model_set_loaded(struct db *db, const char *id, bool loaded, struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, "UPDATE models SET loaded=?1 WHERE id=?2 AND loaded<>?1",
		   "noting what is loaded", &q, e))
		return false;
	query_int(&q, loaded);
	query_text(&q, id);
	return query_run(&q, e);
}

/* A rebuild may have given it another one meanwhile. */
static bool is_of_backend(struct db *db, const char *environment, const char *backend,
			  const char *doing, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, "SELECT 1 FROM environments WHERE name=? AND backend=?", doing, &q, e))
		return false;
	query_text(&q, environment);
	query_text(&q, backend);
	if (query_row(&q, e))
		return true;
	return q.failed ? false
			: err_set(e, ERR_CONFLICT, "%s: there is none of that name for %s", doing,
				  backend);
}

static bool flip(struct db *db, const char *id, const char *backend, const char *environment,
		 const char *doing, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, "UPDATE models SET backend=?, environment=? WHERE id=?", doing, &q, e))
		return false;
	query_text(&q, backend);
	query_text(&q, environment);
	query_text(&q, id);
	if (!query_run(&q, e))
		return false;
	return query_changes(&q) > 0 || record_absent(&models, id, e);
}

bool db_model_associate(struct db *db, const char *id, const char *backend, const char *environment,
			struct err *e)
{
	CLEANUP(free) char *doing = mem_printf("moving '%s' to environment '%s'", id, environment);
	CLEANUP(free) char *text = mem_printf("runs on %s in %s", backend, environment);
	bool ok;

	DB_LOCK(db);
	if (!db_exec(db, "BEGIN IMMEDIATE", doing, e))
		return false;
	ok = is_of_backend(db, environment, backend, doing, e) &&
	     flip(db, id, backend, environment, doing, e) &&
	     event_insert(db, "switched", id, text, e);
	return db_end_transaction(db, ok, doing, e);
}

bool db_model_delete(struct db *db, const char *id, struct err *e)
{
	return record_delete(db, &models, id, e);
}
