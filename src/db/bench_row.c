/* SPDX-License-Identifier: Apache-2.0 */
#include "db/record.h"

#define COLUMN(field, type)                                                                        \
	{                                                                                          \
#field, type, offsetof(struct db_bench, field)                                     \
	}
static const struct column columns[] = {
	COLUMN(name, COLUMN_TEXT),
	COLUMN(model, COLUMN_TEXT),
	COLUMN(backend, COLUMN_TEXT),
	COLUMN(environment, COLUMN_TEXT),
	COLUMN(file, COLUMN_TEXT),
	COLUMN(base_digest, COLUMN_TEXT),
	COLUMN(module_digest, COLUMN_TEXT),
	COLUMN(device, COLUMN_TEXT),
	COLUMN(driver, COLUMN_TEXT),
	COLUMN(options, COLUMN_TEXT),
	COLUMN(prompt_per_second, COLUMN_REAL),
	COLUMN(answer_per_second, COLUMN_REAL),
	COLUMN(at, COLUMN_INT64),
};
#undef COLUMN

static const struct table benchmarks = {"benchmarks", "benchmark", columns, ARRAY_LEN(columns),
					sizeof(struct db_bench)};

void db_bench_done(struct db_bench *b)
{
	record_done(&benchmarks, b);
}

void db_benches_free(struct db_bench *list, size_t count)
{
	records_free(&benchmarks, list, count);
}

bool db_bench_put(struct db *db, const struct db_bench *b, struct err *e)
{
	return record_put(db, &benchmarks, b, true, e);
}

bool db_bench_list(struct db *db, const char *model, struct db_bench **ret_list, size_t *ret_count,
		   struct err *e)
{
	DB_LOCK(db);
	CLEANUP(query_end) struct query q = {0};

	if (!record_select(db, &benchmarks, "WHERE model=? ORDER BY backend", &q, e))
		return false;
	query_text(&q, model);
	return record_rows(&q, &benchmarks, (void **)ret_list, ret_count, e);
}
