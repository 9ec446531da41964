/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon itself: liveness, version, numbers for Prometheus. */

#include <string.h>

#include "api/handlers.h"
#include "api/openapi.h"
#include "base/clock.h"

bool system_health(struct call *c, struct err *e)
{
	call_set(c, "status", json_string("ok"));
	call_set(c, "version", json_string(SHUNT_VERSION));
	call_set(c, "uptime_ms", json_integer(clock_wall_ms() - c->api->started));
	return true;
}

bool system_version(struct call *c, struct err *e)
{
	call_set(c, "version", json_string(SHUNT_VERSION));
	call_set(c, "engine", answer_text(engine_release(c->api->s.engine)));
	return true;
}

bool system_openapi(struct call *c, struct err *e)
{
	char *text = openapi_text(endpoint_table, c->from->guard.key != NULL);

	c->response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(c->response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return true;
}

/* --- Prometheus --------------------------------------------------------- */

/* A label's value: quotes, backslashes and line ends escaped. */
static void add_label(struct buf *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			buf_add(out, "\\", 1);
		if (*value == '\n')
			buf_str(out, "\\n");
		else
			buf_add(out, value, 1);
	}
}

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(struct buf *out, const char *name, const char *label, const char *value,
		   long long number)
{
	buf_printf(out, "%s{%s=\"", name, label);
	add_label(out, value);
	buf_printf(out, "\"} %lld\n", number);
}

struct row {
	const char *id;
	enum model_state state;
	struct route_stats requests;
	int64_t memory_bytes;
};

static void add_models(struct buf *out, const struct row *rows, size_t count)
{
	family(out, "shunt_models", "gauge", "Registered models by state.");
	for (int s = 0; s <= MODEL_FAILED; s++) {
		long long n = 0;

		for (size_t i = 0; i < count; i++)
			n += rows[i].state == (enum model_state)s;
		sample(out, "shunt_models", "state", model_state_name((enum model_state)s), n);
	}
	family(out, "shunt_requests_running", "gauge", "Requests a worker answers now.");
	for (size_t i = 0; i < count; i++)
		sample(out, "shunt_requests_running", "model", rows[i].id,
		       rows[i].requests.running);
	family(out, "shunt_requests_waiting", "gauge", "Requests held or queued.");
	for (size_t i = 0; i < count; i++)
		sample(out, "shunt_requests_waiting", "model", rows[i].id,
		       rows[i].requests.waiting);
	family(out, "shunt_requests_total", "counter", "Requests given to workers.");
	for (size_t i = 0; i < count; i++)
		sample(out, "shunt_requests_total", "model", rows[i].id,
		       (long long)rows[i].requests.total);
	family(out, "shunt_worker_memory_bytes", "gauge", "Memory of the model's worker.");
	for (size_t i = 0; i < count; i++)
		if (rows[i].memory_bytes)
			sample(out, "shunt_worker_memory_bytes", "model", rows[i].id,
			       rows[i].memory_bytes);
}

static void add_context(struct buf *out, struct switcher *sw)
{
	struct context_totals t = {0};

	switcher_context_totals(sw, &t);
	family(out, "shunt_context_moves_total", "counter",
	       "Changes of a worker whose conversations came along, or were lost on the way.");
	sample(out, "shunt_context_moves_total", "result", "carried", t.carried);
	sample(out, "shunt_context_moves_total", "result", "left", t.left);
	family(out, "shunt_context_tokens_total", "counter", "Tokens that came along.");
	buf_printf(out, "shunt_context_tokens_total %lld\n", (long long)t.tokens);
	family(out, "shunt_context_bytes_total", "counter", "Bytes of them.");
	buf_printf(out, "shunt_context_bytes_total %lld\n", (long long)t.bytes);
	/* A gauge: a carry that took longer than thought lowers it. */
	family(out, "shunt_context_spared_seconds", "gauge",
	       "Time that computing them again would have taken longer, estimated.");
	buf_printf(out, "shunt_context_spared_seconds %.3f\n", (double)t.spared_ms / 1000);
}

static bool add_tasks(struct buf *out, struct tasks *ts, struct err *e)
{
	static const char *const states[] = {"queued", "running"};

	family(out, "shunt_tasks", "gauge", "Unfinished tasks by state.");
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		struct db_task *tasks = NULL;
		size_t count = 0;

		if (!tasks_list(ts, states[i], NULL, 1000, &tasks, &count, e))
			return false;
		sample(out, "shunt_tasks", "state", states[i], (long long)count);
		db_tasks_free(tasks, count);
	}
	return true;
}

bool system_metrics(struct call *c, struct err *e)
{
	CLEANUP(buf_done) struct buf out = {0};
	CLEANUP(free) struct row *rows = NULL;
	struct db_model *models = NULL;
	size_t count = 0;
	bool ok;

	if (!db_model_list(c->api->s.db, &models, &count, e))
		return false;
	rows = mem_array(count + 1, sizeof(*rows));
	for (size_t i = 0; i < count; i++) {
		struct model_live live = {0};

		switcher_live(c->api->s.switcher, models[i].id, &live);
		rows[i] = (struct row){models[i].id, live.state, live.requests,
				       live.worker ? worker_memory_bytes(live.worker) : 0};
		model_live_done(&live);
	}
	family(&out, "shunt_build_info", "gauge", "Version of the daemon.");
	sample(&out, "shunt_build_info", "version", SHUNT_VERSION, 1);
	add_models(&out, rows, count);
	add_context(&out, c->api->s.switcher);
	ok = add_tasks(&out, c->api->s.tasks, e);
	db_models_free(models, count);
	if (ok)
		call_set_text(c, "text/plain; version=0.0.4; charset=utf-8", buf_steal(&out));
	return ok;
}
