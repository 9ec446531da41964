/* SPDX-License-Identifier: Apache-2.0 */
#include "api/call.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/handlers.h"
#include "base/log.h"
#include "model/option.h"

#define MANAGEMENT_BODY (1 << 20)
#define GATEWAY_BODY (64 << 20)
#define ALL_BODIES (512LL << 20) /* in memory at once */
#define IDLE_S 75                /* between requests, and for a client that reads nothing */

/* --- headers ------------------------------------------------------------ */

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	struct guard_facts *f = arg;
	const struct {
		const char *name;
		const char **value;
	} known[] = {
		{"Host", &f->host},
		{"Origin", &f->origin},
		{"Sec-Fetch-Site", &f->fetch_site},
		{"Content-Type", &f->content_type},
		{"Authorization", &f->authorization},
		{"X-Api-Key", &f->api_key},
		{"Access-Control-Request-Method", &f->preflight},
	};

	if (!value)
		value = "";
	if (strcasecmp(name, "Host") == 0)
		f->host_count++;
	if (strcasecmp(name, "Transfer-Encoding") == 0 ||
	    (strcasecmp(name, "Content-Length") == 0 && strcmp(value, "0") != 0))
		f->has_body = true;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasecmp(name, known[i].name) == 0)
			*known[i].value = value;
	return MHD_YES;
}

static int64_t declared_length(const struct call *c)
{
	const char *text = MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_CONTENT_LENGTH);
	char *end = NULL;
	long long length;

	if (!text)
		return 0;
	errno = 0;
	length = strtoll(text, &end, 10);
	return errno || *end || length < 0 ? INT64_MAX : length;
}

size_t call_body_limit(const struct call *c)
{
	return c->gateway ? GATEWAY_BODY : MANAGEMENT_BODY;
}

/* An alias in the path becomes the id. */
static void by_id(struct call *c)
{
	const struct route *route = routes_find(c->api->s.routes, c->match.part);

	if (route && strcmp(route_model(route), c->match.part) != 0) {
		free(c->match.part);
		c->match.part = mem_dup(route_model(route));
	}
}

/* The row and the part of its path, before the body is read. */
static bool find_row(struct call *c, struct err *e)
{
	const char *part;

	if (!endpoint_find(endpoint_table, c->method, c->path, &c->match, e)) {
		c->allowed_status = c->match.allow.len ? MHD_HTTP_METHOD_NOT_ALLOWED : 0;
		return false;
	}
	part = c->match.part;
	if (!part || strcmp(c->match.part_name, "id") != 0)
		return true;
	if (!field_is_id(part, e))
		return false;
	by_id(c);
	return true;
}

static bool may_begin(const struct call *c, struct err *e)
{
	if (!atomic_load(&c->api->refusing))
		return true;
	(void)err_set(e, ERR_UNAVAILABLE, "the daemon is stopping");
	return err_hint(e, "ask again when it runs again");
}

static bool check(struct call *c, struct err *e)
{
	struct guard_facts f = {.method = c->method, .is_form = gateway_takes_form(c->path)};
	int64_t length = declared_length(c);

	MHD_get_connection_values(c->conn, MHD_HEADER_KIND, take_header, &f);
	if (!guard_check(&c->from->guard, &f, e))
		return false;
	c->preflight = guard_is_preflight(&f);
	c->origin = guard_origin_allowed(&c->from->guard, f.origin) ? f.origin : NULL;
	if (!may_begin(c, e))
		return false;
	if (length > (int64_t)call_body_limit(c))
		return err_set(e, ERR_TOO_LARGE, "the body has %lld bytes, at most %zu are taken",
			       (long long)length, call_body_limit(c));
	if (length + atomic_load(&c->api->body_bytes) > ALL_BODIES) {
		(void)err_set(e, ERR_BUSY, "too many large requests at once");
		return err_hint(e, "try again in a moment");
	}
	return c->gateway || c->preflight || find_row(c, e);
}

void call_check(struct call *c)
{
	c->gateway = gateway_owns(c->path);
	if (!check(c, &c->refused))
		log_debug("request refused method=%s path=%s reason=\"%s\"", c->method, c->path,
			  c->refused.msg);
}

/* --- what handlers ask -------------------------------------------------- */

