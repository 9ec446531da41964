/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/target.h"

#include <string.h>

#include "gateway/media.h"

#define SHOWN 8 /* names in an error */

static bool name_the_choices(const struct strv *loaded, struct err *e)
{
	CLEANUP(buf_done) struct buf names = {0};

	for (size_t i = 0; i < loaded->count && i < SHOWN; i++)
		buf_printf(&names, "%s%s", i > 0 ? ", " : "", loaded->items[i]);
	if (loaded->count > SHOWN)
		buf_str(&names, " …");
	if (loaded->count == 0)
		err_set(e, ERR_INVALID, "the body names no model, and none is loaded");
	else
		err_set(e, ERR_INVALID, "the body names no model, and %zu are loaded: %.300s",
			loaded->count, names.data);
	return err_hint(e, "add \"model\": one of GET /v1/models");
}

static bool only_loaded(const struct gateway *g, struct route **ret, struct err *e)
{
	CLEANUP(strv_done) struct strv loaded = {0};

	switcher_loaded(g->switcher, &loaded);
	*ret = loaded.count == 1 ? routes_find(g->routes, loaded.items[0]) : NULL;
	return *ret || name_the_choices(&loaded, e);
}

static bool lacks(const char *model, const char *what, struct err *e)
{
	err_set(e, ERR_INVALID, "model '%s' takes no %s: it has no projector for that", model,
		what);
	return err_hint(e, "shunt set %s mmproj=FILE, then load it again", model);
}

bool target_runtime_has(const struct runtime *r, const char *path, struct err *e)
{
	const struct gateway_path *known = gateway_path(path);

	if (r != &runtime_python || (known && known->python))
		return true;
	err_set(e, ERR_NOT_SUPPORTED, "runtime %s has no %s", r->name, path);
	return err_hint(e, "shunt set MODEL runtime=server, then load it again");
}

bool target_can(const struct gateway *g, const char *model, const struct gateway_path *path,
		unsigned media, struct err *e)
{
	struct ability can = {0};

	if (!path->mode && !media)
		return true;
	if (!switcher_ability(g->switcher, model, media ? ABILITY_MEDIA : 0, &can, e))
		return false;
	if (path->mode && strcmp(path->mode, can.mode) != 0) {
		err_set(e, ERR_INVALID, "model '%s' is for mode %s, %s needs one for %s", model,
			can.mode, path->path, path->mode);
		return err_hint(e, "GET /llm/api/models lists each model's mode; shunt set MODEL "
				   "mode=… changes it");
	}
	if ((media & (MEDIA_IMAGE | MEDIA_VIDEO)) && !can.vision)
		return lacks(model, "images", e);
	return !(media & MEDIA_AUDIO) || can.audio || lacks(model, "sound", e);
}

bool target_find(const struct gateway *g, const struct scan *s, struct route **ret, struct err *e)
{
	if (s->odd_model) {
		err_set(e, ERR_INVALID, "the body's model is not a string");
		return err_hint(e, "add \"model\": one of GET /v1/models");
	}
	if (!s->model[0])
		return only_loaded(g, ret, e);
	*ret = routes_find(g->routes, s->model);
	if (*ret)
		return true;
	err_set(e, ERR_NOT_FOUND, "model '%.200s' does not exist", s->model);
	return err_hint(e, "GET /v1/models lists those that do");
}
