/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/target.h"

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
