/* SPDX-License-Identifier: Apache-2.0 */
/* The two HTTP servers of libmicrohttpd, one thread per connection, and the life of a request. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/listen.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/lane.h"

#define STACK_BYTES (256 * 1024)
#define CONNECTIONS 1024
#define CONNECTION_BYTES (32 * 1024) /* bounds the headers: more is answered with 431 */
#define IDLE_S 75
#define DROP_BYTES (8 << 20) /* of a refused body, so that the client gets to read why */

/* The path stays as sent: a decoded %2F would be taken for a separator. */
static size_t keep_escapes(void *arg, struct MHD_Connection *conn, char *text)
{
	return strlen(text);
}

static void log_server(void *arg, const char *fmt, va_list args)
{
	CLEANUP(free) char *text = mem_vprintf(fmt, args);

	text[strcspn(text, "\n")] = '\0';
	log_debug("http text=\"%s\"", text);
}

static struct call *begin(struct listener *from, struct MHD_Connection *conn, const char *path,
			  const char *method)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct call *c = mem_alloc(sizeof(*c));

	c->api = from->api;
	c->from = from;
	c->conn = conn;
	c->fd = info ? info->connect_fd : -1;
	c->method = method;
	c->path = path;
	return c;
}

static void done(struct call *c)
{
	atomic_fetch_sub(&c->api->body_bytes, (long long)c->in.len);
	buf_done(&c->in);
	match_done(&c->match);
	json_decref(c->body);
	json_decref(c->reply);
	if (c->response)
		MHD_destroy_response(c->response);
	free(c);
}

/* Nothing to read before the answer: no body, a client that asks first, or far too much. */
static bool refuse_now(const struct call *c)
{
	const char *length = MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);
	char *end = NULL;

	return MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) ||
	       (length && strtoll(length, &end, 10) > DROP_BYTES);
}

static void drop_body(struct call *c)
{
	atomic_fetch_sub(&c->api->body_bytes, (long long)c->in.len);
	buf_done(&c->in);
}

/* False: the client goes on sending what nobody wants. */
static bool take(struct call *c, const char *data, size_t len)
{
	c->received += len;
	if (c->refused.kind == ERR_NONE && c->received > call_body_limit(c)) {
		(void)err_set(&c->refused, ERR_TOO_LARGE,
			      "the body is too large: at most %zu bytes are taken",
			      call_body_limit(c));
		drop_body(c);
	}
	if (c->refused.kind != ERR_NONE)
		return c->received <= call_body_limit(c) + DROP_BYTES;
	buf_add(&c->in, data, len);
	atomic_fetch_add(&c->api->body_bytes, (long long)len);
	return true;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **context)
{
	struct call *c = *context;

	if (!c) {
		*context = c = begin(cls, conn, path, method);
		call_check(c);
		if (c->refused.kind != ERR_NONE && refuse_now(c))
			return call_refuse(c);
		return MHD_YES;
	}
	if (*len) {
		bool ok = take(c, data, *len);

		*len = 0;
		return ok ? MHD_YES : MHD_NO;
	}
	return call_answer(c);
}

static void on_done(void *cls, struct MHD_Connection *conn, void **context,
		    enum MHD_RequestTerminationCode why)
{
	if (*context)
		done(*context);
	*context = NULL;
	MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)IDLE_S);
}

static bool serve(struct listener *l, struct err *e)
{
	l->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
			MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET,
		0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, log_server, NULL,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED,
		on_done, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!l->daemon)
		return err_set(e, ERR_SYSTEM, "the HTTP server did not start");
	return true;
}

/* A plain POST of the lane: only with a yes does it pass there. */
static bool may_pass(void *arg, const struct lane_facts *f)
{
	const struct listener *l = arg;
	struct guard_facts facts = {.method = MHD_HTTP_METHOD_POST,
				    .host = f->host,
				    .content_type = f->content_type,
				    .authorization = f->authorization,
				    .api_key = f->api_key,
				    .host_count = 1,
				    .has_body = true};
	struct err ignored = {0};

	return !atomic_load(&l->api->stopping) && guard_check(&l->guard, &facts, &ignored);
}

/* Accepts for every server that runs. */
static bool open_lane(struct api *a, struct err *e)
{
	struct listener *all[] = {&a->tcp, &a->local};
	struct lane_door doors[ARRAY_LEN(all)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (!all[i]->daemon)
			continue;
		doors[count++] = (struct lane_door){
			.fd = all[i]->fd, .daemon = all[i]->daemon, .may = may_pass, .arg = all[i]};
		all[i]->fd = -1; /* the lane closes it */
	}
	return lane_start(a->s.gateway, doors, count, &a->lane, e);
}

static bool open_tcp(struct api *a, struct err *e)
{
	bool loopback = true;

	if (!a->s.listen || !a->s.listen[0])
		return true;
	if (!listen_tcp(a->s.listen, &a->tcp.fd, &a->port, &loopback, e))
		return false;
	if (!loopback && !a->s.api_key) {
		(void)err_set(e, ERR_INVALID,
			      "listening on %s, which other machines can reach, needs a key: "
			      "api_key_file is not set",
			      a->s.listen);
		return err_hint(e, "openssl rand -hex 24 > FILE, then --api-key-file FILE; or "
				   "listen on 127.0.0.1");
	}
	a->tcp.guard.key = a->s.api_key;
	return serve(&a->tcp, e);
}

static bool open_local(struct api *a, struct err *e)
{
	if (!a->s.socket || !a->s.socket[0])
		return true;
	if (!listen_unix(a->s.socket, &a->local.fd, e))
		return false;
	a->socket_path = mem_dup(a->s.socket);
	return serve(&a->local, e);
}

bool api_start(const struct api_settings *s, struct api **ret, struct err *e)
{
	struct api *a = mem_alloc(sizeof(*a));

	a->s = *s;
	a->started = clock_wall_ms();
	a->tcp = a->local = (struct listener){
		.api = a,
		.fd = -1,
		.guard = {.hosts = s->allowed_hosts, .origins = s->allowed_origins}};
	pthread_mutex_init(&a->options_lock, NULL);
	pthread_mutex_init(&a->backends_lock, NULL);
	if (open_tcp(a, e) && open_local(a, e) && open_lane(a, e)) {
		*ret = a;
		return true;
	}
	api_free(a);
	return false;
}

int api_port(const struct api *a)
{
	return a->port;
}

static void stop(struct listener *l)
{
	if (l->daemon)
		MHD_stop_daemon(STEAL(l->daemon));
	close_p(&l->fd);
	l->fd = -1;
}

/* Closes every connection and waits for its thread: nothing of ours calls into the other modules
 * after it. */
void api_stop(struct api *a)
{
	if (!a || atomic_exchange(&a->stopping, true))
		return;
	if (a->s.tasks)
		tasks_touch(a->s.tasks);
	lane_stop(STEAL(a->lane));
	stop(&a->tcp);
	stop(&a->local);
	if (a->socket_path)
		(void)unlink(a->socket_path);
	pulls_free(STEAL(a->pulls));
}

void api_free(struct api *a)
{
	if (!a)
		return;
	api_stop(a);
	pthread_mutex_destroy(&a->options_lock);
	pthread_mutex_destroy(&a->backends_lock);
	json_decref(a->backends);
	free(a->socket_path);
	free(a);
}
