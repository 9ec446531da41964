/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a model that take time: switch-backend, load, unload, create-environment. */

#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/log.h"

#define WAIT_MS (24 * 3600 * 1000)

static enum reload reload_of(const struct call *c)
{
	const json_t *value = json_object_get(c->body, "reload");

	if (!json_is_boolean(value)) /* "auto" */
		return RELOAD_AUTO;
	return json_is_true(value) ? RELOAD_YES : RELOAD_NO;
}

/* 404 before anything else is looked at. */
static bool require(struct call *c, struct err *e)
{
	struct db_model m = {0};
	bool ok = model_require(c->api, c->match.part, &m, e);

	db_model_done(&m);
	return ok;
}

/* What a request says of the environment that has to be made for it. */
static bool wish_of(const struct call *c, struct env_wish *ret, struct err *e)
{
	const char *arch = call_text(c, "arch");
	const struct backend *b = backend_find(call_text(c, "gpu_backend"));

	ret->provision = call_bool(c, "provision");
	if (!arch)
		return true;
	if (b && b->arch_parse && b->arch_parse(arch, ret->arch, sizeof(ret->arch), e))
		return true;
	if (!b || !b->arch_parse)
		(void)err_set(e, ERR_CONFLICT, "arch is for a build for CUDA or ROCm, not for %s",
			      call_text(c, "gpu_backend"));
	e->kind = ERR_CONFLICT; /* it may be right for another backend */
	return false;
}

static void answer_task(struct call *c, struct switch_answer *answer)
{
	call_set(c, "task_id", answer_text(answer->task));
	call_set(c, "instant_switch", json_boolean(answer->instant));
	call_set(c, "message", answer_text(answer->message));
	call_set(c, "environment", answer_text(answer->environment));
	free(STEAL(answer->environment));
	c->status = MHD_HTTP_ACCEPTED;
}

bool model_switch_backend(struct call *c, struct err *e)
{
	const char *id = c->match.part, *backend = call_text(c, "gpu_backend");
	struct switch_answer answer = {0};
	struct env_wish wish = {0};

	if (!require(c, e) || !wish_of(c, &wish, e) ||
	    !switch_backend(c->api->s.switcher, id, backend, reload_of(c), call_bool(c, "force"),
			    &wish, &answer, e))
		return false;
	log_info("switch asked model=%s backend=%s task=%s instant=%d", id, backend, answer.task,
		 answer.instant);
	answer_task(c, &answer);
	return true;
}

bool model_create_environment(struct call *c, struct err *e)
{
	struct switch_answer answer = {0};
	struct env_wish wish = {0};

	if (!require(c, e) || !wish_of(c, &wish, e) ||
	    !switch_create_environment(c->api->s.switcher, c->match.part,
				       call_text(c, "gpu_backend"), &wish, &answer, e))
		return false;
	answer_task(c, &answer);
	return true;
}

bool environments_rebuild(struct call *c, struct err *e)
{
	const char *backend = call_text(c, "gpu_backend");
	struct switch_answer answer = {0};
	struct env_wish wish = {0};

	if (!wish_of(c, &wish, e) ||
	    !switch_rebuild(c->api->s.switcher, c->match.part, backend, reload_of(c),
			    call_bool(c, "force"), &wish, &answer, e))
		return false;
	log_info("rebuild asked environment=%s backend=%s task=%s", answer.environment, backend,
		 answer.task);
	answer_task(c, &answer);
	return true;
}

/* A task's error as our own. */
static bool outcome(const struct call *c, const struct db_task *t, struct err *e)
{
	if (tasks_is_done(t))
		return true;
	if (!t->error_message) {
		(void)err_set(e, ERR_UNAVAILABLE, "task %s is %s", t->id, t->state);
		return err_hint(e, "GET /tasks/%s tells how it goes on", t->id);
	}
	(void)err_set(e, t->error_type ? err_kind_from_name(t->error_type) : ERR_SYSTEM, "%s",
		      t->error_message);
	if (t->error_hint && t->error_hint[0])
		return err_hint(e, "%s", t->error_hint);
	return err_hint(e, "GET /tasks/%s/log has the whole log", t->id);
}

static bool wait_for(struct call *c, const char *task, struct err *e)
{
	struct db_task t = {0};
	bool ok = tasks_wait(c->api->s.tasks, task, WAIT_MS, call_gone, c, &t, e) &&
		  outcome(c, &t, e);

	db_task_done(&t);
	return ok && models_get(c, e);
}

bool model_load(struct call *c, struct err *e)
{
	CLEANUP(free) char *old = NULL;
	const struct env_wish wish = {.provision = call_query_bool(c, "provision")};
	char task[TASK_ID_SIZE] = "";
	struct err ignored = {0};

	if (!require(c, e) || !model_merge_options(c->api, c->match.part, c->body, &old, e))
		return false;
	if (!switch_load(c->api->s.switcher, c->match.part, &wish, task, e)) {
		/* What was refused changes nothing. */
		if (old && json_object_size(c->body) &&
		    !db_model_set_options(c->api->s.db, c->match.part, old, &ignored))
			log_warn("options kept model=%s reason=\"%s\", continuing", c->match.part,
				 ignored.msg);
		if (json_object_get(c->body, "aliases"))
			switcher_model_added(c->api->s.switcher, c->match.part);
		return false;
	}
	call_set(c, "task_id", answer_text(task));
	if (call_query_bool(c, "wait"))
		return wait_for(c, task, e);
	c->status = MHD_HTTP_ACCEPTED;
	return true;
}

bool model_unload(struct call *c, struct err *e)
{
	return require(c, e) &&
	       switch_unload(c->api->s.switcher, c->match.part, call_bool(c, "force"), e) &&
	       models_get(c, e);
}