bool call_sleep(struct call *c, int ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	if (atomic_load(&c->api->stopping))
		return true;
	return poll(&p, 1, ms) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

bool call_gone(void *call)
{
	return call_sleep(call, 0);
}

const char *call_text(const struct call *c, const char *name)
{
	return json_string_value(json_object_get(c->body, name));
}

bool call_bool(const struct call *c, const char *name)
{
	return json_is_true(json_object_get(c->body, name));
}

const char *call_query_text(const struct call *c, const char *name)
{
	return json_string_value(json_object_get(c->query, name));
}

bool call_query_bool(const struct call *c, const char *name)
{
	return json_is_true(json_object_get(c->query, name));
}

int64_t call_query_int(const struct call *c, const char *name)
{
	return json_integer_value(json_object_get(c->query, name));
}

void call_set(struct call *c, const char *name, json_t *value)
{
	json_object_set_new(c->reply, name, value);
}

void call_set_text(struct call *c, const char *type, char *text)
{
	c->response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(c->response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
}

/* --- the answer --------------------------------------------------------- */

static void add_headers(struct call *c, struct MHD_Response *r)
{
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (atomic_load(&c->api->refusing))
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	if (!c->origin)
		return;
	MHD_add_response_header(r, "Access-Control-Allow-Origin", c->origin);
	MHD_add_response_header(r, MHD_HTTP_HEADER_VARY, "Origin");
}

static enum MHD_Result queue(struct call *c, unsigned status, struct MHD_Response *r)
{
	enum MHD_Result result = MHD_queue_response(c->conn, status, r);

	MHD_destroy_response(r);
	return result;
}

static struct MHD_Response *json_response(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	struct MHD_Response *r;

	r = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return r;
}

static struct MHD_Response *error_response(const struct err *e)
{
	CLEANUP(json_decref) json_t *answer = json_object();

	json_object_set_new(answer, "success", json_false());
	json_object_set_new(answer, "error", answer_error(err_name(e->kind), e->msg, e->hint));
	return json_response(answer);
}

enum MHD_Result call_refuse(struct call *c)
{
	const struct err *e = &c->refused;
	bool theirs =
		c->gateway || strncmp(c->path, "/v1/", 4) == 0 || strncmp(c->path, "/api/", 5) == 0;
	struct MHD_Response *r = theirs ? gateway_error(c->path, e) : error_response(e);
	int status = c->allowed_status ? c->allowed_status : err_http_status(e->kind);

	if (status >= MHD_HTTP_INTERNAL_SERVER_ERROR && e->kind != ERR_NOT_SUPPORTED &&
	    e->kind != ERR_UNAVAILABLE)
		log_error("request failed method=%s path=%s reason=\"%s\"", c->method, c->path,
			  e->msg);
	if ((status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE) &&
	    !MHD_get_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER)) /* the gateway's has one */
		MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "2");
	if (c->match.allow.len)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, c->match.allow.data);
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	add_headers(c, r);
	return queue(c, (unsigned)status, r);
}

static enum MHD_Result answer_preflight(struct call *c)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	const char *asked = MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND,
							"Access-Control-Request-Headers");

	MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE");
	/* The libraries of browsers send many of their own; the origin is one that may. */
	MHD_add_response_header(r, "Access-Control-Allow-Headers",
				asked ? asked : "Authorization, Content-Type");
	MHD_add_response_header(r, "Access-Control-Allow-Private-Network", "true");
	MHD_add_response_header(r, "Access-Control-Max-Age", "600");
	add_headers(c, r);
	return queue(c, MHD_HTTP_NO_CONTENT, r);
}

static bool is_option(const char *name)
{
	return option_find(name) != NULL;
}

struct query {
	struct call *call;
	struct err *e;
	bool ok;
};

static enum MHD_Result take_parameter(void *arg, enum MHD_ValueKind kind, const char *name,
				      const char *value)
{
	struct query *q = arg;
	CLEANUP(free) char *text = percent_decode(value ? value : "", value ? strlen(value) : 0);

	q->ok = field_take_query(q->call->match.row->query, name, text, q->call->query, q->e);
	return q->ok ? MHD_YES : MHD_NO;
}

static bool read_query(struct call *c, struct err *e)
{
	struct query q = {c, e, true};

	c->query = json_object();
	if (strncmp(c->path, "/v1/", 4) == 0 ||
	    strncmp(c->path, "/api/", 5) == 0) /* other clients' own, which we leave alone */
		return true;
	MHD_get_connection_values(c->conn, MHD_GET_ARGUMENT_KIND, take_parameter, &q);
	return q.ok && field_complete(c->match.row->query, "query parameter", c->query, e);
}

static bool handle(struct call *c, struct err *e)
{
	bool get = strcmp(c->match.row->method, "GET") == 0;

	if (!read_query(c, e))
		return false;
	if (get)
		c->body = json_object();
	else if (!body_parse(c->in.data, c->in.len, &c->body, e) ||
		 !body_check(c->match.row, c->body, is_option, e))
		return false;
	c->reply = json_object();
	call_set(c, "success", json_true());
	if (!c->match.row->handle(c, e))
		return false;
	if (!get)
		tasks_touch(c->api->s.tasks);
	return true;
}

static enum MHD_Result answer_json(struct call *c)
{
	struct MHD_Response *r;

	if (!handle(c, &c->refused)) {
		if (c->response)
			MHD_destroy_response(STEAL(c->response));
		return call_refuse(c);
	}
	r = c->response ? STEAL(c->response) : json_response(c->reply);
	add_headers(c, r);
	return queue(c, c->status ? (unsigned)c->status : MHD_HTTP_OK, r);
}

enum MHD_Result call_answer(struct call *c)
{
	enum MHD_Result result;

	/* Counted first: who stops either sees it, or is seen. */
	c->counted = true;
	atomic_fetch_add(&c->api->running, 1);
	if (c->refused.kind != ERR_NONE || !may_begin(c, &c->refused))
		return call_refuse(c);
	if (c->preflight)
		return answer_preflight(c);
	/* Handlers may take longer than a connection may idle; the gateway's streams too. */
	MHD_set_connection_option(c->conn, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	if (c->gateway)
		return gateway_handle(c->api->s.gateway, c->conn, c->fd, c->method, c->path,
				      c->in.data ? c->in.data : "", c->in.len);
	result = answer_json(c);
	MHD_set_connection_option(c->conn, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)IDLE_S);
	return result;
}
