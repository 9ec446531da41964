/* SPDX-License-Identifier: Apache-2.0 */
/* Environments: what is there, what is in use, what can go. */

#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/fs.h"
#include "base/log.h"

/* Ids of the models whose association names this environment. */
static json_t *users_json(const struct db_model *models, size_t count, const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		if (models[i].environment && strcmp(models[i].environment, name) == 0)
			json_array_append_new(list, answer_text(models[i].id));
	return list;
}

static json_t *verification_json(const struct db_env *env)
{
	json_t *j;

	if (!env->verified)
		return json_null();
	j = json_object();
	json_object_set_new(j, "device", answer_text(env->device));
	json_object_set_new(j, "device_name", answer_text(env->device_name));
	json_object_set_new(j, "at", answer_time(env->verified));
	return j;
}

static json_t *python_json(const struct api *a, const struct db_env *env, const char *folder)
{
	const char *why_not = envs_python_why_not(a->s.envs, env);
	CLEANUP(free) char *path = why_not || !folder ? NULL : fs_join(folder, "bin/python");
	json_t *j = json_object();

	json_object_set_new(j, "version", answer_text(env->python_version));
	json_object_set_new(j, "path", answer_text(path));
	json_object_set_new(j, "why_not", answer_text(why_not));
	return j;
}

static json_t *env_json(const struct api *a, const struct db_env *env)
{
	json_t *digests = json_object(), *j = json_object();
	CLEANUP(free) char *path = a->s.envs_dir ? fs_join(a->s.envs_dir, env->name) : NULL;

	json_object_set_new(digests, "base", answer_text(env->base_digest));
	json_object_set_new(digests, "module", answer_text(env->module_digest));
	json_object_set_new(digests, "libraries", answer_text(env->libraries_digest));
	json_object_set_new(digests, "python", answer_text(env->python_digest));
	json_object_set_new(digests, "python_server", answer_text(env->server_digest));
	json_object_set_new(j, "name", answer_text(env->name));
	json_object_set_new(j, "backend", answer_text(env->backend));
	json_object_set_new(j, "state", answer_text(env->state));
	json_object_set_new(j, "reason", answer_text(env->reason));
	json_object_set_new(j, "path", answer_text(path));
	json_object_set_new(j, "digests", digests);
	json_object_set_new(j, "arch", answer_text(env->arch));
	json_object_set_new(j, "size_bytes", json_integer(env->size_bytes));
	json_object_set_new(j, "verification", verification_json(env));
	json_object_set_new(j, "python", python_json(a, env, path));
	json_object_set_new(j, "created", answer_time(env->created));
	return j;
}

bool environments_list(struct call *c, struct err *e)
{
	struct db_model *models = NULL;
	struct db_env *envs = NULL;
	size_t model_count = 0, count = 0;
	json_t *list;

	if (!db_model_list(c->api->s.db, &models, &model_count, e))
		return false;
	if (!db_env_list(c->api->s.db, &envs, &count, e)) {
		db_models_free(models, model_count);
		return false;
	}
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *j = env_json(c->api, &envs[i]);

		json_object_set_new(j, "models", users_json(models, model_count, envs[i].name));
		json_array_append_new(list, j);
	}
	call_set(c, "environments", list);
	db_models_free(models, model_count);
	db_envs_free(envs, count);
	return true;
}

static bool env_require(struct call *c, struct db_env *ret, struct err *e)
{
	if (db_env_get(c->api->s.db, c->match.part, ret, e))
		return true;
	return err_hint(e, "shunt env ls lists them");
}

bool environments_get(struct call *c, struct err *e)
{
	struct db_model *models = NULL;
	struct db_env env = {0};
	size_t count = 0;
	json_t *j;

	if (!env_require(c, &env, e))
		return false;
	if (!db_model_list(c->api->s.db, &models, &count, e)) {
		db_env_done(&env);
		return false;
	}
	j = env_json(c->api, &env);
	json_object_set_new(j, "models", users_json(models, count, env.name));
	call_set(c, "environment", j);
	db_models_free(models, count);
	db_env_done(&env);
	return true;
}

/* --- removing ----------------------------------------------------------- */

