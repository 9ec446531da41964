/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/pulse.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define STATUS_AT 9 /* behind "HTTP/1.1 " */

static void forget(struct pulse *p)
{
	close_p(&p->fd);
	p->fd = -1;
	p->len = 0;
	p->sum = 0xcbf29ce484222325; /* FNV-1a */
}

void pulse_ask(struct pulse *p, const char *socket_path)
{
	static const char ask[] =
		"GET /slots HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(socket_path);

	if (p->fd >= 0 || len >= sizeof(to.sun_path))
		return;
	forget(p);
	memcpy(to.sun_path, socket_path, len);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(p->fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) != sizeof(ask) - 1)
		forget(p); /* asked again at the next look */
}

static void take(struct pulse *p, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++, p->len++) {
		if (p->len >= STATUS_AT && p->len < STATUS_AT + sizeof(p->status))
			p->status[p->len - STATUS_AT] = data[i];
		p->sum = (p->sum ^ (unsigned char)data[i]) * 0x100000001b3;
	}
}

/* Another kind of server, or another version, has no /slots: then nothing is known. */
static bool judge(struct pulse *p)
{
	bool tells = p->len > STATUS_AT + sizeof(p->status) &&
		     memcmp(p->status, "200", sizeof(p->status)) == 0;
	bool moved = p->len > 0 && (!tells || (p->last != 0 && p->sum != p->last));

	if (p->len > 0)
		p->last = p->sum;
	forget(p);
	return moved;
}

bool pulse_hear(struct pulse *p)
{
	char data[16384];
	ssize_t n = 1;

	while (p->fd >= 0 && n > 0) {
		n = recv(p->fd, data, sizeof(data), 0);
		if (n > 0)
			take(p, data, (size_t)n);
	}
	return p->fd >= 0 && n == 0 && judge(p);
}

void pulse_done(struct pulse *p)
{
	close_p(&p->fd);
	*p = (struct pulse){.fd = -1};
}
