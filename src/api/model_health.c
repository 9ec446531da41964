/* SPDX-License-Identifier: Apache-2.0 */
/* How a model's worker is. */

#include "api/handlers.h"
#include "base/proc.h"
#include "worker/counts.h"

#define COUNTS_MS 1000 /* one that computes a large batch may answer later: then null */

/* Tokens a second of all its answers; null: it does not tell, or has not answered yet. */
static json_t *speed_json(const struct worker *w)
{
	struct worker_counts n = {0};

	if (!w || worker_state(w) != WORKER_RUNNING || !worker_counts(w, COUNTS_MS, &n) ||
	    n.answer_seconds <= 0)
		return json_null();
	return json_real(n.answer_tokens / n.answer_seconds);
}

static void set_memory(struct call *c, const struct worker *w)
{
	int64_t device = w ? worker_device_bytes(c->api, w) : 0;

	call_set(c, "memory_bytes",
		 json_integer(w ? proc_memory_bytes(worker_pid(w)) + device : 0));
	call_set(c, "device_memory_bytes", json_integer(device));
}

bool models_health(struct call *c, struct err *e)
{
	struct model_live live = {0};
	struct db_model m = {0};

	if (!model_require(c->api, c->match.part, &m, e))
		return false;
	switcher_live(c->api->s.switcher, m.id, &live);
	call_set(c, "id", answer_text(m.id));
	call_set(c, "state", answer_text(model_state_name(live.state)));
	call_set(c, "healthy",
		 json_boolean(live.worker && worker_state(live.worker) == WORKER_RUNNING));
	call_set(c, "reason", answer_text(live.reason));
	call_set(c, "worker", worker_json(&live));
	call_set(c, "device", live.worker ? answer_text(worker_device(live.worker)) : json_null());
	set_memory(c, live.worker);
	call_set(c, "requests_in_flight", json_integer(live.requests.running));
	call_set(c, "requests_waiting", json_integer(live.requests.waiting));
	call_set(c, "requests_total", json_integer((json_int_t)live.requests.total));
	call_set(c, "tokens_per_second", speed_json(live.worker));
	model_live_done(&live);
	db_model_done(&m);
	return true;
}
