/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"

#define IDLE_MS 4000      /* kept no longer without a request */
#define REQUESTS_MAX 99   /* on one connection */
#define CONNECT_MS 10000  /* for a worker whose backlog is full */
#define SWEEP_MS 1000     /* between two looks at all idle connections */
#define PATIENCE_MS 20    /* of a plain recv, before the client is watched as well */
#define LOOK_MS 100       /* between two looks whether to stop */
#define BUFFER_SIZE 16384 /* a head must fit */

struct upstream {
	struct upstream *next; /* in its lane; guarded by upstreams->lock */
	struct upstreams *owner;
	int fd;
	int requests;
	int64_t idle_since;
	int64_t looked; /* when we last looked whether to stop */
	bool slow;      /* no answer within PATIENCE_MS: watch the client, too */
	bool usable;    /* for another request, if this one's answer is read to its end */
	struct http1_body body;
	size_t at, len; /* what of the buffer is still to be read */
	struct sockaddr_un address;
	char buffer[BUFFER_SIZE];
};

/* The idle connections to one socket, the youngest first. */
struct lane {
	struct lane *next;
	struct upstream *idle;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct upstreams {
	pthread_mutex_t lock; /* held for list work, and for close() of old ones */
	struct lane *lanes;
	int64_t swept;
};

/* --- idle connections --------------------------------------------------- */

static void drop(struct upstream *up)
{
	close(up->fd);
	free(up);
}

static void drop_list(struct upstream *up)
{
	while (up) {
		struct upstream *next = up->next;

		drop(up);
		up = next;
	}
}

struct upstreams *upstreams_new(void)
{
	struct upstreams *u = mem_alloc(sizeof(*u));

	pthread_mutex_init(&u->lock, NULL);
	return u;
}

void upstreams_free(struct upstreams *u)
{
	struct lane *next;

	if (!u)
		return;
	for (struct lane *l = u->lanes; l; l = next) {
		next = l->next;
		drop_list(l->idle);
		free(l);
	}
	pthread_mutex_destroy(&u->lock);
	free(u);
}

/* Lock held. Closes what nobody used lately; workers come and go, each with a socket of its own. */
static void sweep(struct upstreams *u, int64_t now)
{
	struct lane **l = &u->lanes, *gone;

	u->swept = now;
	while (*l) {
		struct upstream **up = &(*l)->idle;

		while (*up && now - (*up)->idle_since < IDLE_MS)
			up = &(*up)->next;
		drop_list(STEAL(*up)); /* all that follow are older still */
		if ((*l)->idle) {
			l = &(*l)->next;
			continue;
		}
		gone = *l;
		*l = gone->next;
		free(gone);
	}
}

static struct lane *find_lane(const struct upstreams *u, const char *socket)
{
	for (struct lane *l = u->lanes; l; l = l->next)
		if (strcmp(l->socket, socket) == 0)
			return l;
	return NULL;
}

static struct upstream *take_idle(struct upstreams *u, const char *socket)
{
	struct upstream *up = NULL;
	int64_t now = clock_ms();
	struct lane *l;

