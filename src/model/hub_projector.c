/* SPDX-License-Identifier: Apache-2.0 */
/* The projector (mmproj) beside a model of a hub: with it the model takes images or sound. A new
 * model gets it; one that is known keeps what its user chose. */

#include <stdlib.h>
#include <string.h>

#include "model/ability.h"
#include "model/hub_priv.h"
#include "model/option.h"

static char *path_of(const struct hub_pull *p)
{
	return hub_local_path(p, &p->choice.files[p->choice.count]);
}

static bool fits_known(const struct db_model *m, const char *path)
{
	CLEANUP(free) char *set = option_projector(m->options);

	return set && strcmp(set, path) == 0;
}

bool hub_wants_projector(const struct hub_pull *p)
{
	CLEANUP(free) char *asked = option_projector(p->options);
	CLEANUP(free) char *path = NULL;
	struct db_model m = {0};
	bool wanted;

	if (!p->choice.has_projector || asked)
		return false;
	if (strcmp(option_runtime(p->options), "python") == 0) {
		task_logf(p->task,
			  "%s is in the repository too; the runtime python has no use for it",
			  p->choice.files[p->choice.count].path);
		return false;
	}
	if (!db_model_get(p->db, p->id, &m, NULL))
		return true;
	path = path_of(p);
	wanted = fits_known(&m, path);
	if (!wanted)
		task_logf(p->task,
			  "%s is in the repository too; '%s' keeps its options, and a model that "
			  "is new gets it",
			  p->choice.files[p->choice.count].path, p->id);
	db_model_done(&m);
	return wanted;
}

char *hub_projector_options(struct hub_pull *p)
{
	CLEANUP(free) char *path = NULL;
	json_t *options;
	struct err why = {0};
	char *text;

	if (!p->projector)
		return NULL;
	path = path_of(p);
	if (!ability_check_projector(path, &why)) {
		p->projector = false;
		task_logf(p->task, "the model comes without %s: %s",
			  p->choice.files[p->choice.count].path, why.msg);
		return NULL;
	}
	options = json_pack("{s:s}", "mmproj", path);
	text = json_dumps(options, JSON_COMPACT);
	json_decref(options);
	return text;
}
