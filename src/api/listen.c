/* SPDX-License-Identifier: Apache-2.0 */
#include "api/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

#define BACKLOG 511

static void freeaddrinfo_p(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

/* Hands a descriptor on. */
static int take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static bool bad_address(const char *address, struct err *e)
{
	(void)err_set(e, ERR_INVALID, "listen '%.100s' is not an address", address);
	return err_hint(e, "write ADDRESS:PORT, for example 127.0.0.1:7717 or [::1]:7717");
}

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	char *end = NULL;

	return digits >= 1 && digits <= 5 && !text[digits] && strtol(text, &end, 10) <= 65535;
}

/* The host without brackets, and the port behind the last ':'. */
static bool split(const char *address, char **ret_host, const char **ret_port, struct err *e)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;
	bool v6 = address[0] == '[';

	if (len == 0 || !is_port(colon + 1) || (v6 && address[len - 1] != ']'))
		return bad_address(address, e);
	*ret_host = v6 ? mem_ndup(address + 1, len - 2) : mem_ndup(address, len);
	*ret_port = colon + 1;
	return (*ret_host)[0] || bad_address(address, e);
}

static bool resolve(const char *address, struct addrinfo **ret, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	CLEANUP(free) char *host = NULL;
	const char *port = NULL;

	if (!split(address, &host, &port, e))
		return false;
	if (getaddrinfo(strcasecmp(host, "localhost") == 0 ? "127.0.0.1" : host, port, &hints,
			ret) != 0)
		return bad_address(address, e);
	return true;
}

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool port_of(int fd, int *ret, struct err *e)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} bound = {0};
	socklen_t len = sizeof(bound);

	if (getsockname(fd, &bound.any, &len) < 0)
		return err_sys(e, errno, "getsockname");
	*ret = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
	return true;
}

static bool bind_failed(const char *address, int errnum, struct err *e)
{
	if (errnum == EADDRINUSE) {
		(void)err_set(e, ERR_CONFLICT, "port taken: another program listens on %s",
			      address);
		return err_hint(e, "stop it (ss -ltnp shows which), or choose another --listen");
	}
	(void)err_sys(e, errnum, "listening on %s", address);
	return err_hint(e, "choose an address of this machine with --listen");
}

bool listen_tcp(const char *address, int *ret_fd, int *ret_port, bool *ret_loopback, struct err *e)
{
	CLEANUP(freeaddrinfo) struct addrinfo *list = NULL;
	CLEANUP(close) int fd = -1;
	int on = 1;

	if (!resolve(address, &list, e))
		return false;
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket for %s", address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (list->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return bind_failed(address, errno, e);
	if (!port_of(fd, ret_port, e))
		return false;
	*ret_loopback = is_loopback(list->ai_addr);
	*ret_fd = take(&fd);
	return true;
}

/* --- Unix socket -------------------------------------------------------- */

static bool unix_address(const char *path, struct sockaddr_un *ret, struct err *e)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path)) {
		(void)err_set(e, ERR_INVALID, "socket path '%.200s' is longer than %zu characters",
			      path, sizeof(ret->sun_path) - 1);
		return err_hint(e, "choose a shorter one with --socket");
	}
	memcpy(ret->sun_path, path, strlen(path));
	return true;
}

/* Nobody may live behind the file; a dead one's goes. */
static bool clear_stale(const char *path, const struct sockaddr_un *a, struct err *e)
{
	CLEANUP(close) int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT || err_sys(e, errno, "socket '%s'", path);
	if (!S_ISSOCK(st.st_mode)) {
		(void)err_set(e, ERR_CONFLICT, "'%s' is there and is not a socket", path);
		return err_hint(e, "choose another --socket, or move the file");
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket for '%s'", path);
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN) {
		(void)err_set(e, ERR_CONFLICT, "another daemon answers on socket '%s'", path);
		return err_hint(e, "stop it, or choose another --socket");
	}
	if (errno != ECONNREFUSED)
		return err_sys(e, errno, "socket '%s'", path);
	return unlink(path) == 0 || err_sys(e, errno, "removing the old socket '%s'", path);
}

bool listen_unix(const char *path, int *ret_fd, struct err *e)
{
	CLEANUP(free) char *folder = fs_dirname(path);
	CLEANUP(close) int fd = -1;
	struct sockaddr_un a;

	if (!unix_address(path, &a, e) || !fs_mkdirs(folder, 0700, e) || !clear_stale(path, &a, e))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket for '%s'", path);
	/* Nobody can connect before listen(), so the mode is right from the first moment. */
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || chmod(path, 0600) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_sys(e, errno, "listening on socket '%s'", path);
	*ret_fd = take(&fd);
	return true;
}