	pthread_mutex_lock(&u->lock);
	if (now - u->swept >= SWEEP_MS)
		sweep(u, now);
	l = find_lane(u, socket);
	if (l && l->idle && now - l->idle->idle_since < IDLE_MS) {
		up = l->idle;
		l->idle = up->next;
	}
	pthread_mutex_unlock(&u->lock);
	return up;
}

static void put_idle(struct upstream *up)
{
	struct upstreams *u = up->owner;
	struct lane *l;

	up->idle_since = clock_ms();
	pthread_mutex_lock(&u->lock);
	l = find_lane(u, up->address.sun_path);
	if (!l) {
		l = mem_alloc(sizeof(*l));
		memcpy(l->socket, up->address.sun_path, sizeof(l->socket));
		l->next = u->lanes;
		u->lanes = l;
	}
	up->next = l->idle;
	l->idle = up;
	pthread_mutex_unlock(&u->lock);
}

void upstream_done(struct upstream *up)
{
	if (!up)
		return;
	if (up->usable && up->body.done && up->at == up->len && up->requests < REQUESTS_MAX)
		put_idle(up);
	else
		drop(up);
}

/* --- waiting ------------------------------------------------------------ */

bool upstream_client_gone(int client_fd)
{
	struct pollfd p = {.fd = client_fd, .events = POLLRDHUP};

	return client_fd >= 0 && poll(&p, 1, 0) > 0 &&
	       (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static bool may_go_on(const struct upstream_watch *watch, bool client_left, struct err *e)
{
	if (client_left)
		return err_set(e, ERR_CANCELLED, "the client has gone");
	return !watch->stopped || !watch->stopped(watch->arg, e);
}

/* Until the socket can do what is asked, the client leaves, or someone stops us. */
static bool wait_for(const struct upstream *up, short events, const struct upstream_watch *watch,
		     struct err *e)
{
	struct pollfd p[2] = {{.fd = up->fd, .events = events},
			      {.fd = watch->client_fd, .events = POLLRDHUP}};

	for (;;) {
		p[0].revents = p[1].revents = 0;
		(void)poll(p, 2, LOOK_MS);
		if (!may_go_on(watch, (p[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0, e))
			return false;
		if (p[0].revents)
			return true;
	}
}

/* A fast stream never waits long, so it looks here. */
static bool look(struct upstream *up, const struct upstream_watch *watch, struct err *e)
{
	int64_t now = clock_ms();

	if (now - up->looked < LOOK_MS)
		return true;
	up->looked = now;
	return may_go_on(watch, upstream_client_gone(watch->client_fd), e);
}

/* As recv(2), but never with EAGAIN. *ret_n: 0 for the end, −1 for an error in errno. False: must
 * not go on. The first wait is a plain blocking recv for a moment: a quick answer costs one system
 * call. */
static bool receive(struct upstream *up, const struct upstream_watch *watch, char *to, size_t size,
		    ssize_t *ret_n, struct err *e)
{
	for (;;) {
		if (up->slow && !wait_for(up, POLLIN, watch, e))
			return false;
		*ret_n = FAULT("http.recv") ? -1
					    : recv(up->fd, to, size, up->slow ? MSG_DONTWAIT : 0);
		if (*ret_n >= 0 || (errno != EAGAIN && errno != EINTR))
			return true;
		up->slow = true;
	}
}

/* --- asking ------------------------------------------------------------- */

static bool set_patience(int fd)
{
	struct timeval t = {.tv_usec = PATIENCE_MS * 1000};

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0;
}

static bool connect_to(struct upstream *up, const struct upstream_watch *watch, struct err *e)
{
	int64_t end = clock_ms() + CONNECT_MS;

	while (connect(up->fd, (struct sockaddr *)&up->address, sizeof(up->address)) < 0) {
		if ((errno != EAGAIN && errno != EINTR) || clock_ms() > end) {
			bool nobody = errno == ECONNREFUSED || errno == ENOENT;
			const char *why = strerror(errno); /* NOLINT(concurrency-mt-unsafe) */

			return err_set(e, nobody ? ERR_UNREACHABLE : ERR_WORKER,
				       "the worker takes no connection: %s", why);
		}
		if (!may_go_on(watch, upstream_client_gone(watch->client_fd), e))
			return false;
	}
	return true;
}

static bool open_fresh(struct upstreams *u, const char *socket_path,
		       const struct upstream_watch *watch, struct upstream **ret, struct err *e)
{
	struct upstream *up;

	if (strlen(socket_path) >= sizeof(up->address.sun_path))
		return err_set(e, ERR_WORKER, "the worker's socket path is too long: '%s'",
			       socket_path);
	up = mem_alloc(sizeof(*up));
	up->owner = u;
	up->address.sun_family = AF_UNIX;
	memcpy(up->address.sun_path, socket_path, strlen(socket_path));
	up->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (up->fd < 0 || !set_patience(up->fd))
		err_sys(e, errno, "a socket for the worker");
	else if (connect_to(up, watch, e)) {
		*ret = up;
		return true;
	}
	close_p(&up->fd);
	free(up);
	return false;
}

static void skip_sent(struct msghdr *m, size_t sent)
{
	while (m->msg_iovlen > 0 && sent >= m->msg_iov->iov_len) {
		sent -= m->msg_iov->iov_len;
		m->msg_iov++;
		m->msg_iovlen--;
	}
	if (m->msg_iovlen > 0) {
		m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + sent;
		m->msg_iov->iov_len -= sent;
	}
}

/* A worker may answer before it has read everything, and even close: what it said is looked for in
 * any case, so a failed send is not an error of its own. False: must not go on. */
static bool send_all(struct upstream *up, struct msghdr *m, const struct upstream_watch *watch,
		     struct err *e)
{
	struct pollfd p = {.fd = up->fd, .events = POLLIN};

	while (m->msg_iovlen > 0) {
		ssize_t n = sendmsg(up->fd, m, MSG_NOSIGNAL);

		if (n >= 0) {
			skip_sent(m, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		up->usable = errno == EAGAIN && up->usable;
		if (errno != EAGAIN)
			return true;
		if (!wait_for(up, POLLOUT | POLLIN, watch, e))
			return false;
		if (poll(&p, 1, 0) > 0) {
			up->usable = false;
			return true;
		}
	}
	return true;
}

static bool send_request(struct upstream *up, const char *path, const char *type, const char *body,
			 size_t len, const struct upstream_watch *watch, struct err *e)
{
	char head[512];
	int n = snprintf(head, sizeof(head),
			 "POST %s HTTP/1.1\r\nHost: localhost\r\n"
			 "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
			 path, type ? type : "application/json", len);
	struct iovec parts[] = {{head, (size_t)n}, {(char *)body, len}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};

	if (n < 0 || (size_t)n >= sizeof(head))
		return err_set(e, ERR_INVALID, "the request's head is too long");
	return send_all(up, &m, watch, e);
}

/* --- the answer --------------------------------------------------------- */

enum outcome { ANSWERED, FAILED, STALE };

/* Until a whole head is in the buffer. */
static enum outcome receive_head(struct upstream *up, const struct upstream_watch *watch,
				 size_t *ret_size, struct err *e)
{
	ssize_t n;

	while ((*ret_size = http1_head_size(up->buffer + up->at, up->len - up->at)) == 0) {
		if (up->at > 0) {
			memmove(up->buffer, up->buffer + up->at, up->len - up->at);
			up->len -= up->at;
			up->at = 0;
		}
		if (up->len == BUFFER_SIZE) {
			err_set(e, ERR_WORKER,
				"the head of the worker's answer is longer than %d bytes",
				BUFFER_SIZE);
			return FAILED;
		}
		if (!receive(up, watch, up->buffer + up->len, BUFFER_SIZE - up->len, &n, e))
			return FAILED;
		if (n <= 0) {
			err_set(e, ERR_WORKER, "the worker ended before it answered");
			return up->len == 0 ? STALE : FAILED;
		}
		up->len += (size_t)n;
	}
	return ANSWERED;
}

static enum outcome read_head(struct upstream *up, const struct upstream_watch *watch,
			      struct http1_head *ret, struct err *e)
{
	enum outcome o;
	size_t size;

	do {
		o = receive_head(up, watch, &size, e);
		if (o != ANSWERED)
			return o;
		if (!http1_parse_head(up->buffer + up->at, size, ret, e))
			return FAILED;
		up->at += size;
	} while (ret->status < 200); /* 100 Continue and its like: the answer follows */
	up->usable = up->usable && !ret->close;
	http1_body_init(&up->body, ret);
	return ANSWERED;
}

static enum outcome ask(struct upstream *up, const char *path, const char *type, const char *body,
			size_t len, const struct upstream_watch *watch, struct http1_head *ret,
			struct err *e)
{
	up->requests++;
	up->slow = false;
	up->usable = true;
	up->looked = clock_ms();
	up->at = up->len = 0;
	up->body.done = false;
	if (!send_request(up, path, type, body, len, watch, e))
		return FAILED;
	return read_head(up, watch, ret, e);
}

bool upstream_post(struct upstreams *u, const char *socket_path, const char *path, const char *type,
		   const char *body, size_t len, const struct upstream_watch *watch,
		   struct upstream **ret, struct http1_head *ret_head, struct err *e)
{
	struct upstream *up = take_idle(u, socket_path);
	bool reused = up != NULL;
	enum outcome o;

	if (!up && !open_fresh(u, socket_path, watch, &up, e))
		return false;
	o = ask(up, path, type, body, len, watch, ret_head, e);
	if (o == STALE && reused) {
		drop(up);
		err_clear(e);
		if (!open_fresh(u, socket_path, watch, &up, e))
			return false;
		o = ask(up, path, type, body, len, watch, ret_head, e);
	}
	if (o != ANSWERED) {
		drop(up);
		return false;
	}
	*ret = up;
	return true;
}

bool upstream_read(struct upstream *up, const struct upstream_watch *watch, char *out, size_t size,
		   size_t *ret_len, struct err *e)
{
	size_t used, len = 0;
	ssize_t n;

	while (!up->body.done && len == 0) {
		if (up->at == up->len) {
			if (!look(up, watch, e) ||
			    !receive(up, watch, up->buffer, BUFFER_SIZE, &n, e))
				return false;
			if (n <= 0) {
				if (!http1_end(&up->body, e))
					return false;
				break;
			}
			up->at = 0;
			up->len = (size_t)n;
		}
		if (!http1_decode(&up->body, up->buffer + up->at, up->len - up->at, &used, out,
				  size, &len, e))
			return false;
		up->at += used;
	}
	*ret_len = len;
	return true;
}
