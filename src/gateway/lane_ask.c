/* SPDX-License-Identifier: Apache-2.0 */
/* The lane's exchange with a worker: ask, and pass the answer on as it comes. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "gateway/dialect.h"
#include "gateway/exchange.h"
#include "gateway/lane_priv.h"

#define IDLE_MS 4000 /* as upstream.c, and for the same reason */
#define REQUESTS_MAX 99
#define HEAD_SIZE 512
#define CHUNK_LINE 24

/* --- worker connections ------------------------------------------------- */

static void unlink_idle(struct lane *l, const struct up *up)
{
	struct up **at = &l->idle;

	while (*at != up)
		at = &(*at)->next;
	*at = up->next;
}

void lane_drop_idle(struct lane *l, struct up *up)
{
	unlink_idle(l, up);
	lane_bury(l, &up->s);
}

void lane_sweep(struct lane *l)
{
	struct up *next;

	for (struct up *up = l->idle; up; up = next) {
		next = up->next;
		if (l->now - up->idle_since >= IDLE_MS)
			lane_drop_idle(l, up);
	}
}

static struct up *connect_fresh(struct lane *l, const char *socket_path)
{
	size_t len = strlen(socket_path);
	struct up *up = mem_alloc(sizeof(*up));

	up->s = (struct source){
		.kind = SOURCE_UP,
		.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	up->address.sun_family = AF_UNIX;
	if (len < sizeof(up->address.sun_path) && up->s.fd >= 0) {
		memcpy(up->address.sun_path, socket_path, len);
		if (connect(up->s.fd, (struct sockaddr *)&up->address, sizeof(up->address)) == 0 &&
		    lane_watch(l, &up->s, EPOLLIN | EPOLLRDHUP | EPOLLET))
			return up;
	}
	lane_bury(l, &up->s); /* a full backlog, or nobody: the other way waits, and says so */
	return NULL;
}

static struct up *get_up(struct lane *l, const char *socket_path)
{
	for (struct up *up = l->idle; up; up = up->next) {
		if (l->now - up->idle_since < IDLE_MS &&
		    strcmp(up->address.sun_path, socket_path) == 0) {
			unlink_idle(l, up);
			return up;
		}
	}
	return connect_fresh(l, socket_path);
}

void lane_let_go(struct lane *l, struct client *c, bool keep)
{
	struct up *up = STEAL(c->up);

	if (c->state != CLIENT_READING)
		l->busy--;
	c->state = CLIENT_READING;
	c->partial = false;
	if (up) {
		up->client = NULL;
		if (keep && c->body.done && up->at == up->len && !c->head.close && !up->ended &&
		    up->requests < REQUESTS_MAX) {
			up->idle_since = l->now;
			up->next = l->idle;
			l->idle = up;
		} else {
			lane_bury(l, &up->s);
		}
	}
	route_leave(&c->ticket);
	continuation_free(STEAL(c->so_far));
	free(STEAL(c->asked));
}

/* --- the client's side -------------------------------------------------- */

/* What the socket doesn't take is kept. False: the client has gone, and is closed. */
static bool say(struct lane *l, struct client *c, struct iovec *parts, size_t count)
{
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
	ssize_t n = 0;

	if (c->out.len == 0) {
		n = sendmsg(c->s.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			lane_close_client(l, c);
			return false;
		}
	}
	for (size_t i = 0, sent = n > 0 ? (size_t)n : 0; i < count; i++) {
		size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;

		sent -= skip;
		if (skip < parts[i].iov_len)
			buf_add(&c->out, (char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
	}
	c->since = l->now;
	return true;
}

bool lane_flush(struct lane *l, struct client *c)
{
	ssize_t n = send(c->s.fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		lane_close_client(l, c);
		return false;
	}
	buf_drop(&c->out, (size_t)n);
	c->since = l->now;
	if (c->out.len == 0)
		c->news |= c->state == CLIENT_READING;
	return true;
}

/* The request has been taken: its bytes leave the socket. ret (may be NULL) gets them. */
static void consume(struct lane *l, struct client *c, struct buf *ret)
{
	while (c->request > 0) {
		ssize_t n = recv(c->s.fd, l->peek, c->request, MSG_DONTWAIT);

		if (n <= 0)
			return;
		c->request -= (size_t)n;
		if (ret)
			buf_add(ret, l->peek, (size_t)n);
	}
}

/* A stream begins. */
static void take_request(struct lane *l, struct client *c)
{
	CLEANUP(buf_done) struct buf request = {0};

	consume(l, c, &request);
	if (c->request > 0)
		return;
	c->asked = mem_ndup(request.data + request.len - c->body_len, c->body_len);
	c->so_far = exchange_record(c->path, c->asked, c->body_len, c->ticket.worker);
}

/* The answer is over: what else has come? */
static void next_request(struct lane *l, struct client *c)
{
	if (c->news && c->out.len == 0)
		lane_read(l, c);
}

/* --- errors ------------------------------------------------------------- */

static void answer_error(struct lane *l, struct client *c, const struct err *e)
{
	CLEANUP(buf_done) struct buf text = {0};
	int status = err_http_status(e->kind);
	char head[HEAD_SIZE];
	int n;

	dialect_openai.error(e, NULL, &text);
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%s"
		     "Content-Length: %zu\r\n\r\n",
		     status, MHD_get_reason_phrase_for((unsigned)status),
		     status == 503 ? "Retry-After: 5\r\n" : "", text.len);
	struct iovec parts[] = {{head, (size_t)n}, {text.data, text.len}};

	if (say(l, c, parts, 2))
		next_request(l, c);
}

static void end_with_event(struct lane *l, struct client *c, const struct err *e)
{
	CLEANUP(buf_done) struct buf event = {0};
	char line[CHUNK_LINE];
	static char last[] = "\r\n0\r\n\r\n";

	if (c->in_event)
		buf_str(&event, "\n\n");
	dialect_openai.error_event(e, &event);
	(void)snprintf(line, sizeof(line), "%zx\r\n", event.len);
	struct iovec parts[] = {{line, strlen(line)}, {event.data, event.len}, {last, 7}};

	if (say(l, c, parts, 3))
		next_request(l, c);
}

void lane_fail(struct lane *l, struct client *c, const struct err *e)
{
	bool answering = c->state == CLIENT_PASSING;

	lane_let_go(l, c, false);
	if (e->kind == ERR_WORKER)
		log_warn("request failed model=%s reason=\"%s\", continuing", c->model, e->msg);
	if (!answering) {
		consume(l, c, NULL);
		answer_error(l, c, e);
	} else if (c->chunked && http1_is_events(&c->head)) {
		end_with_event(l, c, e);
	} else {
		lane_close_client(l, c); /* that it is short is all that can still be said */
	}
}

static void fail_worker(struct lane *l, struct client *c, struct err *e)
{
	route_doubt(&c->ticket);
	worker_broke_off(c->ticket.worker);
	(void)err_wrap(e, "model '%s'", c->model);
	(void)err_hint(e, "shunt logs %s", c->model);
	lane_fail(l, c, e);
}

/* --- ask ---------------------------------------------------------------- */

static bool send_request(const struct up *up, const char *path, const struct post *p)
{
	char head[HEAD_SIZE];
	int n = snprintf(head, sizeof(head),
			 "POST %s HTTP/1.1\r\nHost: localhost\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			 path, p->body_len);
	struct iovec parts[] = {{head, (size_t)n}, {p->body, p->body_len}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};

	return sendmsg(up->s.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == n + (ssize_t)p->body_len;
}

static bool is_for(const struct gateway_path *path, const struct worker *w)
{
	return (!path->mode || strcmp(path->mode, worker_mode(w)) == 0) &&
	       (path->python || worker_runtime(w) != &runtime_python);
}

bool lane_ask(struct lane *l, struct client *c, struct route *route,
	      const struct gateway_path *path, const struct post *p)
{
	struct up *up = NULL;

	if (!route_try(route, &c->ticket))
		return false;
	if (is_for(path, c->ticket.worker))
		up = get_up(l, worker_socket(c->ticket.worker));
	if (up && !send_request(up, path->path, p)) {
		lane_bury(l, &up->s); /* half a request is none */
		up = NULL;
	}
	if (!up) {
		route_leave(&c->ticket);
		return false;
	}
	up->client = c;
	up->requests++;
	up->at = up->len = 0;
	c->up = up;
	c->state = CLIENT_ASKED;
	c->request = p->size;
	c->body_len = p->body_len;
	c->path = path->path;
	c->in_event = false;
	c->body.done = false;
	l->busy++;
	return true;
}

/* --- answer ------------------------------------------------------------- */

static int format_head(const struct client *c, char *to, size_t size)
{
	const struct http1_head *h = &c->head;
	char framing[64];

	if (c->chunked)
		memcpy(framing, "Transfer-Encoding: chunked", 27);
	else
		(void)snprintf(framing, sizeof(framing), "Content-Length: %lld",
			       (long long)h->length);
	return snprintf(to, size, "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s%s\r\n\r\n", h->status,
			MHD_get_reason_phrase_for((unsigned)h->status),
			h->content_type[0] ? "Content-Type: " : "", h->content_type,
			h->content_type[0] ? "\r\n" : "", h->retry_after[0] ? "Retry-After: " : "",
			h->retry_after, h->retry_after[0] ? "\r\n" : "", framing);
}

/* Passes on what is in the worker's buffer; head: not sent yet, or NULL. False: the client or the
 * answer has ended. */
static bool pass(struct lane *l, struct client *c, char *head, size_t head_len)
{
	static char crlf[] = "\r\n", last[] = "0\r\n\r\n";
	struct up *up = c->up;
	struct iovec parts[5];
	size_t used, len, n = 0;
	struct err e = {0};
	char line[CHUNK_LINE];

	if (!http1_decode(&c->body, up->buffer + up->at, up->len - up->at, &used, l->scratch,
			  sizeof(l->scratch), &len, &e)) {
		fail_worker(l, c, &e);
		return false;
	}
	up->at += used;
	if (head_len)
		parts[n++] = (struct iovec){head, head_len};
	if (len > 0 && c->chunked) {
		(void)snprintf(line, sizeof(line), "%zx\r\n", len);
		parts[n++] = (struct iovec){line, strlen(line)};
	}
	worker_touch(c->ticket.worker, l->scratch, len);
	if (len > 0) {
		parts[n++] = (struct iovec){l->scratch, len};
		c->in_event = l->scratch[len - 1] != '\n';
		if (c->chunked)
			parts[n++] = (struct iovec){crlf, 2};
		if (c->so_far)
			continuation_sent(c->so_far, l->scratch, len);
	}
	if (c->body.done && c->chunked)
		parts[n++] = (struct iovec){last, 5};
	if (c->body.done)
		lane_let_go(l, c, true); /* first: who has its answer may ask again at once */
	if (n > 0 && !say(l, c, parts, n))
		return false;
	if (c->state == CLIENT_READING)
		next_request(l, c);
	else if (c->s.fd >= 0 && route_move_requested(&c->ticket))
		lane_move(l, c);
	return c->state == CLIENT_PASSING && c->s.fd >= 0;
}

/* A short answer is waited for: if it breaks off, that can still be said properly. */
static bool is_incomplete(const struct up *up, size_t head_size, const struct http1_head *h)
{
	return h->status >= 200 && h->framing == HTTP1_LENGTH &&
	       h->length <= (int64_t)(UP_SIZE - up->at - head_size) &&
	       (int64_t)(up->len - up->at - head_size) < h->length;
}

/* ASKED: something of the answer is there. False: the exchange is over. */
static bool begin_answer(struct lane *l, struct client *c)
{
	struct up *up = c->up;
	struct err e = {0};
	char head[HEAD_SIZE];
	size_t size;
	int n;

	do {
		size = http1_head_size(up->buffer + up->at, up->len - up->at);
		if (size == 0 && up->len < UP_SIZE)
			return true;
		if (size == 0)
			err_set(&e, ERR_WORKER,
				"the head of the worker's answer is longer than %d bytes", UP_SIZE);
		if (size == 0 || !http1_parse_head(up->buffer + up->at, size, &c->head, &e)) {
			fail_worker(l, c, &e);
			return false;
		}
		if (is_incomplete(up, size, &c->head))
			return true;
		up->at += size;
	} while (c->head.status < 200);
	c->chunked = c->head.framing != HTTP1_LENGTH;
	if (c->chunked && c->head.status == 200 && http1_is_events(&c->head))
		take_request(l, c);
	else
		consume(l, c, NULL);
	route_set_mobility(&c->ticket, c->so_far ? ROUTE_GOES_ON : ROUTE_STAYS);
	http1_body_init(&c->body, &c->head);
	c->state = CLIENT_PASSING;
	n = format_head(c, head, sizeof(head));
	return pass(l, c, head, (size_t)n);
}

/* The worker has closed. */
static void on_end(struct lane *l, struct client *c)
{
	bool nothing = c->up->len == 0;
	struct err e = {0};

	if (c->state == CLIENT_ASKED && nothing && c->up->requests > 1) {
		lane_hand_over(l, c); /* a kept connection was stale: asked again, over there */
		return;
	}
	if (c->state == CLIENT_PASSING && http1_end(&c->body, &e)) {
		(void)pass(l, c, NULL, 0);
		return;
	}
	if (c->state == CLIENT_ASKED)
		err_set(&e, ERR_WORKER,
			http1_head_size(c->up->buffer + c->up->at, c->up->len - c->up->at)
				? "the worker ended in the middle of its answer"
				: "the worker ended before it answered");
	fail_worker(l, c, &e);
}

/* Room for more in the buffer. */
static void compact(struct up *up)
{
	if (up->at == up->len) {
		up->at = up->len = 0;
	} else if (up->len == UP_SIZE) {
		memmove(up->buffer, up->buffer + up->at, up->len - up->at);
		up->len -= up->at;
		up->at = 0;
	}
}

void lane_answer(struct lane *l, struct client *c, bool all)
{
	bool more = true;

	/* A client that is slow to read is not read for; lane_flush comes back here. */
	while (more && c->out.len == 0) {
		struct up *up = c->up;
		size_t room;
		ssize_t n;

		if (c->state == CLIENT_PASSING)
			compact(up);
		room = UP_SIZE - up->len;
		n = FAULT("http.recv") ? -1
				       : recv(up->s.fd, up->buffer + up->len, room, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			on_end(l, c);
			return;
		}
		up->len += (size_t)n;
		more = c->state == CLIENT_ASKED ? begin_answer(l, c) : pass(l, c, NULL, 0);
		if ((size_t)n < room && !all)
			return; /* all that was there; more will ring again */
	}
}
