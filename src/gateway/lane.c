/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/lane.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/lane_priv.h"

#define EVENTS 128
#define CLIENTS 1024     /* of each */
#define BUSY_TICK_MS 100 /* how often a forced switch is looked for */
#define IDLE_TICK_MS 1000
#define PARTIAL_MS 2000 /* a request that comes slowly gets a thread */
#define IDLE_MS 75000
#define STUCK_MS 75000 /* a client that takes nothing of its answer */
#define STACK_BYTES ((size_t)128 * 1024)

bool lane_watch(const struct lane *l, struct source *s, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &e) == 0;
}

void lane_bury(struct lane *l, struct source *s)
{
	if (s->fd >= 0) {
		/* By hand: a child between fork and exec holds it, too, and epoll would ring on. */
		(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
		close(s->fd);
	}
	s->fd = -1;
	s->dead = l->dead;
	l->dead = s;
}

static void free_dead(struct lane *l)
{
	while (l->dead) {
		struct source *next = l->dead->dead;

		free(l->dead); /* the first member of what was allocated */
		l->dead = next;
	}
}

/* --- clients ------------------------------------------------------------ */

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

/* What the first one sent over. */
static void welcome_arrived(struct lane *l)
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

static void open_door(struct lane *l, const struct door *d)
{
	for (int i = 0; i < EVENTS; i++) {
		int fd = accept4(d->s.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(l, d, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			log_warn("too many open files: clients wait, continuing");
			(void)poll(NULL, 0, BUSY_TICK_MS);
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

static void on_client(struct lane *l, struct client *c, uint32_t events)
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

static void look_at(struct lane *l, struct client *c)
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

static void tick(struct lane *l)
{
	struct client *next;

	l->ticked = l->now;
	for (struct client *c = l->clients; c; c = next) {
		next = c->next;
		look_at(l, c);
	}
	lane_sweep(l);
}

/* A request counts until the client has all of its answer. */
static void count_left(struct lane *l)
{
	int left = 0;

	for (const struct client *c = l->clients; c; c = c->next)
		left += c->state != CLIENT_READING || c->out.len > 0;
	atomic_store(&l->left, left);
}

static int tick_ms(const struct lane *l)
{
	if (l->busy > 0)
		return BUSY_TICK_MS;
	return l->clients || l->idle ? IDLE_TICK_MS : -1;
}

static void on_event(struct lane *l, struct source *s, uint32_t events)
{
	struct up *up;

	if (s->fd < 0)
		return; /* closed earlier in this round */
	switch (s->kind) {
	case SOURCE_DOOR:
		open_door(l, (struct door *)s);
		break;
	case SOURCE_CLIENT:
		on_client(l, (struct client *)s, events);
		break;
	case SOURCE_UP:
		up = (struct up *)s;
		up->ended |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
		if (!up->client)
			lane_drop_idle(l, up);
		else
			lane_answer(l, up->client, up->ended);
		break;
	default:
		welcome_arrived(l);
		break;
	}
}

static void *run(void *arg)
{
	struct lane *l = arg;
	struct epoll_event events[EVENTS];

	while (!atomic_load(&l->quit)) {
		int n = epoll_wait(l->epoll, events, EVENTS, tick_ms(l));

		l->now = clock_ms();
		for (int i = 0; i < n; i++)
			on_event(l, events[i].data.ptr, events[i].events);
		if (l->now - l->ticked >= BUSY_TICK_MS)
			tick(l);
		if (atomic_load(&l->refusing))
			count_left(l);
		free_dead(l);
	}
	welcome_arrived(l);
	while (l->clients)
		lane_close_client(l, l->clients);
	while (l->idle)
		lane_drop_idle(l, l->idle);
	free_dead(l);
	return NULL;
}

/* --- begin and end ------------------------------------------------------ */

static void release(struct lane *l)
{
	lane_end_movers(l);
	for (size_t i = 0; i < l->door_count; i++)
		close_p(&l->doors[i].s.fd);
	close_p(&l->wake.fd);
	close_p(&l->epoll);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->moved);
	free(l);
}

static bool set_up(struct lane *l, struct err *e)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake =
		(struct source){.kind = SOURCE_WAKE, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (l->epoll < 0 || l->wake.fd < 0 || !lane_watch(l, &l->wake, EPOLLIN))
		return err_sys(e, errno, "epoll");
	for (size_t i = 0; i < l->door_count; i++) {
		int flags = fcntl(l->doors[i].s.fd, F_GETFL);

		if (flags < 0 || fcntl(l->doors[i].s.fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		    !lane_watch(l, &l->doors[i].s, EPOLLIN))
			return err_sys(e, errno, "a listening socket");
	}
	return true;
}

static bool start_thread(struct lane *l, struct err *e)
{
	pthread_attr_t attr;
	int error;

	pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	error = pthread_create(&l->thread, &attr, run, l);
	pthread_attr_destroy(&attr);
	return error == 0 || err_sys(e, error, "a thread for the gateway");
}

static struct lane *new_lane(struct gateway *g, const struct lane_door *doors, size_t count)
{
	struct lane *l = mem_alloc(sizeof(*l));

	l->g = g;
	l->epoll = -1;
	l->team[0] = l;
	l->team_size = 1;
	atomic_store(&l->left, -1);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->moved, NULL);
	for (; l->door_count < count && l->door_count < LANE_DOORS; l->door_count++) {
		struct door *d = &l->doors[l->door_count];

		d->settings = doors[l->door_count];
		d->s = (struct source){.kind = SOURCE_DOOR, .fd = d->settings.fd};
	}
	return l;
}

static void end(struct lane *l)
{
	atomic_store(&l->quit, true);
	lane_ring(l);
	(void)pthread_join(l->thread, NULL);
}

static void end_others(struct lane *first)
{
	for (size_t i = 1; i < first->team_size; i++) {
		end(first->team[i]);
		release(first->team[i]);
	}
}

bool lane_start(struct gateway *g, const struct lane_door *doors, size_t count, struct lane **ret,
		struct err *e)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct lane *first = new_lane(g, doors, count);
	bool ok = true;

	while (ok && first->team_size < LANES && (long)first->team_size < cores) {
		struct lane *l = new_lane(g, NULL, 0);

		ok = set_up(l, e) && start_thread(l, e);
		if (ok)
			first->team[first->team_size++] = l;
		else
			release(l);
	}
	if (ok && set_up(first, e) && start_thread(first, e)) {
		*ret = first;
		return true;
	}
	end_others(first);
	release(first);
	return false;
}

void lane_refuse_new(struct lane *l)
{
	for (size_t i = 0; l && i < l->team_size; i++) {
		atomic_store(&l->team[i]->refusing, true);
		lane_ring(l->team[i]);
	}
}

int lane_running(const struct lane *l)
{
	int running = 0;

	for (size_t i = 0; l && i < l->team_size; i++) {
		int left = atomic_load(&l->team[i]->left);

		running += left < 0 ? 1 : left;
		running += atomic_load(&l->team[i]->moving);
	}
	return running;
}

int lane_connections(const struct lane *l)
{
	int count = 0;

	for (size_t i = 0; l && i < l->team_size; i++)
		count += atomic_load(&l->team[i]->client_count);
	return count;
}

void lane_stop(struct lane *l)
{
	if (!l)
		return;
	end(l); /* first: it sends to the others */
	end_others(l);
	release(l);
}
