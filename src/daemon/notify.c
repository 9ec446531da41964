/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* A path, or "@name" of the abstract space. */
static bool read_address(struct notify *n, const char *text)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path))
		return false;
	n->to = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(n->to.sun_path, text, len);
	if (text[0] == '@')
		n->to.sun_path[0] = '\0';
	n->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

/* 0: no watchdog, or another process's. */
static int64_t read_watchdog(void)
{
	const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	char *end = NULL;
	long long n;

	if (!us || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	errno = 0;
	n = strtoll(us, &end, 10);
	if (errno == 0 && end != us && !*end && n >= 1000)
		return n / 1000;
	log_warn("WATCHDOG_USEC=\"%s\" is not a number of microseconds, continuing", us);
	return 0;
}

void notify_open(struct notify *n)
{
	const char *address = getenv("NOTIFY_SOCKET");

	*n = (struct notify){.fd = -1};
	if (address && !read_address(n, address))
		log_warn("NOTIFY_SOCKET=\"%s\" is neither a path nor @name, continuing", address);
	else if (address)
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd >= 0)
		n->watchdog_ms = read_watchdog();
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

void notify_done(struct notify *n)
{
	close_p(&n->fd);
	n->fd = -1;
}

bool notify_send(const struct notify *n, const char *fmt, ...)
{
	CLEANUP(free) char *text = NULL;
	va_list args;

	if (n->fd < 0)
		return true;
	va_start(args, fmt);
	text = mem_vprintf(fmt, args);
	va_end(args);
	if (sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
		   n->len) >= 0)
		return true;
	log_warn("the service manager was not told reason=\"%s\", continuing",
		 strerrordesc_np(errno));
	return false;
}
