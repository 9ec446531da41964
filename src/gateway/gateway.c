/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/exchange.h"
#include "gateway/form.h"
#include "gateway/gateway_priv.h"
#include "gateway/keep_alive.h"
#include "gateway/media.h"
#include "gateway/relay.h"
#include "gateway/target.h"

#define TICK_MS 5000

struct moved {
	struct moved *next;
	int client_fd;
};

struct gateway *gateway_new(struct routes *routes, struct switcher *switcher)
{
	struct gateway *g = mem_alloc(sizeof(*g));

	g->routes = routes;
	g->switcher = switcher;
	g->upstreams = upstreams_new();
	g->tick_ms = TICK_MS;
	pthread_mutex_init(&g->lock, NULL);
	return g;
}

void gateway_free(struct gateway *g)
{
	struct moved *next;

	if (!g)
		return;
	for (struct moved *m = g->moved; m; m = next) {
		next = m->next;
		free(m);
	}
	pthread_mutex_destroy(&g->lock);
	upstreams_free(g->upstreams);
	free(g);
}

void gateway_set_tick(struct gateway *g, int64_t tick_ms)
{
	g->tick_ms = tick_ms;
}

void gateway_set_fetch_media(struct gateway *g, bool fetch)
{
	g->fetch_media = fetch;
}

void gateway_cut_all(struct gateway *g)
{
	struct err why = {0};

	atomic_store(&g->cutting, true);
	(void)err_set(&why, ERR_UNAVAILABLE, "the daemon is stopping");
	(void)err_hint(&why, "ask again when it runs again");
	routes_close(g->routes, &why);
}

bool gateway_must_cut(const struct gateway *g, const struct route_ticket *t, const char *model,
		      struct err *e)
{
	if (atomic_load(&g->cutting)) {
		(void)err_set(e, ERR_UNAVAILABLE,
			      "the daemon stopped before model '%s' had ended its answer", model);
		(void)err_hint(e, "ask again when it runs again");
		return true;
	}
	if (!route_cut_requested(t))
		return false;
	(void)err_set(e, ERR_UNAVAILABLE,
		      "model '%s' was switched or unloaded by force before the answer ended",
		      model);
	(void)err_hint(e, "ask again");
	return true;
}

void gateway_expect_moved(struct gateway *g, int client_fd)
{
	struct moved *m = mem_alloc(sizeof(*m));

	m->client_fd = client_fd;
	pthread_mutex_lock(&g->lock);
	m->next = g->moved;
	g->moved = m;
	atomic_fetch_add(&g->moved_count, 1);
	pthread_mutex_unlock(&g->lock);
}

bool gateway_forget_moved(struct gateway *g, int client_fd)
{
	struct moved **at = &g->moved, *found;

	if (atomic_load(&g->moved_count) == 0)
		return false;
	pthread_mutex_lock(&g->lock);
	while (*at && (*at)->client_fd != client_fd)
		at = &(*at)->next;
	found = *at;
	if (found) {
		*at = found->next;
		atomic_fetch_sub(&g->moved_count, 1);
	}
	pthread_mutex_unlock(&g->lock);
	free(found);
	return found != NULL;
}

static enum MHD_Result refuse_method(const char *method, const struct gateway_path *path,
				     struct MHD_Connection *c)
{
	struct MHD_Response *r;
	enum MHD_Result queued;
	struct err e = {0};

	err_set(&e, ERR_INVALID, "%s %s: only POST is known here", method, path->path);
	r = dialect_response(path->dialect, &e, NULL);
	MHD_add_response_header(r, "Allow", "POST");
	queued = MHD_queue_response(c, MHD_HTTP_METHOD_NOT_ALLOWED, r);
	MHD_destroy_response(r);
	return queued;
}

/* The worker must not be told which slot to use: it takes the index modulo their number. */
static void without_slot(struct exchange *ex)
{
	ex->edited = mem_ndup(ex->body, ex->len);
	scan_blank_id_slot(ex->edited, ex->len);
	ex->body = ex->edited;
}

static enum MHD_Result run(struct exchange *taken, struct MHD_Connection *c)
{
	CLEANUP(exchange_free) struct exchange *ex = taken;
	enum route_turn turn;
	struct err e;

	do {
		err_clear(&e);
		do /* without a stream nothing can be said before the answer */
			turn = exchange_enter(ex, ex->tick_ms, &e);
		while (turn == ROUTE_WAITING && !ex->stream);
		if (turn == ROUTE_WAITING)
			return relay_waiting(STEAL(ex), c);
		if (turn == ROUTE_ADMITTED && exchange_ask(ex, &e))
			return relay_answer(STEAL(ex), c);
	} while (turn == ROUTE_ADMITTED && ex->moving);
	return relay_error(ex->dialect, &e, NULL, c);
}

