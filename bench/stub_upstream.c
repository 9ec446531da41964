/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A llama-server that answers at once and always the same: what remains is what stands in front of
 * it. One thread, epoll, HTTP/1.1 with keep-alive; takes llama-server's flags and ignores most.
 *
 *   stub_upstream --host /path/x.sock | --host 127.0.0.1 --port N   both may be given, each once
 *
 * A body with "stream":true is answered with $STUB_TOKENS events (default 100), one each
 * $STUB_INTERVAL_MS (default 20); each carries the monotonic time in µs when it was written.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE 65536
#define PEERS_MAX 65536

static const char completion[] =
	"{\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"message\":{\"role\":\"assistant\","
	"\"content\":\"Paris is the capital of "
	"France.\"}}],\"created\":1760000000,\"model\":\"stub\","
	"\"system_fingerprint\":\"b0-stub\",\"object\":\"chat.completion\",\"usage\":{"
	"\"completion_tokens\":8,\"prompt_tokens\":31,\"total_tokens\":39},\"id\":\"chatcmpl-"
	"0123456789abcdefghijklmnopqrstuv\",\"content\":\" Paris\",\"timings\":{\"prompt_n\":31,"
	"\"prompt_ms\":1.0,\"predicted_n\":8,\"predicted_ms\":1.0}}";

enum what { LISTENER, PEER, TIMER, STDIN };

struct peer {
	enum what what;
	int fd, timer;
	struct peer *stream; /* a timer's */
	int tokens;          /* still to send */
	size_t len;
	char buffer[BUFFER_SIZE];
};

struct stub {
	int epoll;
	int tokens;
	long interval_ms;
	struct peer *dead; /* closed in this round of events: freed after it */
	bool quit;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(const struct stub *s, int fd, struct peer *p)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

static struct peer *new_peer(enum what what, int fd)
{
	struct peer *p = malloc(sizeof(*p));

