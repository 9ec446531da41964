/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a model is: measuring, and what was measured. */

#include <stdlib.h>

#include "api/handlers.h"
#include "base/log.h"
#include "switch/bench.h"

bool models_benchmark(struct call *c, struct err *e)
{
	const json_t *list = json_object_get(c->body, "backends"), *item;
	CLEANUP(strv_done) struct strv names = {0};
	char task[TASK_ID_SIZE] = "";
	struct db_model m = {0};
	size_t i;
	bool ok;

	json_array_foreach(list, i, item)
		strv_add(&names, json_string_value(item));
	ok = model_require(c->api, c->match.part, &m, e) &&
	     switch_benchmark(c->api->s.switcher, m.id, strv_items(&names), task, e);
	if (ok) {
		log_info("benchmark asked model=%s task=%s", m.id, task);
		call_set(c, "task_id", answer_text(task));
		c->status = MHD_HTTP_ACCEPTED;
	}
	db_model_done(&m);
	return ok;
}

static json_t *bench_json(struct api *a, const struct db_model *m, const struct db_bench *b)
{
	CLEANUP(free) char *stale = bench_stale(a->s.switcher, m, b);
	json_t *j = json_object();

	json_object_set_new(j, "gpu_backend", answer_text(b->backend));
	json_object_set_new(j, "environment", answer_text(b->environment));
	json_object_set_new(j, "base_digest", answer_text(b->base_digest));
	json_object_set_new(j, "module_digest", answer_text(b->module_digest));
	json_object_set_new(j, "device", answer_text(b->device));
	json_object_set_new(j, "driver", answer_text(b->driver));
	json_object_set_new(j, "prompt_tokens_per_second", json_real(b->prompt_per_second));
	json_object_set_new(j, "answer_tokens_per_second", json_real(b->answer_per_second));
	json_object_set_new(j, "seconds", json_real(bench_seconds(b)));
	json_object_set_new(j, "at", answer_time(b->at));
	json_object_set_new(j, "stale", answer_text(stale));
	return j;
}

bool models_benchmarks(struct call *c, struct err *e)
{
	struct db_bench *list = NULL;
	struct db_model m = {0};
	size_t count = 0;
	bool ok = model_require(c->api, c->match.part, &m, e) &&
		  db_bench_list(c->api->s.db, m.id, &list, &count, e);
	json_t *found = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(found, bench_json(c->api, &m, &list[i]));
	call_set(c, "benchmarks", found);
	db_benches_free(list, count);
	db_model_done(&m);
	return ok;
}
