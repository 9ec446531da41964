/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/models, as OpenAI's clients read it. */

#include "api/handlers.h"
#include "model/option.h"

static json_t *openai_json(const struct db_model *m, const char *name)
{
	json_t *meta, *j = json_object();

	json_object_set_new(j, "id", answer_text(name));
	json_object_set_new(j, "object", json_string("model"));
	json_object_set_new(j, "created", json_integer(m->created / 1000));
	json_object_set_new(j, "owned_by", json_string("shunt"));
	meta = json_object();
	json_object_set_new(meta, "n_ctx_train", json_integer(m->context_length));
	json_object_set_new(meta, "n_params", json_integer(m->parameters));
	json_object_set_new(meta, "size", json_integer(m->size_bytes));
	json_object_set_new(j, "meta", meta);
	return j;
}

/* By its id and each alias: what a client may ask for. */
static void add_names(json_t *list, const struct db_model *m)
{
	CLEANUP(strv_done) struct strv aliases = {0};

	json_array_append_new(list, openai_json(m, m->id));
	option_aliases(m->options, &aliases);
	for (size_t i = 0; i < aliases.count; i++)
		json_array_append_new(list, openai_json(m, aliases.items[i]));
}

bool models_openai(struct call *c, struct err *e)
{
	struct db_model *models = NULL;
	size_t count = 0;
	json_t *list;

	if (!db_model_list(c->api->s.db, &models, &count, e))
		return false;
	list = json_array();
	for (size_t i = 0; i < count; i++)
		add_names(list, &models[i]);
	db_models_free(models, count);
	json_object_clear(c->reply); /* no "success" here */
	call_set(c, "object", json_string("list"));
	call_set(c, "data", list);
	return true;
}

bool models_openai_one(struct call *c, struct err *e)
{
	struct db_model m = {0};

	if (!model_require(c->api, c->match.part, &m, e))
		return false;
	json_decref(c->reply);
	c->reply = openai_json(&m, m.id);
	db_model_done(&m);
	return true;
}