	if (!p)
		die("malloc");
	p->what = what;
	p->fd = fd;
	p->timer = -1;
	p->stream = NULL;
	p->tokens = 0;
	p->len = 0;
	return p;
}

static void stop_timer(struct peer *p)
{
	if (p->timer >= 0)
		close(p->timer);
	p->timer = -1;
	if (p->stream) /* the timer's own peer: freed with the next close */
		p->stream->fd = -1;
}

static void send_text(const struct peer *p, const char *text, size_t len)
{
	/* A reader that slow doesn't occur here; what it lost would show as a failed request. */
	if (send(p->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		shutdown(p->fd, SHUT_RDWR);
}

static void answer(const struct peer *p, const char *status, const char *json)
{
	char head[512 + sizeof(completion)];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nServer: llama.cpp\r\nContent-Type: application/json; "
			 "charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s",
			 status, strlen(json), json);

	send_text(p, head, (size_t)n);
}

static void start_stream(struct stub *s, struct peer *p)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Type: "
				   "text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct itimerspec every = {0};
	struct peer *t;

	every.it_interval.tv_nsec = s->interval_ms % 1000 * 1000000;
	every.it_interval.tv_sec = s->interval_ms / 1000;
	every.it_value = every.it_interval;
	send_text(p, head, sizeof(head) - 1);
	p->tokens = s->tokens;
	p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (p->timer < 0 || timerfd_settime(p->timer, 0, &every, NULL) < 0)
		die("timerfd");
	t = new_peer(TIMER, p->timer);
	t->stream = p;
	p->stream = t;
	watch(s, p->timer, t);
}

static void next_token(struct peer *timer)
{
	struct peer *p = timer->stream;
	char event[256], chunk[300];
	struct timespec now;
	uint64_t ticks;
	int n;

	if (read(timer->fd, &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (p->tokens-- > 0) {
		n = snprintf(event, sizeof(event),
			     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"}}],"
			     "\"sent_us\":%lld}\n\n",
			     (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
		n = snprintf(chunk, sizeof(chunk), "%x\r\n%.*s\r\n", (unsigned)n, n, event);
	} else {
		n = snprintf(chunk, sizeof(chunk), "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
		stop_timer(p);
		p->stream = NULL;
	}
	send_text(p, chunk, (size_t)n);
}

static void respond(struct stub *s, struct peer *p, const char *body, size_t len)
{
	if (memcmp(p->buffer, "GET /health", 11) == 0)
		answer(p, "200 OK", "{\"status\":\"ok\"}");
	else if (memcmp(p->buffer, "GET /props", 10) == 0)
		answer(p, "200 OK", "{\"total_slots\":512,\"model_alias\":\"stub\"}");
	else if (memcmp(p->buffer, "POST ", 5) != 0)
		answer(p, "404 Not Found",
		       "{\"error\":{\"code\":404,\"message\":\"no such path\"}}");
	else if (memmem(body, len, "\"stream\":true", 13) ||
		 memmem(body, len, "\"stream\": true", 14))
		start_stream(s, p);
	else
		answer(p, "200 OK", completion);
}

/* Length of the first whole request in the buffer, 0: it goes on; *body: where its body is. */
static size_t whole_request(struct peer *p, const char **body, size_t *len)
{
	char *end = memmem(p->buffer, p->len, "\r\n\r\n", 4), *line;
	size_t head = end ? (size_t)(end - p->buffer) + 4 : 0;

	*len = 0;
	if (!end)
		return 0;
	*end = '\0'; /* strcasestr needs a string */
	line = strcasestr(p->buffer, "\r\ncontent-length:");
	if (line)
		*len = strtoul(line + 17, NULL, 10);
	*end = '\r';
	*body = p->buffer + head;
	return head + *len <= p->len ? head + *len : 0;
}

static void close_peer(struct stub *s, struct peer *p)
{
	if (p->stream) {
		struct peer *t = p->stream;

		stop_timer(p);
		t->stream = s->dead;
		s->dead = t;
	}
	close(p->fd);
	p->fd = -1;
	p->stream = s->dead;
	s->dead = p;
}

static void read_peer(struct stub *s, struct peer *p)
{
	ssize_t n = recv(p->fd, p->buffer + p->len, BUFFER_SIZE - p->len, 0);
	const char *body;
	size_t len, size;

	if (n <= 0) {
		close_peer(s, p);
		return;
	}
	p->len += (size_t)n;
	while ((size = whole_request(p, &body, &len)) > 0) {
		respond(s, p, body, len);
		memmove(p->buffer, p->buffer + size, p->len - size);
		p->len -= size;
	}
}

static void accept_peer(const struct stub *s, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;

	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* no-op on Unix */
	watch(s, fd, new_peer(PEER, fd));
}

/* The parent's line, or its end. */
static void read_stdin(struct stub *s)
{
	char text[256];
	ssize_t n = read(0, text, sizeof(text) - 1);

	if (n <= 0)
		s->quit = true;
	else
		s->quit = memmem(text, (size_t)n, "exit", 4) != NULL;
}

static void loop(struct stub *s)
{
	struct epoll_event events[64];

	while (!s->quit) {
		int n = epoll_wait(s->epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;

			if (p->fd < 0 && p->what != STDIN)
				continue; /* closed by an earlier event of this round */
			if (p->what == LISTENER)
				accept_peer(s, p->fd);
			else if (p->what == TIMER)
				next_token(p);
			else if (p->what == STDIN)
				read_stdin(s);
			else
				read_peer(s, p);
		}
		while (s->dead) {
			struct peer *next = s->dead->stream;

			free(s->dead);
			s->dead = next;
		}
	}
}

static void listen_on(const struct stub *s, const struct sockaddr *a, socklen_t len)
{
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, a, len) < 0 || listen(fd, 4096) < 0)
		die("listen");
	watch(s, fd, new_peer(LISTENER, fd));
}

static void listen_unix(const struct stub *s, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path)) {
		fprintf(stderr, "path too long\n");
		exit(1);
	}
	memcpy(a.sun_path, path, strlen(path));
	(void)unlink(path);
	listen_on(s, (struct sockaddr *)&a, sizeof(a));
}

static void listen_tcp(const struct stub *s, long port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	listen_on(s, (struct sockaddr *)&a, sizeof(a));
}

static long number(const char *text, long fallback)
{
	return text ? strtol(text, NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
	struct stub s = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
	struct rlimit files = {PEERS_MAX, PEERS_MAX};

	s.tokens = (int)number(getenv("STUB_TOKENS"), 100);
	s.interval_ms = number(getenv("STUB_INTERVAL_MS"), 20);
	signal(SIGPIPE, SIG_IGN);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list-devices") == 0) {
			puts("Available devices:\n  (none)");
			return 0;
		}
		if (i + 1 == argc)
			break;
		if (strcmp(argv[i], "--host") == 0 && argv[i + 1][0] == '/')
			listen_unix(&s, argv[++i]);
		else if (strcmp(argv[i], "--port") == 0)
			listen_tcp(&s, number(argv[++i], 0));
	}
	if (getenv("LLAMA_SERVER_ROUTER_PORT"))
		watch(&s, 0, new_peer(STDIN, -1));
	loop(&s);
	return 0;
}
