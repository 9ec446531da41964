/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with this machine, as the daemon sees it: with its user, groups and PATH. */

#include <stdlib.h>

#include "api/doctor_answer.h"
#include "api/handlers.h"
#include "model/pull.h"

static json_t *finding_json(const struct finding *f)
{
	json_t *j = json_object();

	json_object_set_new(j, "state", answer_text(finding_state_name(f->state)));
	json_object_set_new(j, "topic", answer_text(f->topic));
	json_object_set_new(j, "what", answer_text(f->what));
	json_object_set_new(j, "command", answer_text(f->command));
	json_object_set_new(j, "advice", answer_text(f->advice));
	return j;
}

json_t *doctor_answer(const struct doctor *d)
{
	CLEANUP(findings_done) struct findings f = {0};
	CLEANUP(free) char *install = NULL;
	enum finding_state worst = FINDING_OK;
	json_t *list = json_array(), *j = json_object();

	doctor_look(d, &f);
	for (size_t i = 0; i < f.count; i++) {
		json_array_append_new(list, finding_json(&f.list[i]));
		worst = f.list[i].state > worst ? f.list[i].state : worst;
	}
	install = doctor_install(&f);
	json_object_set_new(j, "state", answer_text(finding_state_name(worst)));
	json_object_set_new(j, "findings", list);
	json_object_set_new(j, "install", answer_text(install));
	return j;
}

bool doctor_get(struct call *c, struct err *e)
{
	struct api *a = c->api;
	CLEANUP(gpus_done) struct gpus g = {0};
	CLEANUP(json_decref) json_t *answer = NULL;
	const char *name = call_query_text(c, "gpu_backend");
	char compiler[ENGINE_COMPILER];
	struct doctor d = {
		.root = "",
		.gpus = &g,
		.ask = {.gpus = &g},
		.worker_env = a->s.worker_env,
		.store_dir = store_dir(a->s.store),
		.models_dir = a->s.pull->models_dir,
	};

	if (name && !backend_require(name, &d.backend, e))
		return false;
	engine_base_needs(a->s.engine, &d.base_disk_bytes, &d.base_memory_bytes);
	engine_ask(a->s.engine, compiler, &d.ask);
	json_decref(gpus_seen(a, &g));
	answer = doctor_answer(&d);
	json_object_update(c->reply, answer);
	return true;
}
