/* SPDX-License-Identifier: Apache-2.0 */
/* A name means one model: ids and aliases of all models are different. */

#include <stdlib.h>
#include <string.h>

#include "model/catalog.h"
#include "model/option.h"

static bool has(const struct strv *names, const char *name, size_t before)
{
	for (size_t i = 0; i < names->count && i < before; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return false;
}

static bool taken(const char *name, const char *how, const char *by, struct err *e)
{
	err_set(e, ERR_CONFLICT, "'%s' is %s model '%s'", name, how, by);
	return err_hint(e, "choose another name");
}

static bool check_own(const char *id, const struct strv *aliases, struct err *e)
{
	for (size_t i = 0; i < aliases->count; i++) {
		const char *name = aliases->items[i];

		if (strcmp(name, id) == 0)
			return err_set(e, ERR_INVALID, "alias '%s' is the model's own id", name);
		if (has(aliases, name, i))
			return err_set(e, ERR_INVALID, "alias '%s' is given twice", name);
	}
	return true;
}

static bool check_other(const struct db_model *other, const char *id, const struct strv *aliases,
			struct err *e)
{
	CLEANUP(strv_done) struct strv theirs = {0};

	option_aliases(other->options, &theirs);
	if (has(&theirs, id, SIZE_MAX))
		return taken(id, "an alias of", other->id, e);
	for (size_t i = 0; i < aliases->count; i++) {
		const char *name = aliases->items[i];

		if (strcmp(name, other->id) == 0)
			return taken(name, "the id of", other->id, e);
		if (has(&theirs, name, SIZE_MAX))
			return taken(name, "an alias of", other->id, e);
	}
	return true;
}

bool catalog_names_free(struct db *db, const char *id, const char *options, struct err *e)
{
	CLEANUP(strv_done) struct strv aliases = {0};
	struct db_model *all = NULL;
	size_t count = 0;
	bool ok;

	option_aliases(options, &aliases);
	/* Another's id is found by the row itself: with no alias, only theirs matter. */
	ok = check_own(id, &aliases, e) &&
	     (aliases.count ? db_model_list(db, &all, &count, e)
			    : db_model_list_aliased(db, &all, &count, e));
	for (size_t i = 0; i < count && ok; i++)
		ok = strcmp(all[i].id, id) == 0 || check_other(&all[i], id, &aliases, e);
	db_models_free(all, count);
	return ok;
}
