/* SPDX-License-Identifier: Apache-2.0 */
/* What Ollama's clients ask about models: /api/tags, /api/ps, /api/show, /api/version. */

#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "gateway/ollama.h"
#include "model/ability.h"
#include "model/option.h"

static json_t *details(const struct db_model *m)
{
	json_t *j = json_object(), *families = json_array();

	json_array_append_new(families, answer_text(m->architecture));
	json_object_set_new(j, "parent_model", json_string(""));
	json_object_set_new(j, "format", json_string("gguf"));
	json_object_set_new(j, "family", answer_text(m->architecture));
	json_object_set_new(j, "families", families);
	json_object_set_new(j, "parameter_size",
			    m->parameters >= 1000000000
				    ? json_sprintf("%.1fB", (double)m->parameters / 1e9)
				    : json_sprintf("%.1fM", (double)m->parameters / 1e6));
	json_object_set_new(j, "quantization_level", answer_text(m->quantization));
	return j;
}

static json_t *one(const struct db_model *m, const char *name)
{
	json_t *j = json_object();

	json_object_set_new(j, "name", answer_text(name));
	json_object_set_new(j, "model", answer_text(name));
	json_object_set_new(j, "modified_at", answer_time(m->created));
	json_object_set_new(j, "size", json_integer(m->size_bytes));
	json_object_set_new(j, "digest", answer_text(m->sha256 ? m->sha256 : ""));
	json_object_set_new(j, "details", details(m));
	return j;
}

static void add_names(json_t *list, const struct db_model *m)
{
	CLEANUP(strv_done) struct strv aliases = {0};

	json_array_append_new(list, one(m, m->id));
	option_aliases(m->options, &aliases);
	for (size_t i = 0; i < aliases.count; i++)
		json_array_append_new(list, one(m, aliases.items[i]));
}

static void add_running(struct api *a, json_t *list, const struct db_model *m)
{
	struct option_facts facts = {.context_length = m->context_length, .mode = m->mode};
	struct model_live live = {0};
	int64_t bytes;
	json_t *j;

	switcher_live(a->s.switcher, m->id, &live);
	if (live.worker) {
		bytes = worker_memory_bytes(live.worker);
		j = one(m, m->id);
		json_object_set_new(j, "size", json_integer(bytes));
		json_object_set_new(
			j, "size_vram",
			json_integer(strcmp(worker_device(live.worker), "none") == 0 ? 0 : bytes));
		json_object_set_new(j, "expires_at", json_null());
		json_object_set_new(j, "context_length",
				    json_integer(option_n_ctx(m->options, &facts)));
		json_array_append_new(list, j);
	}
	model_live_done(&live);
}

static bool list(struct call *c, bool running, struct err *e)
{
	struct db_model *models = NULL;
	json_t *found = json_array();
	size_t count = 0;

	if (!db_model_list(c->api->s.db, &models, &count, e)) {
		json_decref(found);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (running)
			add_running(c->api, found, &models[i]);
		else
			add_names(found, &models[i]);
	}
	db_models_free(models, count);
	json_object_clear(c->reply); /* no "success" here */
	call_set(c, "models", found);
	return true;
}

bool ollama_tags(struct call *c, struct err *e)
{
	return list(c, false, e);
}

bool ollama_ps(struct call *c, struct err *e)
{
	return list(c, true, e);
}

bool ollama_version(struct call *c, struct err *e)
{
	json_object_clear(c->reply);
	call_set(c, "version", json_string(SHUNT_VERSION));
	return true;
}

static json_t *capabilities(const struct db_model *m)
{
	json_t *j = json_array();
	struct ability can;

	ability_find(m, ABILITY_MEDIA | ABILITY_TOOLS, &can);
	json_array_append_new(j,
			      json_string(strcmp(can.mode, "chat") == 0 ? "completion" : can.mode));
	if (can.tools)
		json_array_append_new(j, json_string("tools"));
	if (can.vision)
		json_array_append_new(j, json_string("vision"));
	return j;
}

static json_t *info(const struct db_model *m)
{
	json_t *j = json_object();
	CLEANUP(free) char *context = mem_printf("%s.context_length", m->architecture);

	json_object_set_new(j, "general.architecture", answer_text(m->architecture));
	json_object_set_new(j, "general.parameter_count", json_integer(m->parameters));
	json_object_set_new(j, context, json_integer(m->context_length));
	return j;
}

/* By the name that the body has. */
static bool find(struct call *c, struct db_model *ret, struct err *e)
{
	const char *name = call_text(c, "model");
	const struct route *route;

	if (!name)
		name = call_text(c, "name");
	if (!name)
		return err_set(e, ERR_INVALID, "field 'model' is missing");
	route = ollama_route(c->api->s.routes, name);
	if (route && db_model_get(c->api->s.db, route_model(route), ret, e))
		return true;
	if (!route)
		(void)err_set(e, ERR_NOT_FOUND, "model '%.200s' does not exist", name);
	return err_hint(e, "GET /api/tags lists those that do");
}

bool ollama_show(struct call *c, struct err *e)
{
	struct db_model m = {0};

	if (!find(c, &m, e))
		return false;
	json_object_clear(c->reply);
	call_set(c, "modelfile", json_sprintf("FROM %s\n", m.path));
	call_set(c, "parameters", json_string(""));
	call_set(c, "template", json_string(""));
	call_set(c, "details", details(&m));
	call_set(c, "model_info", info(&m));
	call_set(c, "capabilities", capabilities(&m));
	call_set(c, "modified_at", answer_time(m.created));
	db_model_done(&m);
	return true;
}
