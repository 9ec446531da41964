/* SPDX-License-Identifier: Apache-2.0 */
/* What can be built and run on this machine, and what is missing. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "backend/gpu_vulkan.h"

static json_t *item_json(const struct toolkit_item *item)
{
	json_t *j = json_object();

	json_object_set_new(j, "name", answer_text(item->name));
	json_object_set_new(j, "found", answer_text(item->found));
	json_object_set_new(j, "needed", answer_text(item->needed));
	json_object_set_new(j, "packages", answer_text(item->packages));
	json_object_set_new(j, "ok", json_boolean(item->ok));
	json_object_set_new(j, "at_run_time", json_boolean(item->at_run_time));
	return j;
}

/* The command that installs all that is missing; null: nothing is. */
static json_t *install_json(const struct toolkit *tk)
{
	CLEANUP(buf_done) struct buf packages = {0};
	char command[1024];

	toolkit_packages(tk, true, &packages);
	if (!packages.len)
		return json_null();
	distro_install_command(distro_here(), packages.data, command, sizeof(command));
	return answer_text(command);
}

static json_t *toolkit_json(const struct backend *b, const struct toolkit *tk)
{
	json_t *items = json_array(), *j = json_object();

	for (int i = 0; i < tk->count; i++)
		json_array_append_new(items, item_json(&tk->items[i]));
	json_object_set_new(j, "backend", answer_text(b->name));
	json_object_set_new(j, "can_build", json_boolean(tk->can_build));
	json_object_set_new(j, "can_run", json_boolean(tk->can_run));
	json_object_set_new(j, "why_not", answer_text(tk->why_not));
	json_object_set_new(j, "compiler", answer_text(tk->compiler));
	json_object_set_new(j, "install", install_json(tk));
	json_object_set_new(j, "items", items);
	return j;
}

bool toolkit_check(struct call *c, struct err *e)
{
	const struct backend *b = NULL;
	struct toolkit tk = {0};

	if (!backend_require(c->match.part, &b, e))
		return false;
	envs_check(c->api->s.envs, b, NULL, &tk);
	call_set(c, "toolkit", toolkit_json(b, &tk));
	return true;
}

static json_t *backend_json(struct api *a, const struct backend *b)
{
	json_t *j = json_object();
	struct toolkit tk = {0};

	envs_check(a->s.envs, b, NULL, &tk);
	json_object_set_new(j, "name", answer_text(b->name));
	json_object_set_new(j, "title", answer_text(b->title));
	json_object_set_new(j, "aliases", answer_text(b->aliases));
	json_object_set_new(j, "can_build", json_boolean(tk.can_build));
	json_object_set_new(j, "can_run", json_boolean(tk.can_run));
	json_object_set_new(j, "why_not", answer_text(tk.why_not));
	json_object_set_new(j, "toolkit", toolkit_json(b, &tk));
	return j;
}

/* --- devices ------------------------------------------------------------ */

/* A ready environment of the backend, to ask its devices; NULL: none yet. Caller frees. */
static char *ready_env(struct api *a, const struct backend *b)
{
	struct err ignored = {0};
	struct db_env *envs = NULL;
	size_t count = 0;
	char *name = NULL;

	if (!db_env_list(a->s.db, &envs, &count, &ignored))
		return NULL;
	for (size_t i = 0; i < count && !name; i++)
		if (strcmp(envs[i].backend, b->name) == 0 && strcmp(envs[i].state, "ready") == 0)
			name = mem_dup(envs[i].name);
	db_envs_free(envs, count);
	return name;
}

/* What its toolkit check found of the driver; "": nothing. */
static const char *driver_of(const struct toolkit *tk)
{
	for (int i = 0; i < tk->count; i++)
		if (tk->items[i].at_run_time && strstr(tk->items[i].name, "driver") &&
		    tk->items[i].found[0])
			return tk->items[i].found;
	return "";
}

