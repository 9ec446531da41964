/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/lane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/lane_priv.h"

#define EVENTS 128
#define BUSY_TICK_MS 100 /* how often a forced switch is looked for */
#define IDLE_TICK_MS 1000
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

/* --- now and then ------------------------------------------------------- */

static void tick(struct lane *l)
{
	struct client *next;

	l->ticked = l->now;
	for (struct client *c = l->clients; c; c = next) {
		next = c->next;
		lane_look_at(l, c);
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
		lane_open_door(l, (struct door *)s);
		break;
	case SOURCE_CLIENT:
		lane_client_event(l, (struct client *)s, events);
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
		lane_welcome_arrived(l);
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
	lane_welcome_arrived(l);
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
