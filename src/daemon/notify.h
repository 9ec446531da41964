/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What systemd is told: sd_notify's protocol, a datagram of NAME=value lines to $NOTIFY_SOCKET.
 * Without that variable nothing happens. notify_open takes the variables out of the environment, so
 * before the first thread; notify_send from any thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

struct notify {
	int fd; /* −1: nobody wants to know */
	socklen_t len;
	struct sockaddr_un to;
	int64_t watchdog_ms; /* WATCHDOG=1 is due so often at least; 0: never */
};

void notify_open(struct notify *n);
void notify_done(struct notify *n);
/* False: it was not taken, which is logged; true also when nobody wants to know. */
bool notify_send(const struct notify *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
