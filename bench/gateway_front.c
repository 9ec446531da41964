/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway behind its HTTP server, with one model "tiny" whose worker is somebody's Unix socket:
 * what a request costs in Shunt, without models and builds. Its streams can move, so they are
 * kept in mind as those of a real worker.
 *
 *   gateway_front SOCKET PORT
 */

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "gateway/lane.h"
#include "worker/worker_priv.h"

bool switch_want(struct switcher *sw, const char *id, struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE, "model '%s' is not loaded", id);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **context)
{
	struct buf *body = *context;

	if (!body) {
		*context = mem_alloc(sizeof(*body));
		return MHD_YES;
	}
	if (*len) {
		buf_add(body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	return gateway_handle(
		cls, c, MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
		method, path, body->data ? body->data : "", body->len);
}

static void on_done(void *cls, struct MHD_Connection *c, void **context,
		    enum MHD_RequestTerminationCode why)
{
	if (*context)
		buf_done(*context);
	free(STEAL(*context));
}

static bool may(void *arg, const struct lane_facts *f)
{
	return f->content_type != NULL;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0) {
		perror("gateway_front: listen");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct route_limits limits = {
		.hold_timeout_ms = 60000, .hold_limit = 512, .hold_bytes = 256 << 20};
	struct lane_door door = {.may = may};
	struct lane *lane;
	struct err e = {0};
	struct worker worker = {.refs = 1,
				.slots = 512,
				.continues = true,
				.mode = (char *)"chat",
				.runtime = &runtime_server};
	struct routes *routes;
	struct gateway *g;

	if (argc != 3) {
		fprintf(stderr, "usage: gateway_front SOCKET PORT\n");
		return 2;
	}
	worker.socket = argv[1];
	atomic_store(&worker.state, WORKER_RUNNING);
	door.fd = listen_on((uint16_t)strtol(argv[2], NULL, 10));
	signal(SIGPIPE, SIG_IGN);
	routes = routes_new(&limits);
	route_open(routes_add(routes, "tiny"), &worker);
	g = gateway_new(routes, NULL);
	/* As src/api/server.c starts it. */
	door.daemon = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
			MHD_USE_NO_LISTEN_SOCKET,
		0, NULL, NULL, on_request, g, MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL,
		MHD_OPTION_CONNECTION_LIMIT, 1024U, MHD_OPTION_CONNECTION_TIMEOUT, 75U,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)256 * 1024, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
		1, MHD_OPTION_END);
	if (!door.daemon || !lane_start(g, &door, 1, &lane, &e)) {
		fprintf(stderr, "gateway_front: %s\n", door.daemon ? e.msg : "no HTTP server");
		return 1;
	}
	for (;;)
		pause();
}
