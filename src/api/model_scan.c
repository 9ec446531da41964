/* SPDX-License-Identifier: Apache-2.0 */
/* POST /llm/api/models/scan: registers what is below a folder, or where other programs keep models.
 */

#include "api/handlers.h"
#include "base/log.h"
#include "model/discover.h"

struct found {
	struct api *api;
	json_t *lists[DISCOVERED_UNFIT + 1];
};

static void tell(void *arg, const struct discovery *d)
{
	struct found *f = arg;
	json_t *j = json_object();

	json_object_set_new(j, "path", answer_text(d->path));
	if (d->id)
		json_object_set_new(j, "id", answer_text(d->id));
	if (d->reason)
		json_object_set_new(j, "reason", answer_text(d->reason));
	json_array_append_new(f->lists[d->kind], j);
	if (d->kind != DISCOVERED_NEW)
		return;
	switcher_model_added(f->api->s.switcher, d->id);
	log_info("model found model=%s path=\"%s\"", d->id, d->path);
}

static bool scan(struct call *c, const struct strv *folders, struct found *f, struct err *e)
{
	json_t *list = json_array();
	bool whole = true, all = true, ok = true;

	for (size_t i = 0; i < folders->count && ok; i++) {
		json_array_append_new(list, answer_text(folders->items[i]));
		ok = discover(c->api->s.db, folders->items[i], tell, f, &whole, e);
		all = all && whole;
	}
	call_set(c, "folders", list);
	call_set(c, "whole", json_boolean(all));
	return ok;
}

bool models_scan(struct call *c, struct err *e)
{
	static const char *const names[] = {"added", "known", "skipped"};
	const char *path = call_text(c, "path");
	CLEANUP(strv_done) struct strv folders = {0};
	struct found f = {.api = c->api};

	if (path)
		strv_add(&folders, path);
	else
		discover_places(&folders);
	for (size_t i = 0; i < ARRAY_LEN(f.lists); i++) {
		f.lists[i] = json_array();
		call_set(c, names[i], f.lists[i]);
	}
	return scan(c, &folders, &f, e);
}