/* What the request asks of us, not of the worker. */
static bool read_wishes(struct exchange *ex, const struct gateway_path *path, const struct scan *s,
			struct err *e)
{
	if (path->messages && !s->has_messages)
		return err_set(e, ERR_INVALID, "'messages' is missing, or no list");
	if (s->keep_alive) {
		ex->keeps = true;
		return keep_alive_parse(ex->body + s->keep_alive, s->keep_alive_len,
					&ex->keep_alive_ms, e);
	}
	return true;
}

/* An Ollama client's request becomes one of OpenAI's. */
static bool translate(struct exchange *ex, const struct gateway_path *path, struct scan *s,
		      struct err *e)
{
	struct ollama_request r;
	bool ok = ollama_ask(path->ollama, ex->body, ex->len, &r, e);

	ex->ollama = ollama_new(path->ollama, s->model);
	ex->path = r.path;
	ex->len = r.body.len;
	ex->body = ex->edited = buf_steal(&r.body);
	s->stream = r.stream;
	s->has_id_slot = false;
	ex->route = ollama_route(ex->gateway->routes, s->model);
	return ok;
}

/* A request without a question: the model is loaded, or goes when it is idle. */
static enum MHD_Result load_only(struct exchange *taken, struct MHD_Connection *c)
{
	CLEANUP(exchange_free) struct exchange *ex = taken;
	bool leaves = ex->keeps && ex->keep_alive_ms == 0;
	enum route_turn turn = ROUTE_WAITING;
	struct err e = {0};

	while (!leaves && turn == ROUTE_WAITING)
		turn = exchange_enter(ex, ex->tick_ms, &e);
	if (turn == ROUTE_REFUSED)
		return relay_error(ex->dialect, &e, NULL, c);
	if (ex->keeps)
		switcher_keep_alive(ex->switcher, ex->model, ex->keep_alive_ms);
	ollama_nothing(ex->ollama, leaves ? "unload" : "load", &ex->lines);
	return relay_lines(ex, c);
}

static enum MHD_Result refuse(struct exchange *taken, const char *param, const struct err *e,
			      struct MHD_Connection *c)
{
	CLEANUP(exchange_free) struct exchange *ex = taken;

	return relay_error(ex->dialect, e, param, c);
}

enum MHD_Result gateway_handle(struct gateway *g, struct MHD_Connection *c, int client_fd,
			       const char *method, const char *path, const char *body,
			       size_t body_len)
{
	const struct gateway_path *known = gateway_path(path);
	struct exchange *ex;
	struct scan scan;
	struct err e = {0};
	unsigned media;

	if (!known)
		err_set(&e, ERR_NOT_FOUND, "no such path: '%.200s'", path);
	if (!known)
		return relay_error(&dialect_openai, &e, NULL, c);
	if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
		return refuse_method(method, known, c);
	ex = mem_alloc(sizeof(*ex));
	ex->gateway = g;
	ex->switcher = g->switcher;
	ex->upstreams = g->upstreams;
	ex->dialect = known->dialect;
	ex->path = known->path;
	ex->body = body;
	ex->len = body_len;
	ex->client_fd = client_fd;
	ex->tick_ms = g->tick_ms;
	ex->place.moved = gateway_forget_moved(g, client_fd);
	if (known->form)
		ex->type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type");
	if (!(known->form ? form_read(c, body, body_len, &scan, &e)
			  : scan_request(body, body_len, &scan, &e)) ||
	    !read_wishes(ex, known, &scan, &e) ||
	    (known->ollama && !translate(ex, known, &scan, &e)))
		return refuse(ex, NULL, &e, c);
	if (!ex->route && !target_find(g, &scan, &ex->route, &e))
		return refuse(ex, "model", &e, c);
	(void)snprintf(ex->model, sizeof(ex->model), "%s", route_model(ex->route));
	media = known->form ? MEDIA_AUDIO : 0;
	if ((scan.media && !media_find(ex->body, ex->len, g->fetch_media, &media, &e)) ||
	    !target_can(g, ex->model, known, media, &e) ||
	    (ex->path && !known->python &&
	     !target_runtime_has(switcher_runtime(g->switcher, ex->model), ex->path, &e)))
		return refuse(ex, NULL, &e, c);
	if (!ex->path)
		return load_only(ex, c);
	ex->stream = scan.stream;
	if (scan.has_id_slot)
		without_slot(ex);
	return run(ex, c);
}
