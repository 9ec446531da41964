/* SPDX-License-Identifier: Apache-2.0 */
/* What an environment is built with: what is installed, or what pip has, if the user wants that. */

#include <stdlib.h>
#include <string.h>

#include "env/env_priv.h"

void envs_check(struct envs *es, const struct backend *b, const char *arch, struct toolkit *ret)
{
	engine_check(es->s.engine, b, es->self, arch, ret);
}

/* Asked for before anything begins: half a gigabyte is not fetched unasked. What is in the store
 * was allowed once. */
static bool may_fetch(struct envs *es, const struct backend *b, const struct env_wish *w,
		      const struct toolkit *tk, struct err *e)
{
	CLEANUP(recipe_free) struct recipe *r = NULL;
	int64_t bytes;

	if (!tk->fetched || es->s.provision || (w && w->provision))
		return true;
	if (!engine_recipe(es->s.engine, b, tk, &r, e))
		return false;
	if (w && w->anew)
		recipe_anew(r, "anew");
	bytes = engine_missing_bytes(es->s.engine, es->s.store, r);
	if (bytes == 0)
		return true;
	(void)err_set(e, ERR_CONSENT,
		      "%s needs its compiler and libraries, %lld MB to fetch with pip, under "
		      "NVIDIA's license",
		      b->title, (long long)(bytes / 1000000));
	return err_hint(e, "say yes with --yes (\"provision\": true in the API), for ever with "
			   "toolkit_provision = auto; or install a CUDA toolkit");
}

bool env_toolkit(struct envs *es, const struct db_env *row, const struct backend *b,
		 const struct env_wish *w, struct toolkit *ret, struct err *e)
{
	envs_check(es, b, w && w->arch[0] ? w->arch : row->arch, ret);
	return toolkit_require(b, ret, e) && may_fetch(es, b, w, ret, e);
}

bool envs_toolkit(struct envs *es, const char *name, const struct backend *b,
		  const struct env_wish *w, struct toolkit *ret, struct err *e)
{
	CLEANUP(db_env_done) struct db_env row = {0};
	struct err absent = {0};

	if (name && !db_env_get(es->s.db, name, &row, &absent) && absent.kind != ERR_NOT_FOUND) {
		*e = absent;
		return false;
	}
	return env_toolkit(es, &row, b, w, ret, e);
}

bool env_has_arch(const struct db_env *row, const struct env_wish *w, struct err *e)
{
	if (!w || !w->arch[0] || (row->arch && strcmp(row->arch, w->arch) == 0))
		return true;
	(void)err_set(e, ERR_CONFLICT, "environment '%s' is built for %s, not for %s", row->name,
		      row->arch ? row->arch : "the GPUs of this machine", w->arch);
	return err_hint(e, "shunt env rebuild %s %s --arch %s", row->name, row->backend, w->arch);
}

bool envs_has_arch(struct envs *es, const char *name, const struct env_wish *w, struct err *e)
{
	CLEANUP(db_env_done) struct db_env row = {0};

	return db_env_get(es->s.db, name, &row, e) && env_has_arch(&row, w, e);
}
