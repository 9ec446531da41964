/* SPDX-License-Identifier: Apache-2.0 */
/* What the models are: lists, one, its worker; and what of them can be changed without a task. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/handlers.h"
#include "base/fs.h"
#include "base/log.h"
#include "model/ability.h"
#include "model/catalog.h"
#include "model/option.h"
#include "model/pull.h"

/* --- JSON --------------------------------------------------------------- */

json_t *worker_json(const struct model_live *live)
{
	const struct worker *w = live->worker;
	struct worker_took took;
	json_t *j;

	if (!w)
		return json_null();
	j = json_object();
	json_object_set_new(j, "pid", json_integer(worker_pid(w)));
	json_object_set_new(j, "state", answer_text(worker_state_name(worker_state(w))));
	json_object_set_new(j, "backend", answer_text(worker_backend(w)));
	json_object_set_new(j, "environment", answer_text(worker_environment(w)));
	json_object_set_new(j, "device", answer_text(worker_device(w)));
	json_object_set_new(j, "started", answer_time(worker_started(w)));
	worker_took(w, &took);
	json_object_set_new(j, "gpu_layers",
			    took.layers ? json_integer(took.layers_on) : json_null());
	json_object_set_new(j, "layers", took.layers ? json_integer(took.layers) : json_null());
	json_object_set_new(j, "memory_bytes", json_integer(worker_memory_bytes(w)));
	json_object_set_new(j, "slots", json_integer(worker_slots(w)));
	json_object_set_new(j, "requests", json_integer(live->requests.running));
	json_object_set_new(j, "waiting", json_integer(live->requests.waiting));
	return j;
}

static json_t *capabilities(const struct db_model *m)
{
	json_t *list = json_array();
	struct ability can;

	ability_find(m, ABILITY_MEDIA, &can);
	json_array_append_new(list, json_string(can.mode));
	if (can.vision)
		json_array_append_new(list, json_string("vision"));
	if (can.audio)
		json_array_append_new(list, json_string("audio"));
	return list;
}

static json_t *facts_json(const struct db_model *m)
{
	json_t *options = answer_stored(m->options);
	json_t *j = json_object();

	json_object_set_new(j, "id", answer_text(m->id));
	json_object_set_new(j, "path", answer_text(m->path));
	json_object_set_new(j, "size_bytes", json_integer(m->size_bytes));
	if (m->sha256)
		json_object_set_new(j, "sha256", answer_text(m->sha256));
	json_object_set_new(j, "name", answer_text(m->name));
	json_object_set_new(j, "architecture", answer_text(m->architecture));
	json_object_set_new(j, "quantization", answer_text(m->quantization));
	json_object_set_new(j, "parameters", json_integer(m->parameters));
	json_object_set_new(j, "context_length", json_integer(m->context_length));
	json_object_set_new(j, "mode", answer_text(m->mode));
	json_object_set_new(j, "capabilities", capabilities(m));
	json_object_set_new(j, "gpu_backend", answer_text(m->backend));
	json_object_set_new(j, "environment", answer_text(m->environment));
	json_object_set_new(j, "runtime", json_string(option_runtime(m->options)));
	json_object_set_new(j, "pulled", json_boolean(m->pulled));
	json_object_set_new(j, "created", answer_time(m->created));
	json_object_set_new(j, "options", json_is_object(options) ? options : json_object());
	return j;
}

static json_t *with_live(const struct db_model *m, const struct model_live *live)
{
	json_t *j = facts_json(m);

	json_object_set_new(j, "state", answer_text(model_state_name(live->state)));
	if (live->reason[0])
		json_object_set_new(j, "reason", answer_text(live->reason));
	if (m->loaded && live->state == MODEL_UNLOADED)
		json_object_set_new(j, "was_loaded", json_true());
	if (live->task[0])
		json_object_set_new(j, "task_id", answer_text(live->task));
	json_object_set_new(j, "worker", worker_json(live));
	return j;
}

json_t *model_json(struct api *a, const struct db_model *m)
{
	struct model_live live = {0};
	json_t *j;

	switcher_live(a->s.switcher, m->id, &live);
	j = with_live(m, &live);
	model_live_done(&live);
	return j;
}

json_t *models_json(struct api *a, bool loaded_only, struct err *e)
{
	struct db_model *models = NULL;
	size_t count = 0;
	json_t *list;

	if (!db_model_list(a->s.db, &models, &count, e))
		return NULL;
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		struct model_live live = {0};

		switcher_live(a->s.switcher, models[i].id, &live);
		if (live.worker || !loaded_only)
			json_array_append_new(list, with_live(&models[i], &live));
		model_live_done(&live);
	}
	db_models_free(models, count);
	return list;
}

/* --- finding ------------------------------------------------------------ */

void model_ensure(struct api *a, const char *id)
{
	if (!routes_find(a->s.routes, id))
		switcher_model_added(a->s.switcher, id);
}

bool model_require(struct api *a, const char *id, struct db_model *ret, struct err *e)
{
	if (!db_model_get(a->s.db, id, ret, e))
		return err_hint(e, "GET /llm/api/models lists the models");
	model_ensure(a, id);
	return true;
}

/* Adds the model as it is now to the answer. */
static bool answer_model(struct call *c, const char *id, struct err *e)
{
	struct db_model m = {0};

	if (!model_require(c->api, id, &m, e))
		return false;
	call_set(c, "model", model_json(c->api, &m));
	db_model_done(&m);
	return true;
}

bool models_get(struct call *c, struct err *e)
{
	return answer_model(c, c->match.part, e);
}

static bool answer_models(struct call *c, bool loaded_only, struct err *e)
{
	json_t *list = models_json(c->api, loaded_only, e);

	if (!list)
		return false;
	call_set(c, "models", list);
	return true;
}

