/* SPDX-License-Identifier: Apache-2.0 */
/* The schema: numbered steps, each run once, each with its number in one transaction. Only append.
 */

#include "db/db_priv.h"

#define APPLICATION_ID 0x53484e54 /* "SHNT": a database of another program is not touched */

static const char *const migrations[] = {
	/* 1: the beginning */
	"CREATE TABLE environments ("
	"  name TEXT PRIMARY KEY NOT NULL, backend TEXT NOT NULL, state TEXT NOT NULL,"
	"  base_digest TEXT, module_digest TEXT, device TEXT, device_name TEXT, reason TEXT,"
	"  size_bytes INTEGER NOT NULL, created INTEGER NOT NULL, verified INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE TABLE models ("
	"  id TEXT PRIMARY KEY NOT NULL, path TEXT NOT NULL, size_bytes INTEGER NOT NULL,"
	"  sha256 TEXT, architecture TEXT, name TEXT, quantization TEXT,"
	"  parameters INTEGER NOT NULL, context_length INTEGER NOT NULL, mode TEXT,"
	"  backend TEXT, environment TEXT REFERENCES environments(name),"
	"  runtime TEXT, options TEXT, pulled INTEGER NOT NULL, created INTEGER NOT NULL,"
	"  CHECK ((backend IS NULL) = (environment IS NULL))"
	") WITHOUT ROWID;"
	"CREATE INDEX models_by_environment ON models(environment);"
	"CREATE TABLE tasks ("
	"  id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, model TEXT, environment TEXT,"
	"  backend TEXT, state TEXT NOT NULL, step TEXT, step_n INTEGER NOT NULL,"
	"  step_count INTEGER NOT NULL, percent REAL NOT NULL, message TEXT, error_type TEXT,"
	"  error_message TEXT, error_hint TEXT, result TEXT, created INTEGER NOT NULL,"
	"  started INTEGER NOT NULL, finished INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE INDEX tasks_by_state ON tasks(state);"
	"CREATE TABLE events ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL,"
	"  subject TEXT, text TEXT);",
	/* 2: what was loaded when the daemon stopped */
	"ALTER TABLE models ADD COLUMN loaded INTEGER NOT NULL DEFAULT 0;",
	/* 3: what the last load in an environment took */
	"CREATE TABLE loads ("
	"  environment TEXT PRIMARY KEY NOT NULL"
	"    REFERENCES environments(name) ON DELETE CASCADE,"
	"  what TEXT NOT NULL, device_bytes INTEGER NOT NULL, host_bytes INTEGER NOT NULL,"
	"  mapped_bytes INTEGER NOT NULL, private_bytes INTEGER NOT NULL, at INTEGER NOT NULL"
	") WITHOUT ROWID;",
	/* 4: the Python of an environment */
	"ALTER TABLE environments ADD COLUMN python_digest TEXT;"
	"ALTER TABLE environments ADD COLUMN python_version TEXT;"
	"ALTER TABLE environments ADD COLUMN python_program TEXT;"
	"ALTER TABLE environments ADD COLUMN python_seen TEXT;"
	"ALTER TABLE environments ADD COLUMN python_reason TEXT;",
	/* 5: the runtime python; which runtime a model has is an option */
	("ALTER TABLE environments ADD COLUMN server_digest TEXT;"
	 "ALTER TABLE models DROP COLUMN runtime;"),
	/* 6: a task that has done what it was asked for, and goes on */
	"ALTER TABLE tasks ADD COLUMN done INTEGER NOT NULL DEFAULT 0;",
	/* 7: how fast models are */
	"CREATE TABLE benchmarks ("
	"  name TEXT PRIMARY KEY NOT NULL,"
	"  model TEXT NOT NULL REFERENCES models(id) ON DELETE CASCADE,"
	"  backend TEXT NOT NULL, environment TEXT NOT NULL, file TEXT NOT NULL,"
	"  base_digest TEXT NOT NULL, module_digest TEXT, device TEXT NOT NULL, driver TEXT,"
	"  options TEXT NOT NULL, prompt_per_second REAL NOT NULL,"
	"  answer_per_second REAL NOT NULL, at INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE INDEX benchmarks_by_model ON benchmarks(model);",
	/* 8: what a load took, by what it was for; what is known so far says too little */
	"DROP TABLE loads;"
	"CREATE TABLE loads ("
	"  environment TEXT PRIMARY KEY NOT NULL"
	"    REFERENCES environments(name) ON DELETE CASCADE,"
	"  file TEXT NOT NULL, device TEXT NOT NULL, options TEXT NOT NULL,"
	"  device_weights INTEGER NOT NULL, device_cache INTEGER NOT NULL,"
	"  device_compute INTEGER NOT NULL, host_weights INTEGER NOT NULL,"
	"  host_cache INTEGER NOT NULL, host_compute INTEGER NOT NULL,"
	"  mapped_bytes INTEGER NOT NULL, private_bytes INTEGER NOT NULL,"
	"  driver_bytes INTEGER NOT NULL, at INTEGER NOT NULL"
	") WITHOUT ROWID;",
	/* 9: CUDA from pip, and what it is built for */
	("ALTER TABLE environments ADD COLUMN libraries_digest TEXT;"
	 "ALTER TABLE environments ADD COLUMN arch TEXT;"),
};

static const char doing[] = "preparing the database";

static bool ask(struct db *db, const char *sql, int64_t *ret, struct err *e)
{
	CLEANUP(query_end) struct query q = {0};

	if (!query(db, sql, doing, &q, e))
		return false;
	if (query_row(&q, e))
		*ret = sqlite3_column_int64(q.stmt, 0);
	return !q.failed;
}

static bool is_ours(struct db *db, struct err *e)
{
	int64_t id = 0, tables = 0;

	if (!ask(db, "PRAGMA application_id", &id, e) ||
	    !ask(db, "SELECT count(*) FROM sqlite_schema", &tables, e))
		return false;
	if (id == APPLICATION_ID || (id == 0 && tables == 0))
		return true;
	(void)err_set(e, ERR_CONFLICT, "'%s' is a database of another program", db->path);
	return err_hint(e, "choose another folder with --state-dir");
}

static bool run_step(struct db *db, int number, struct err *e)
{
	CLEANUP(free)
	char *sql = mem_printf("%s PRAGMA application_id=%d; PRAGMA user_version=%d",
			       migrations[number - 1], APPLICATION_ID, number);
	bool ok = db_exec(db, "BEGIN IMMEDIATE", doing, e) && db_exec(db, sql, doing, e);

	return db_end_transaction(db, ok, doing, e);
}

bool db_migrate(struct db *db, struct err *e)
{
	int64_t version = 0;
	int known = (int)ARRAY_LEN(migrations);

	if (!is_ours(db, e) || !ask(db, "PRAGMA user_version", &version, e))
		return false;
	if (version > known) {
		(void)err_set(e, ERR_NOT_SUPPORTED,
			      "'%s' was written by a newer Shunt (schema %lld, this one knows %d)",
			      db->path, (long long)version, known);
		return err_hint(e, "install that version again, or choose another --state-dir");
	}
	for (int number = (int)version + 1; number <= known; number++) {
		if (!run_step(db, number, e))
			return false;
	}
	return true;
}
