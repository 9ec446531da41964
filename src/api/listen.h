/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Listening sockets: "127.0.0.1:7717", "[::1]:7717", "localhost:0" on TCP, and a Unix socket 0600.
 */

#include <stdbool.h>

#include "base/err.h"

/* *ret_loopback: only this machine can reach it. ERR_CONFLICT: the port is taken. */
MUST_CHECK bool listen_tcp(const char *address, int *ret_fd, int *ret_port, bool *ret_loopback,
			   struct err *e);
/* Replaces the socket file of a dead daemon; ERR_CONFLICT when one lives behind it. Makes the
 * folder (0700). */
MUST_CHECK bool listen_unix(const char *path, int *ret_fd, struct err *e);
