/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the service manager hears while we serve: that we are ready, how many models are loaded,
 * and that the main thread is alive. Main thread only. */

#include <stdint.h>

#include "daemon/notify.h"
#include "switch/switch.h"

struct manager {
	struct notify notify;
	int clock; /* timerfd, readable when a tick is due; −1: nobody wants to know */
	char status[160];
};

void manager_open(struct manager *m); /* before the first thread */
void manager_done(struct manager *m);
void manager_ready(struct manager *m);
/* Nothing to say: nothing happens. sw: NULL when the status is someone else's. */
void manager_tick(struct manager *m, struct switcher *sw);
