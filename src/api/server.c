/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP server of libmicrohttpd, one thread per connection, and the life of a request. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/log.h"

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

__attribute__((format(printf, 2, 0))) static void log_server(void *arg, const char *fmt,
							     va_list args)
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
	if (c->counted)
		atomic_fetch_sub(&c->api->running, 1);
	buf_done(&c->in);
	match_done(&c->match);
	json_decref(c->body);
	json_decref(c->query);
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

bool server_start(struct listener *l, bool accepts, struct err *e)
{
	struct MHD_OptionItem door[] = {{MHD_OPTION_LISTEN_SOCKET, l->fd, NULL},
					{MHD_OPTION_END, 0, NULL}};

	l->daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
			MHD_USE_ERROR_LOG | (accepts ? 0U : MHD_USE_NO_LISTEN_SOCKET),
		0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, log_server, NULL,
		MHD_OPTION_ARRAY, accepts ? door : door + 1, MHD_OPTION_UNESCAPE_CALLBACK,
		keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!l->daemon)
		return err_set(e, ERR_SYSTEM, "the HTTP server did not start");
	if (accepts)
		l->fd = -1; /* the server closes it */
	return true;
}

void server_stop(struct listener *l)
{
	if (l->daemon)
		MHD_stop_daemon(STEAL(l->daemon));
	close_p(&l->fd);
	l->fd = -1;
}

int server_connections(const struct listener *l)
{
	const union MHD_DaemonInfo *info =
		l->daemon ? MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
			  : NULL;

	return info ? (int)info->num_connections : 0;
}
