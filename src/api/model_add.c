/* SPDX-License-Identifier: Apache-2.0 */
/* POST /llm/api/models: a file that is here, or a name to fetch. */

#include "api/handlers.h"
#include "base/log.h"
#include "model/catalog.h"
#include "model/option.h"
#include "model/pull.h"

/* All that can be refused, before anything changes. */
static bool check(const struct call *c, const json_t *options, const char *id, char **ret_options,
		  struct err *e)
{
	const char *name = call_text(c, "gpu_backend");
	const struct backend *b = NULL;
	CLEANUP(free) char *environment = NULL;
	struct toolkit tk = {0};

	if (!option_merge("{}", options, ret_options, NULL, e) ||
	    !model_check_projector(options, e) || (name && !backend_require(name, &b, e)))
		return false;
	environment = id && b ? env_name(id, b->name) : NULL;
	return !b || (environment && envs_ready(c->api->s.envs, environment, b, NULL)) ||
	       envs_toolkit(c->api->s.envs, environment, b, NULL, &tk, e);
}

static bool add_path(struct call *c, const char *path, const char *id, const char *options,
		     struct err *e)
{
	const char *backend = call_text(c, "gpu_backend");
	struct switch_answer answer = {0};
	struct db_model m = {0};
	bool ok = true;

	if (!catalog_add(c->api->s.db, path, id, options, false, &m, e))
		return false;
	switcher_model_added(c->api->s.switcher, m.id);
	log_info("model added model=%s path=\"%s\"", m.id, m.path);
	if (backend) {
		ok = switch_backend(c->api->s.switcher, m.id, backend, RELOAD_NO, false, NULL,
				    &answer, e);
		if (ok) {
			call_set(c, "task_id", answer_text(answer.task));
			call_set(c, "environment", answer_text(answer.environment));
			free(answer.environment);
		} else {
			(void)err_wrap(e, "model '%s' is added, but", m.id);
		}
	}
	if (ok) {
		struct db_model now = {0};

		ok = model_require(c->api, m.id, &now, e);
		if (ok)
			call_set(c, "model", model_json(c->api, &now));
		db_model_done(&now);
	}
	db_model_done(&m);
	c->status = MHD_HTTP_CREATED;
	return ok;
}

static bool pull(struct call *c, const char *name, const char *id, const json_t *options,
		 const char *text, struct err *e)
{
	const struct api_settings *s = &c->api->s;
	char task[TASK_ID_SIZE] = "";

	if (!catalog_pull_known(name, e) ||
	    !catalog_pull(s->tasks, s->db, s->pull, name, id, text, task, e) ||
	    !pulls_follow(c->api, task, call_text(c, "gpu_backend"), options, e))
		return false;
	call_set(c, "task_id", answer_text(task));
	c->status = MHD_HTTP_ACCEPTED;
	return true;
}

bool models_add(struct call *c, struct err *e)
{
	const char *path = call_text(c, "path"), *name = call_text(c, "pull");
	CLEANUP(json_decref) json_t *options = model_options_of(c);
	CLEANUP(free) char *from_path = NULL;
	CLEANUP(free) char *text = NULL;
	const char *id = call_text(c, "id");

	if (path && !id)
		from_path = catalog_id_from_path(path);
	if (from_path)
		id = from_path;
	if (!check(c, options, id, &text, e))
		return false;
	return path ? add_path(c, path, id, text, e) : pull(c, name, id, options, text, e);
}