bool models_list(struct call *c, struct err *e)
{
	return answer_models(c, false, e);
}

bool models_loaded(struct call *c, struct err *e)
{
	return answer_models(c, true, e);
}

bool models_log(struct call *c, struct err *e)
{
	CLEANUP(free) char *path = NULL;
	struct db_model m = {0};

	if (!model_require(c->api, c->match.part, &m, e))
		return false;
	path = supervisor_log_path(c->api->s.supervisor, m.id);
	db_model_done(&m);
	call_set_text(c, "text/plain; charset=utf-8", fs_tail(path, 256 << 10));
	return true;
}

/* --- changing ----------------------------------------------------------- */

bool model_check_projector(const json_t *changes, struct err *e)
{
	const char *path = json_string_value(json_object_get(changes, "mmproj"));

	return !path || ability_check_projector(path, e);
}

json_t *model_options_of(const struct call *c)
{
	json_t *options = json_copy(c->body);

	for (const struct field *f = c->match.row->fields; f->name; f++)
		(void)json_object_del(options, f->name);
	return options;
}

bool model_merge_options(struct api *a, const char *id, const json_t *changes, char **ret_old,
			 struct err *e)
{
	CLEANUP(free) char *merged = NULL;
	struct db_model m = {0};
	bool ok;

	pthread_mutex_lock(&a->options_lock);
	ok = db_model_get(a->s.db, id, &m, e) &&
	     option_merge(m.options, changes, &merged, NULL, e) &&
	     (!json_object_get(changes, "aliases") || catalog_names_free(a->s.db, id, merged, e)) &&
	     model_check_projector(changes, e);
	if (ok && (!m.options || strcmp(m.options, merged) != 0))
		ok = db_model_set_options(a->s.db, id, merged, e);
	if (ok && json_object_get(changes, "aliases"))
		switcher_model_added(a->s.switcher, id);
	pthread_mutex_unlock(&a->options_lock);
	if (ok && ret_old)
		*ret_old = STEAL(m.options);
	db_model_done(&m);
	return ok;
}

bool models_patch(struct call *c, struct err *e)
{
	json_t *later;
	struct db_model m = {0};
	const char *name;
	json_t *value;

	if (!model_require(c->api, c->match.part, &m, e))
		return false;
	db_model_done(&m);
	if (!model_merge_options(c->api, c->match.part, c->body, NULL, e))
		return false;
	later = json_array();
	json_object_foreach(c->body, name, value)
		if (option_find(name)->reload)
			json_array_append_new(later, json_string(name));
	call_set(c, "needs_reload", later);
	return answer_model(c, c->match.part, e);
}

/* file: a real path. */
static bool leads_to(const char *path, const char *file)
{
	CLEANUP(free) char *real = fs_real(path);

	return real && strcmp(real, file) == 0;
}

static bool uses(const struct db_model *m, const char *file)
{
	CLEANUP(strv_done) struct strv others = {0};
	bool found = leads_to(m->path, file);

	option_files(m->options, &others);
	for (size_t i = 0; i < others.count && !found; i++)
		found = leads_to(others.items[i], file);
	return found;
}

/* The file (a real path, NULL: gone) may go: Shunt fetched it, it lies where Shunt puts what it
 * fetches, no other model uses it. */
static bool may_remove_file(struct api *a, const struct db_model *m, const char *file, bool *ret,
			    struct err *e)
{
	CLEANUP(free) char *folder = fs_real(a->s.pull->models_dir);
	struct db_model *all = NULL;
	size_t count = 0, len = folder ? strlen(folder) : 0;

	*ret = m->pulled && file && folder && strncmp(file, folder, len) == 0 && file[len] == '/';
	if (!*ret)
		return true;
	if (!db_model_list(a->s.db, &all, &count, e))
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(all[i].id, m->id) != 0 && uses(&all[i], file))
			*ret = false;
	db_models_free(all, count);
	return true;
}

/* Its file, and the projector that came with it. */
static bool remove_files(struct api *a, const struct db_model *m, struct err *e)
{
	CLEANUP(free) char *projector = option_projector(m->options);
	CLEANUP(free) char *file = projector ? fs_real(projector) : NULL;
	bool too = false;

	if (file && !may_remove_file(a, m, file, &too, e))
		return false;
	if (too && unlink(file) < 0 && errno != ENOENT)
		return err_sys(e, errno, "removing '%s'", file);
	return catalog_remove_files(m, e);
}

static bool forget(struct api *a, const struct db_model *m, struct err *e)
{
	if (!switcher_model_removed(a->s.switcher, m->id, e))
		return false;
	if (db_model_delete(a->s.db, m->id, e))
		return true;
	switcher_model_added(a->s.switcher, m->id);
	return false;
}

bool models_delete(struct call *c, struct err *e)
{
	bool delete_file = call_query_bool(c, "delete_file"), ok = true;
	CLEANUP(free) char *file = NULL;
	struct db_model m = {0};

	if (!model_require(c->api, c->match.part, &m, e))
		return false;
	file = fs_real(m.path);
	if (delete_file)
		ok = may_remove_file(c->api, &m, file, &delete_file, e);
	ok = ok && forget(c->api, &m, e);
	if (ok && delete_file && !remove_files(c->api, &m, e))
		ok = err_wrap(e, "model '%s' is forgotten, but", m.id);
	if (ok) {
		log_info("model forgotten model=%s file_removed=%d", m.id, delete_file);
		call_set(c, "id", answer_text(m.id));
		call_set(c, "file_deleted", json_boolean(delete_file));
	}
	db_model_done(&m);
	return ok;
}