static json_t *device_json(const struct backend *b, const struct env_device *d, const char *driver)
{
	json_t *j = json_object();

	json_object_set_new(j, "backend", answer_text(b->name));
	json_object_set_new(j, "device", answer_text(d->name));
	json_object_set_new(j, "name", answer_text(d->title));
	json_object_set_new(j, "driver", answer_text(driver[0] ? driver : NULL));
	json_object_set_new(j, "memory_bytes", json_integer(d->total_bytes));
	json_object_set_new(j, "memory_free_bytes", json_integer(d->free_bytes));
	return j;
}

void backend_devices(struct api *a, const struct backend *b, struct backend_devices *ret)
{
	CLEANUP(free) char *env = b->device_prefix ? ready_env(a, b) : NULL;
	struct toolkit tk = {0};
	struct err why = {0};

	*ret = (struct backend_devices){0};
	if (!b->device_prefix)
		return;
	ret->asked = env != NULL;
	if (!env)
		(void)snprintf(ret->why_not, sizeof(ret->why_not), "%s",
			       "no ready environment of this backend: its module lists the "
			       "devices");
	else if (!envs_devices(a->s.envs, env, &ret->list, &ret->count, &why))
		(void)snprintf(ret->why_not, sizeof(ret->why_not), "%s", why.msg);
	if (ret->count == 0)
		return;
	envs_check(a->s.envs, b, NULL, &tk);
	(void)snprintf(ret->driver, sizeof(ret->driver), "%s", driver_of(&tk));
}

/* Before there is a module: those that it will list. */
static void add_foreseen(struct api *a, const struct backend *b, json_t *list)
{
	CLEANUP(gpus_done) struct gpus g = {0};
	struct err ignored = {0}; /* the hardware's answer has it */

	if (!vulkan_read(a->s.self, &g, &ignored))
		return;
	for (size_t i = 0; i < g.vulkan_count; i++) {
		const struct gpu_vulkan *v = &g.vulkan[i];
		/* as ggml-vulkan has it where the driver does not tell */
		struct env_device d = {.total_bytes = v->memory_bytes,
				       .free_bytes =
					       v->free_bytes < 0 ? v->memory_bytes : v->free_bytes};

		(void)snprintf(d.name, sizeof(d.name), "%s", v->device);
		(void)snprintf(d.title, sizeof(d.title), "%s", v->name);
		if (backend_owns_device(b, d.name))
			json_array_append_new(list, device_json(b, &d, v->driver));
	}
}

/* *ret_why: null, or why there are none. */
static json_t *devices_json(struct api *a, const struct backend *b, json_t **ret_why)
{
	struct backend_devices devices;
	json_t *list = json_array();

	backend_devices(a, b, &devices);
	for (size_t i = 0; i < devices.count; i++)
		json_array_append_new(list, device_json(b, &devices.list[i], devices.driver));
	if (!devices.asked && b->device_prefix && strcmp(b->device_prefix, VULKAN_PREFIX) == 0)
		add_foreseen(a, b, list);
	*ret_why = answer_text(json_array_size(list) == 0 && devices.why_not[0] ? devices.why_not
										: NULL);
	free(devices.list);
	return list;
}

/* --- lists -------------------------------------------------------------- */

static json_t *find_out(struct api *a)
{
	json_t *list = json_array();

	for (const struct backend *const *b = backend_all(); *b; b++) {
		json_t *j = backend_json(a, *b), *why;

		json_object_set_new(j, "devices", devices_json(a, *b, &why));
		json_object_set_new(j, "devices_why_not", why);
		json_array_append_new(list, j);
	}
	return list;
}

/* The checks run programs and take seconds: asked once, and again by refresh. */
static bool answer_backends(struct call *c, bool refresh)
{
	struct api *a = c->api;

	pthread_mutex_lock(&a->backends_lock);
	if (refresh || !a->backends) {
		json_decref(a->backends);
		a->backends = find_out(a);
	}
	call_set(c, "backends", json_deep_copy(a->backends));
	pthread_mutex_unlock(&a->backends_lock);
	return true;
}

bool backends_get(struct call *c, struct err *e)
{
	return answer_backends(c, false);
}

bool backends_refresh(struct call *c, struct err *e)
{
	return answer_backends(c, true);
}
