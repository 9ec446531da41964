/* SPDX-License-Identifier: Apache-2.0 */
#include "db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "db/db_priv.h"

enum { BUSY_MS = 5000 };

struct db *db_lock(struct db *db)
{
	(void)pthread_mutex_lock(&db->lock);
	return db;
}

void db_unlock_p(struct db **db)
{
	(void)pthread_mutex_unlock(&(*db)->lock);
}

/* Nobody else may read it; and the kernel's words for what is wrong are better than SQLite's. */
static bool make_file(const char *path, struct err *e)
{
	CLEANUP(close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		return true;
	(void)err_sys(e, errno, "open database '%s'", path);
	return err_hint(e, "choose a folder that you may write with --state-dir");
}

static bool connect_to(struct db *db, struct err *e)
{
	static const char doing[] = "opening the database";

	if (sqlite3_open_v2(db->path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return db_failed(db, doing, e);
	(void)sqlite3_extended_result_codes(db->sql, 1);
	(void)sqlite3_busy_timeout(db->sql, BUSY_MS);
	return db_exec(db,
		       "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
		       "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF",
		       doing, e);
}

bool db_open(const char *path, struct db **ret_db, struct err *e)
{
	CLEANUP(db_free) struct db *db = NULL;

	if (!make_file(path, e))
		return false;
	db = mem_alloc(sizeof(*db));
	(void)pthread_mutex_init(&db->lock, NULL);
	db->path = mem_dup(path);
	if (!connect_to(db, e) || !db_migrate(db, e))
		return false;
	*ret_db = STEAL(db);
	return true;
}

void db_free(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < ARRAY_LEN(db->prepared); i++)
		(void)sqlite3_finalize(db->prepared[i]);
	(void)sqlite3_close(db->sql);
	(void)pthread_mutex_destroy(&db->lock);
	free(db->path);
	free(db);
}
