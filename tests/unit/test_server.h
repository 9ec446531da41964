/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A server of one connection at a time, in a thread: reads a request, gives it to `serve`, closes
 * the connection.
 */

#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TEST_SERVER_MAYBE __attribute__((unused))

struct test_server {
	void (*serve)(struct test_server *s, int conn, const char *request);
	const void *arg; /* serve's */
	char url[64];    /* http://127.0.0.1:PORT */
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	int requests;    /* guarded by lock */
	char last[4096]; /* guarded by lock: the last request */
};

/* Ends with the headers and as much of a body as they announce. */
static bool test_server_whole(const char *request)
{
	const char *end = strstr(request, "\r\n\r\n");
	const char *length = strcasestr(request, "\r\nContent-Length:");

	return end != NULL && (length == NULL || strlen(end + 4) >= strtoul(length + 17, NULL, 10));
}

static void test_server_one(struct test_server *s, int conn)
{
	char request[4096] = "";
	size_t len = 0;
	ssize_t n = 0;

	while (!test_server_whole(request) && len < sizeof(request) - 1 &&
	       (n = read(conn, request + len, sizeof(request) - 1 - len)) > 0) {
		len += (size_t)n;
		request[len] = '\0';
	}
	(void)pthread_mutex_lock(&s->lock);
	s->requests++;
	memcpy(s->last, request, sizeof(request));
	(void)pthread_mutex_unlock(&s->lock);
	s->serve(s, conn, request);
}

static void *test_server_run(void *arg)
{
	struct test_server *s = arg;
	int conn = -1;

	while ((conn = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		test_server_one(s, conn);
		(void)close(conn);
	}
	return NULL;
}

/* socket: a path for a Unix socket, NULL for a port of 127.0.0.1. */
TEST_SERVER_MAYBE static void test_server_start(struct test_server *s, const char *socket_path)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(in);

	s->fd = socket(socket_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	if (socket_path != NULL) {
		(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", socket_path);
		assert_int_equal(bind(s->fd, (struct sockaddr *)&un, sizeof(un)), 0);
	} else {
		assert_int_equal(bind(s->fd, (struct sockaddr *)&in, sizeof(in)), 0);
		assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &size), 0);
	}
	(void)snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", ntohs(in.sin_port));
	assert_int_equal(listen(s->fd, 8), 0);
	(void)pthread_mutex_init(&s->lock, NULL);
	assert_int_equal(pthread_create(&s->thread, NULL, test_server_run, s), 0);
}

TEST_SERVER_MAYBE static void test_server_stop(struct test_server *s)
{
	(void)shutdown(s->fd, SHUT_RDWR); /* wakes accept() */
	(void)pthread_join(s->thread, NULL);
	(void)close(s->fd); /* the lock stays: what was asked may be asked after */
}

TEST_SERVER_MAYBE static int test_server_requests(struct test_server *s)
{
	int n = 0;

	(void)pthread_mutex_lock(&s->lock);
	n = s->requests;
	(void)pthread_mutex_unlock(&s->lock);
	return n;
}

/* Did the last request have this text? */
TEST_SERVER_MAYBE static bool test_server_asked(struct test_server *s, const char *text)
{
	bool found = false;

	(void)pthread_mutex_lock(&s->lock);
	found = strstr(s->last, text) != NULL;
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

TEST_SERVER_MAYBE static void test_server_send(int conn, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(conn, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the client has gone */
		text += n;
		len -= (size_t)n;
	}
}

TEST_SERVER_MAYBE __attribute__((format(printf, 2, 3))) static void
test_server_printf(int conn, const char *fmt, ...)
{
	char text[4096];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	test_server_send(conn, text, strlen(text));
}

/* Until the client closes: for answers that never come. */
TEST_SERVER_MAYBE static void test_server_hang(int conn)
{
	char byte = 0;

	while (read(conn, &byte, 1) > 0)
		;
}
