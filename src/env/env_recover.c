/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "env/env_priv.h"
#include "env/env_python.h"

/* Work folders of checks whose daemon has died. */
static bool sweep(void *arg, const char *name, struct err *e)
{
	CLEANUP(free) char *path = fs_join(arg, name);

	if (strncmp(name, ENV_CHECK_PREFIX, strlen(ENV_CHECK_PREFIX)) != 0)
		return true;
	return fs_remove_tree(path, e);
}

/* Roots are kept by name in the store; ours may be one short after a crash. */
static void keep_pieces(struct envs *es, const struct db_env *row)
{
	const char *digests[ENV_PIECES];
	struct err e = {0};

	env_digests(row, digests);
	for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
		if (digests[i] && !store_root_add(es->s.store, digests[i], &e)) {
			log_warn("root missing environment=%s reason=\"%s\", continuing", row->name,
				 e.msg);
			err_clear(&e);
		}
	}
}

/* What a person looks at, and Python's; workers don't need it, so the daemon starts without. */
static void remake_folder(struct envs *es, const struct db_env *row)
{
	CLEANUP(free) char *folder = fs_join(es->envs_dir, row->name);
	CLEANUP(free) char *last = fs_join(folder, "env.json");
	struct err e = {0};

	if (fs_exists(last) && env_python_facts(es, row, folder, &e))
		return;
	err_clear(&e);
	if (!env_folder_make(es, row, &e))
		log_warn("environment=%s has no whole folder reason=\"%s\", continuing", row->name,
			 e.msg);
}

static bool recover_one(struct envs *es, struct db_env *row, struct err *e)
{
	enum env_state state;

	if (!env_state_find(row->state, &state))
		return err_set(e, ERR_SYSTEM, "environment '%s' is in unknown state '%s'",
			       row->name, row->state);
	switch (state) {
	case ENV_PLANNED: /* nothing of it exists */
	case ENV_REMOVED: /* the folder has gone already */
		return db_env_delete(es->s.db, row->name, e);
	case ENV_BUILDING:
		return env_set_state(es->s.db, row, ENV_FAILED,
				     "the daemon stopped during the build", e);
	case ENV_BUILT:
	case ENV_READY:
		if (!env_pieces_there(es, row))
			return env_set_state(es->s.db, row, ENV_FAILED,
					     "its pieces are no longer in the store", e);
		keep_pieces(es, row);
		remake_folder(es, row);
		return true;
	case ENV_FAILED:
	case ENV_STATE_COUNT:
		return true;
	}
	return true;
}

bool env_recover(struct envs *es, struct err *e)
{
	struct db_env *list = NULL;
	size_t count = 0;
	int swept = 0;
	bool ok = true;

	if (!store_sweep(es->s.store, &swept, e) ||
	    !fs_each(es->envs_dir, sweep, es->envs_dir, e) ||
	    !db_env_list(es->s.db, &list, &count, e))
		return false;
	if (swept > 0)
		log_info("leftover builds removed count=%d", swept);
	for (size_t i = 0; i < count && ok; i++)
		ok = recover_one(es, &list[i], e);
	db_envs_free(list, count);
	return ok;
}
