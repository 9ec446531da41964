/* SPDX-License-Identifier: Apache-2.0 */
#include "db/record.h"

#define COLUMN(field, type)                                                                        \
	{                                                                                          \
#field, type, offsetof(struct db_load, field)                                      \
	}
static const struct column columns[] = {
	COLUMN(environment, COLUMN_TEXT),   COLUMN(what, COLUMN_TEXT),
	COLUMN(device_bytes, COLUMN_INT64), COLUMN(host_bytes, COLUMN_INT64),
	COLUMN(mapped_bytes, COLUMN_INT64), COLUMN(private_bytes, COLUMN_INT64),
	COLUMN(at, COLUMN_INT64),
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
