/* SPDX-License-Identifier: Apache-2.0 */
/* Start and stop: two listening sockets, each with its server; the gateway's lane before them. */

#include "api/api.h"

#include <stdlib.h>
#include <unistd.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/listen.h"
#include "base/clock.h"

static bool open_tcp(struct api *a, struct err *e)
{
	bool loopback = true;

	if (!a->s.listen || !a->s.listen[0])
		return true;
	if (!listen_tcp(a->s.listen, &a->tcp.fd, &a->port, &loopback, e))
		return false;
	a->tcp.guard.key = a->s.api_key;
	if (loopback || a->s.api_key)
		return true;
	(void)err_set(e, ERR_INVALID,
		      "listening on %s, which other machines can reach, needs a key: "
		      "api_key_file is not set",
		      a->s.listen);
	return err_hint(e, "openssl rand -hex 24 > FILE, then --api-key-file FILE; or listen on "
			   "127.0.0.1");
}

static bool open_local(struct api *a, struct err *e)
{
	if (!a->s.socket || !a->s.socket[0])
		return true;
	if (!listen_unix(a->s.socket, &a->local.fd, e))
		return false;
	a->socket_path = mem_dup(a->s.socket);
	return true;
}

/* On the lane's thread; it takes no request of a browser. False: the server behind it tells why. */
static bool may_pass(void *arg, const struct lane_facts *lf)
{
	const struct listener *l = arg;
	struct err ignored = {0};
	struct guard_facts f = {.method = MHD_HTTP_METHOD_POST,
				.host = lf->host,
				.host_count = 1,
				.content_type = lf->content_type,
				.authorization = lf->authorization,
				.api_key = lf->api_key,
				.has_body = true};

	return !atomic_load(&l->api->refusing) && guard_check(&l->guard, &f, &ignored);
}

static bool start_lane(struct api *a, struct err *e)
{
	struct listener *const all[] = {&a->tcp, &a->local};
	struct lane_door doors[ARRAY_LEN(all)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->fd < 0)
			continue;
		doors[count++] = (struct lane_door){
			.fd = all[i]->fd, .daemon = all[i]->daemon, .may = may_pass, .arg = all[i]};
		all[i]->fd = -1; /* the lane closes it */
	}
	return count == 0 || lane_start(a->s.gateway, doors, count, &a->lane, e);
}

static bool serve(struct api *a, struct err *e)
{
	bool own = !a->s.gateway; /* without a gateway each server accepts for itself */

	if ((a->tcp.fd >= 0 && !server_start(&a->tcp, own, e)) ||
	    (a->local.fd >= 0 && !server_start(&a->local, own, e)))
		return false;
	return own || start_lane(a, e);
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
	if (open_tcp(a, e) && open_local(a, e) && serve(a, e)) {
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

void api_refuse_new(struct api *a)
{
	atomic_store(&a->refusing, true);
	lane_refuse_new(a->lane);
	if (a->s.tasks)
		tasks_touch(a->s.tasks);
}

int api_running(const struct api *a)
{
	return atomic_load(&a->running) + lane_running(a->lane);
}

int api_connections(const struct api *a)
{
	return server_connections(&a->tcp) + server_connections(&a->local) +
	       lane_connections(a->lane);
}

/* Closes every connection and waits for its thread: nothing of ours calls into the other modules
 * after it. */
void api_stop(struct api *a)
{
	if (!a || atomic_exchange(&a->stopping, true))
		return;
	api_refuse_new(a);
	lane_stop(STEAL(a->lane));
	server_stop(&a->tcp);
	server_stop(&a->local);
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
