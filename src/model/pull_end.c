/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/part.h"
#include "model/catalog.h"
#include "model/pull.h"

#define LOCK_POLL_MS 100

bool pull_lock(struct task *t, const char *path, const char *what, int *ret_fd, struct err *e)
{
	for (;;) {
		if (!fs_lock(path, FS_LOCK_TRY, ret_fd, e))
			return false;
		if (*ret_fd >= 0)
			return true;
		task_title(t, "Waiting for another pull of %s", what);
		if (task_cancelled(t))
			return err_set(e, ERR_CANCELLED, "cancelled while another pull ran");
		clock_sleep(LOCK_POLL_MS);
	}
}

bool pull_offline(const char *what, struct err *e)
{
	(void)err_set(e, ERR_UNAVAILABLE, "'%.200s' is not here, and the daemon is offline", what);
	return err_hint(e, "set offline to no in shunt.conf, or bring the file and shunt add FILE");
}

static void sweep(struct task *t, const char *models_dir)
{
	int64_t bytes = part_sweep(models_dir, PULL_PART_AGE_S);

	if (bytes > 0)
		task_logf(t, "removed %lld MB of downloads that nobody went on with",
			  (long long)(bytes / 1000000));
}

bool pull_check_room(struct task *t, const char *models_dir, const char *what, int64_t need,
		     const char *hint, struct err *e)
{
	int64_t room = 0;

	if (!fs_free_bytes(models_dir, &room, e))
		return false;
	if (room >= need)
		return true;
	sweep(t, models_dir);
	if (!fs_free_bytes(models_dir, &room, e))
		return false;
	if (room >= need)
		return true;
	err_set(e, ERR_NO_SPACE, "'%.100s' needs %lld MB more in '%.200s', which has %lld", what,
		(long long)(need / 1000000), models_dir, (long long)(room / 1000000));
	return err_hint(e, "make room there%s", hint);
}

static bool is_free(struct db *db, const char *id, const char *path, struct err *e)
{
	struct db_model m = {0};
	struct err absent = {0};
	bool ok;

	if (!db_model_get(db, id, &m, &absent))
		return absent.kind == ERR_NOT_FOUND || err_set(e, absent.kind, "%s", absent.msg);
	ok = strcmp(m.path, path) == 0;
	if (!ok) {
		err_set(e, ERR_CONFLICT, "model id '%s' is taken by '%.300s'", id, m.path);
		(void)err_hint(e, "give another id, or shunt rm %.150s", id);
	}
	db_model_done(&m);
	return ok;
}

bool pull_id_is_free(struct db *db, const char *id, const char *path, const char *options,
		     struct err *e)
{
	return is_free(db, id, path, e) && catalog_names_free(db, id, options, e);
}

/* A model that is known keeps its options and its place; what its file says may have changed. */
bool pull_register(struct db *db, const char *path, const char *id, const char *sha256,
		   const char *options, struct err *e)
{
	struct db_model m = {0};
	bool ok;

	if (!is_free(db, id, path, e))
		return false;
	ok = db_model_get(db, id, &m, NULL) ? catalog_read_file(&m, e)
					    : catalog_add(db, path, id, options, true, &m, e);
	if (ok) {
		if (sha256) {
			free(m.sha256);
			m.sha256 = sha256[0] ? mem_dup(sha256) : NULL;
		}
		ok = db_model_set_file(db, &m, e);
	}
	db_model_done(&m);
	return ok;
}
