/* SPDX-License-Identifier: Apache-2.0 */
#include "db/record.h"

#define COLUMN(field, type)                                                                        \
	{                                                                                          \
#field, type, offsetof(struct db_load, field)                                      \
	}
static const struct column columns[] = {
	COLUMN(environment, COLUMN_TEXT),     COLUMN(file, COLUMN_TEXT),
	COLUMN(device, COLUMN_TEXT),          COLUMN(options, COLUMN_TEXT),
	COLUMN(device_weights, COLUMN_INT64), COLUMN(device_cache, COLUMN_INT64),
	COLUMN(device_compute, COLUMN_INT64), COLUMN(host_weights, COLUMN_INT64),
	COLUMN(host_cache, COLUMN_INT64),     COLUMN(host_compute, COLUMN_INT64),
	COLUMN(mapped_bytes, COLUMN_INT64),   COLUMN(private_bytes, COLUMN_INT64),
	COLUMN(driver_bytes, COLUMN_INT64),   COLUMN(at, COLUMN_INT64),
};
#undef COLUMN

static const struct table loads = {"loads", "load in environment", columns, ARRAY_LEN(columns),
				   sizeof(struct db_load)};

void db_load_done(struct db_load *l)
{
	record_done(&loads, l);
}

bool db_load_put(struct db *db, const struct db_load *l, struct err *e)
{
	return record_put(db, &loads, l, true, e);
}

bool db_load_get(struct db *db, const char *environment, struct db_load *ret, struct err *e)
{
	return record_get(db, &loads, environment, ret, e);
}

/* One number of the last load that has it; −1: none has. Lock held. */
static bool last(struct db *db, const char *sql, const char *device, int64_t *ret, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, sql, "reading what a load took", &q, e))
		return false;
	query_text(&q, device);
	*ret = query_row(&q, e) ? sqlite3_column_int64(q.stmt, 0) : -1;
	return !q.failed;
}

bool db_load_beside(struct db *db, const char *device, int64_t *ret_driver, int64_t *ret_process,
		    struct err *e)
{
	DB_LOCK(db);

	return last(db,
		    "SELECT driver_bytes FROM loads WHERE device=? AND driver_bytes>=0 "
		    "ORDER BY at DESC LIMIT 1",
		    device, ret_driver, e) &&
	       last(db,
		    "SELECT max(private_bytes-host_weights-host_cache-host_compute, -1) "
		    "FROM loads WHERE device=? ORDER BY at DESC LIMIT 1",
		    device, ret_process, e);
}