/* Does this model use the environment, by its association or by its worker? */
static bool uses(struct api *a, const struct db_model *m, const char *name)
{
	struct model_live live = {0};
	bool is = m->environment && strcmp(m->environment, name) == 0;

	switcher_live(a->s.switcher, m->id, &live);
	is = is || (live.worker && strcmp(worker_environment(live.worker), name) == 0);
	model_live_done(&live);
	return is;
}

static bool remove_env(struct call *c, const char *name, struct err *e)
{
	struct api *a = c->api;
	struct db_model *models = NULL;
	const char *user = NULL;
	size_t count = 0;
	bool ok;

	if (!db_model_list(a->s.db, &models, &count, e))
		return false;
	for (size_t i = 0; i < count && !user; i++)
		if (uses(a, &models[i], name))
			user = models[i].id;
	ok = envs_remove(a->s.envs, name, user, e);
	db_models_free(models, count);
	if (!ok)
		return false;
	log_info("environment removed environment=%s", name);
	call_set(c, "name", answer_text(name));
	return true;
}

bool environments_delete(struct call *c, struct err *e)
{
	struct db_env env = {0};

	if (!env_require(c, &env, e))
		return false;
	db_env_done(&env);
	return remove_env(c, c->match.part, e);
}

bool model_delete_environment(struct call *c, struct err *e)
{
	CLEANUP(free) char *name = NULL;
	const struct backend *b = NULL;
	struct db_model m = {0};

	if (!model_require(c->api, c->match.part, &m, e))
		return false;
	if (backend_require(call_query_text(c, "gpu_backend"), &b, e))
		name = switch_environment(&m, b);
	db_model_done(&m);
	return name && remove_env(c, name, e);
}

bool environments_gc(struct call *c, struct err *e)
{
	bool dry_run = call_bool(c, "dry_run");
	struct store_item *items = NULL;
	int64_t bytes = 0;
	size_t count = 0;
	json_t *list;

	if (!envs_drop_roots(c->api->s.envs, switcher_uses_piece, c->api->s.switcher, e) ||
	    !store_gc(c->api->s.store, dry_run, &items, &count, e))
		return false;
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *j = json_object();

		json_object_set_new(j, "digest", answer_text(items[i].digest));
		json_object_set_new(j, "kind", answer_text(items[i].kind));
		json_object_set_new(j, "size_bytes", json_integer(items[i].size_bytes));
		json_array_append_new(list, j);
		bytes += items[i].size_bytes;
	}
	store_items_free(items, count);
	call_set(c, "dry_run", json_boolean(dry_run));
	call_set(c, "removed", list);
	call_set(c, "size_bytes", json_integer(bytes));
	return true;
}

/* --- of one model ------------------------------------------------------- */

static bool status_entry(struct api *a, const struct db_model *m, const struct backend *b,
			 json_t *list, struct err *e)
{
	CLEANUP(free) char *name = switch_environment(m, b);
	struct db_env env = {0};
	struct db_env absent = {
		.name = name, .backend = (char *)b->name, .state = (char *)"absent"};
	struct err why = {0};
	bool known = db_env_get(a->s.db, name, &env, &why);
	json_t *j;

	if (!known && why.kind != ERR_NOT_FOUND) {
		*e = why;
		return false;
	}
	j = env_json(a, known ? &env : &absent);
	if (!known)
		json_object_set_new(j, "path", json_null());
	json_object_set_new(j, "gpu_backend", answer_text(b->name));
	json_object_set_new(j, "ready", json_boolean(envs_ready(a->s.envs, name, b, NULL)));
	json_object_set_new(j, "active",
			    json_boolean(m->backend && strcmp(m->backend, b->name) == 0));
	json_array_append_new(list, j);
	db_env_done(&env);
	return true;
}

bool model_environment_status(struct call *c, struct err *e)
{
	CLEANUP(json_decref) json_t *list = json_array();
	struct db_model m = {0};
	bool ok = model_require(c->api, c->match.part, &m, e);

	for (const struct backend *const *b = backend_all(); *b && ok; b++)
		ok = status_entry(c->api, &m, *b, list, e);
	db_model_done(&m);
	if (ok)
		call_set(c, "environments", json_incref(list));
	return ok;
}
