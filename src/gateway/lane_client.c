/* SPDX-License-Identifier: Apache-2.0 */
/* The lane's clients: who comes in, what is served here, what goes to microhttpd, who must leave.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/lane_priv.h"

#define CLIENTS 1024 /* of each */
#define AT_ONCE 128  /* of those who knock */
#define NO_FILE_MS 100
#define PARTIAL_MS 2000 /* a request that comes slowly gets a thread */
#define IDLE_MS 75000
#define STUCK_MS 75000 /* a client that takes nothing of its answer */

/* --- come and go -------------------------------------------------------- */

static void forget(struct lane *l, struct client *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		l->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	l->client_count--;
	buf_done(&c->out);
}

void lane_close_client(struct lane *l, struct client *c)
{
	lane_let_go(l, c, false);
	forget(l, c);
	lane_bury(l, &c->s);
}

static void give(const struct door *d, int fd)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(address);

	if (getpeername(fd, (struct sockaddr *)&address, &len) < 0) {
		close(fd);
		return;
	}
	/* It closes the descriptor when it can't take it (connection limit). */
	(void)MHD_add_connection(d->settings.daemon, fd, (struct sockaddr *)&address, len);
}

int lane_release(struct lane *l, struct client *c)
{
	int fd = c->s.fd;

	lane_let_go(l, c, false);
	forget(l, c);
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
	c->s.fd = -1;
	lane_bury(l, &c->s);
	return fd;
}

void lane_hand_over(struct lane *l, struct client *c)
{
	int fd = lane_release(l, c);

	give(c->door, fd);
}

static void welcome(struct lane *l, struct client *c)
{
	if (l->client_count >= CLIENTS) {
		give(c->door, c->s.fd);
		free(c);
		return;
	}
	c->since = l->now;
	c->next = l->clients;
	if (c->next)
		c->next->prev = c;
	l->clients = c;
	l->client_count++;
	/* Edges: a request under way stays in the socket without ringing again and again. */
	if (!lane_watch(l, &c->s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
		lane_close_client(l, c);
}

void lane_ring(const struct lane *l)
{
	uint64_t one = 1;

	(void)!write(l->wake.fd, &one, sizeof(one));
}

void lane_welcome_arrived(struct lane *l)
{
	struct client *c, *next;
	uint64_t count;

	(void)!read(l->wake.fd, &count, sizeof(count));
	pthread_mutex_lock(&l->lock);
	c = STEAL(l->arrived);
	pthread_mutex_unlock(&l->lock);
	for (; c; c = next) {
		next = c->next;
		welcome(l, c);
	}
}

static void send_over(struct lane *to, struct client *c)
{
	pthread_mutex_lock(&to->lock);
	c->next = to->arrived;
	to->arrived = c;
	pthread_mutex_unlock(&to->lock);
	lane_ring(to);
}

/* In turn to each of the team. */
static void admit(struct lane *l, const struct door *d, int fd)
{
	struct lane *to = l->team[l->turn++ % l->team_size];
	struct client *c;
	int one = 1;
	unsigned stuck = STUCK_MS;

	/* On a Unix socket these fail, and change nothing. Who takes nothing of an answer gives its
	 * slot back some day, at microhttpd, too. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stuck, sizeof(stuck));
	c = mem_alloc(sizeof(*c));
	c->s = (struct source){.kind = SOURCE_CLIENT, .fd = fd};
	c->door = d;
	gateway_forget_moved(l->g, fd);
	if (to == l)
		welcome(l, c);
	else
		send_over(to, c);
}

void lane_open_door(struct lane *l, const struct door *d)
{
	for (int i = 0; i < AT_ONCE; i++) {
		int fd = accept4(d->s.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(l, d, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			log_warn("too many open files: clients wait, continuing");
			(void)poll(NULL, 0, NO_FILE_MS);
		}
		return;
	}
}

/* --- requests ----------------------------------------------------------- */

/* A plain POST for a model of ours, from someone who may. */
static struct route *find_route(struct lane *l, struct client *c, const struct post *p,
				const struct gateway_path **ret_path)
{
	const struct gateway_path *known = gateway_path(p->path);
	struct lane_facts facts = {.host = p->host,
				   .content_type = p->content_type,
				   .authorization = p->authorization,
				   .api_key = p->api_key};
	struct err ignored = {0};
	struct route *route;
	struct scan scan;

	if (!known || !known->plain || atomic_load(&l->refusing) ||
	    !c->door->settings.may(c->door->settings.arg, &facts))
		return NULL;
	if (!scan_request(p->body, p->body_len, &scan, &ignored) || !scan.has_model ||
	    scan.has_id_slot || scan.keep_alive || scan.media)
		return NULL;
	route = routes_find(l->g->routes, scan.model);
	if (route)
		(void)snprintf(c->model, sizeof(c->model), "%s", route_model(route));
	*ret_path = known;
	return route;
}

void lane_read(struct lane *l, struct client *c)
{
	ssize_t n = recv(c->s.fd, l->peek, PEEK_SIZE, MSG_PEEK | MSG_DONTWAIT);
	const struct gateway_path *path;
	struct route *route;
	struct post p;

	c->news = false;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lane_close_client(l, c);
		return;
	}
	switch (post_parse(l->peek, (size_t)n, &p)) {
	case POST_PARTIAL:
		if (!c->partial)
			c->since = l->now;
		c->partial = true;
		if (n == PEEK_SIZE)
			break;
		return;
	case POST_WHOLE:
		route = find_route(l, c, &p, &path);
		c->news = (size_t)n > p.size; /* the next one is here, too */
		if (route && lane_ask(l, c, route, path, &p))
			return;
		break;
	default:
		break;
	}
	lane_hand_over(l, c);
}

void lane_client_event(struct lane *l, struct client *c, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
		/* A half-close counts as gone. What came before it, microhttpd may answer. */
		char byte;

		if (c->state == CLIENT_READING &&
		    recv(c->s.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
			lane_hand_over(l, c);
		else
			lane_close_client(l, c);
		return;
	}
	if (c->out.len > 0 && (events & EPOLLOUT)) {
		if (!lane_flush(l, c))
			return;
		if (c->out.len == 0 && c->state == CLIENT_PASSING) {
			lane_answer(l, c, true);
			return;
		}
	}
	if (!(events & EPOLLIN) && !c->news)
		return;
	if (c->state == CLIENT_READING && c->out.len == 0)
		lane_read(l, c);
	else
		c->news = true;
}

/* --- now and then ------------------------------------------------------- */

void lane_look_at(struct lane *l, struct client *c)
{
	int64_t since = l->now - c->since;
	struct err e = {0};

	if (c->state != CLIENT_READING && gateway_must_cut(l->g, &c->ticket, c->model, &e)) {
		lane_fail(l, c, &e);
	} else if (c->state != CLIENT_READING && route_move_requested(&c->ticket)) {
		lane_move(l, c);
	} else if (c->out.len > 0) {
		if (since > STUCK_MS)
			lane_close_client(l, c);
	} else if (c->state == CLIENT_READING) {
		if (c->partial && since > PARTIAL_MS)
			lane_hand_over(l, c);
		else if (since > IDLE_MS)
			lane_close_client(l, c);
	} else {
		worker_await(c->ticket.worker);
	}
}
