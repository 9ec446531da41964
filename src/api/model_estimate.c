/* SPDX-License-Identifier: Apache-2.0 */
/* What a load would take, without one. */

#include <stdlib.h>

#include "api/handlers.h"
#include "model/option.h"

static void set(json_t *j, const char *name, json_t *value)
{
	json_object_set_new(j, name, value);
}

static json_t *known(bool is, int64_t n)
{
	return is ? json_integer(n) : json_null();
}

static json_t *place_json(const char *place, const struct fit_share *s, int64_t bytes,
			  int64_t free_bytes)
{
	json_t *j = json_object();

	set(j, "place", answer_text(place));
	set(j, "weights_bytes", json_integer(s->parts.weights));
	set(j, "cache_bytes", json_integer(s->parts.cache));
	set(j, "compute_bytes", json_integer(s->parts.compute));
	set(j, "other_bytes", json_integer(s->other));
	set(j, "bytes", json_integer(bytes));
	set(j, "free_bytes", known(free_bytes >= 0, free_bytes));
	return j;
}

static json_t *memory_json(const struct forecast *f)
{
	json_t *list = json_array();

	if (f->backend->device_prefix)
		json_array_append_new(list, place_json(f->fit.device, &f->fit.of_device,
						       f->fit.need_device, f->fit.free_device));
	json_array_append_new(list,
			      place_json("RAM", &f->fit.of_ram, f->fit.need_ram, f->fit.free_ram));
	return list;
}

/* With fewer layers it fits, too. */
static json_t *fits_json(const struct fit *f)
{
	bool is_known = f->free_ram >= 0 && (f->one_pool || f->free_device >= 0);

	return is_known || f->missing ? json_boolean(f->fits || f->fewer) : json_null();
}

static json_t *forecast_json(const struct forecast *f)
{
	const struct fit *fit = &f->fit;
	json_t *j = json_object();

	set(j, "gpu_backend", answer_text(f->backend->name));
	set(j, "device", answer_text(f->backend->device_prefix ? fit->device : "none"));
	set(j, "environment_ready", json_boolean(f->ready));
	set(j, "by", answer_text(fit_by_name(fit->by)));
	set(j, "fits", fits_json(fit));
	set(j, "why", answer_text(fit->text));
	set(j, "gpu_layers", known(fit->layers > 0, fit->layers_on));
	set(j, "layers", known(fit->layers > 0, fit->layers));
	set(j, "shared", json_boolean(f->backend->device_prefix && fit->one_pool));
	set(j, "memory", memory_json(f));
	return j;
}

/* The model's with those of the body. */
static bool merge(const struct call *c, const char *stored, char **ret, struct err *e)
{
	json_t *changes = model_options_of(c);
	bool ok = option_merge(stored, changes, ret, NULL, e) && model_check_projector(changes, e);

	json_decref(changes);
	return ok;
}

bool models_estimate(struct call *c, struct err *e)
{
	CLEANUP(free) char *options = NULL;
	struct forecast f = {0};
	struct db_model m = {0};
	bool ok = model_require(c->api, c->match.part, &m, e) && merge(c, m.options, &options, e);

	if (ok) {
		struct db_model as = m;

		as.options = options;
		ok = switch_forecast(c->api->s.switcher, &as, call_text(c, "gpu_backend"), &f, e);
	}
	if (ok)
		call_set(c, "estimate", forecast_json(&f));
	db_model_done(&m);
	return ok;
}
