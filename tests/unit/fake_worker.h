/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A worker made of a Unix socket and a script: the nth request, on whatever connection, gets the
 * nth answer. Each connection has a thread.
 */

#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

enum answer_end {
	KEEP,  /* the connection, for more requests */
	CLOSE, /* after the answer */
	HANG,  /* send no more, until the other side closes: then `left` is posted */
};

struct answer {
	const char *text; /* a '|' waits for `go` */
	enum answer_end end;
};

struct fake_worker {
	const struct answer *script;
	int listener;
	char path[108];
	pthread_t acceptor;
	pthread_t threads[64];
	atomic_int accepted, asked;
	sem_t go, left, got; /* go: the test's; got: a request is there */
	char request[64][4096];
	size_t length[64];
};

struct fake_connection {
	struct fake_worker *w;
	int fd;
};

/* One request into w->request[n]; false: the client has closed. */
TEST_MAYBE static bool fake_read(struct fake_worker *w, int fd, int *ret_n)
{
	char buffer[4096];
	size_t len = 0, body = 0;
	char *end = NULL;

	while (!end || len < (size_t)(end - buffer) + 4 + body) {
		ssize_t n = recv(fd, buffer + len, sizeof(buffer) - 1 - len, 0);
		char *line;

		if (n <= 0)
			return false;
		len += (size_t)n;
		buffer[len] = '\0';
		end = strstr(buffer, "\r\n\r\n");
		line = strstr(buffer, "Content-Length: ");
		body = line ? strtoul(line + 16, NULL, 10) : 0;
	}
	*ret_n = atomic_fetch_add(&w->asked, 1);
	memcpy(w->request[*ret_n], buffer, len + 1);
	w->length[*ret_n] = len;
	(void)sem_post(&w->got);
	return true;
}

TEST_MAYBE static void fake_send(struct fake_worker *w, int fd, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "|");

		(void)send(fd, text, len, MSG_NOSIGNAL);
		text += len;
		if (*text == '|') {
			text++;
			(void)sem_wait(&w->go);
		}
	}
}

TEST_MAYBE static void *fake_serve(void *arg)
{
	struct fake_connection c = *(struct fake_connection *)arg;
	bool more = true;
	char byte;
	int n;

	free(arg);
	while (more && fake_read(c.w, c.fd, &n)) {
		const struct answer *a = &c.w->script[n];

		fake_send(c.w, c.fd, a->text);
		more = a->end == KEEP;
		if (a->end == HANG && recv(c.fd, &byte, 1, 0) <= 0)
			(void)sem_post(&c.w->left);
	}
	close(c.fd);
	return NULL;
}

TEST_MAYBE static void *fake_accept(void *arg)
{
	struct fake_worker *w = arg;
	int fd;

	while ((fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct fake_connection *c = malloc(sizeof(*c));
		int n = atomic_load(&w->accepted);

		*c = (struct fake_connection){w, fd};
		atomic_store(&w->accepted, n + 1); /* before anything is answered */
		assert_int_equal(pthread_create(&w->threads[n], NULL, fake_serve, c), 0);
	}
	return NULL;
}

TEST_MAYBE static struct fake_worker *fake_start(const char *dir, const struct answer *script)
{
	struct fake_worker *w = calloc(1, sizeof(*w));
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(w->path, sizeof(w->path), "%s/worker.sock", dir);
	memcpy(a.sun_path, w->path, sizeof(a.sun_path));
	(void)unlink(w->path);
	w->script = script;
	w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(w->listener, 64), 0);
	(void)sem_init(&w->go, 0, 0);
	(void)sem_init(&w->left, 0, 0);
	(void)sem_init(&w->got, 0, 0);
	assert_int_equal(pthread_create(&w->acceptor, NULL, fake_accept, w), 0);
	return w;
}

/* Kept connections must be closed before (upstreams_free). */
TEST_MAYBE static void fake_stop(struct fake_worker *w)
{
	(void)shutdown(w->listener, SHUT_RDWR);
	(void)pthread_join(w->acceptor, NULL);
	for (int i = 0; i < atomic_load(&w->accepted); i++)
		(void)pthread_join(w->threads[i], NULL);
	close(w->listener);
	(void)sem_destroy(&w->go);
	(void)sem_destroy(&w->left);
	(void)sem_destroy(&w->got);
	free(w);
}

/* Posted within 10 s? */
TEST_MAYBE static bool fake_wait(sem_t *s)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	return sem_timedwait(s, &until) == 0;
}
