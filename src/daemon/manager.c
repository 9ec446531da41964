/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

#define TICK_MS 1000

/* The watchdog is fed at half its time, as sd_watchdog_enabled(3) says. */
static int64_t tick_ms(const struct manager *m)
{
	int64_t half = m->notify.watchdog_ms / 2;

	return half > 0 && half < TICK_MS ? half : TICK_MS;
}

void manager_open(struct manager *m)
{
	struct itimerspec every = {0};

	*m = (struct manager){.clock = -1};
	notify_open(&m->notify);
	if (m->notify.fd < 0)
		return;
	every.it_interval.tv_sec = tick_ms(m) / 1000;
	every.it_interval.tv_nsec = tick_ms(m) % 1000 * 1000000;
	every.it_value = every.it_interval;
	m->clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->clock < 0 || timerfd_settime(m->clock, 0, &every, NULL) < 0)
		log_warn("no clock for the service manager reason=\"%s\", continuing",
			 strerrordesc_np(errno));
}

void manager_done(struct manager *m)
{
	notify_done(&m->notify);
	close_p(&m->clock);
}

void manager_ready(struct manager *m)
{
	(void)notify_send(&m->notify, "READY=1");
}

/* "2 models loaded, 1 switching" */
static void describe(const int counts[MODEL_STATE_COUNT], char *to, size_t size)
{
	CLEANUP(buf_done) struct buf text = {0};

	buf_printf(&text, "%d model%s loaded", counts[MODEL_LOADED],
		   counts[MODEL_LOADED] == 1 ? "" : "s");
	for (int s = 0; s < MODEL_STATE_COUNT; s++)
		if (counts[s] > 0 && s != MODEL_LOADED && s != MODEL_UNLOADED)
			buf_printf(&text, ", %d %s", counts[s],
				   model_state_name((enum model_state)s));
	(void)snprintf(to, size, "%s", text.data);
}

void manager_tick(struct manager *m, struct switcher *sw)
{
	int counts[MODEL_STATE_COUNT] = {0};
	char status[sizeof(m->status)];
	uint64_t ticks;

	if (m->clock < 0 || read(m->clock, &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	if (m->notify.watchdog_ms > 0)
		(void)notify_send(&m->notify, "WATCHDOG=1");
	if (!sw)
		return;
	switcher_count(sw, counts);
	describe(counts, status, sizeof(status));
	if (strcmp(status, m->status) != 0 && notify_send(&m->notify, "STATUS=%s", status))
		memcpy(m->status, status, sizeof(status));
}
