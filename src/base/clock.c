/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MS = 1000, US = 1000 * 1000, NS = 1000 * 1000 * 1000 };

static int64_t read_us(clockid_t clock)
{
	struct timespec now = {0};

	(void)clock_gettime(clock, &now); /* cannot fail for these clocks */
	return (int64_t)now.tv_sec * US + now.tv_nsec / MS;
}

int64_t clock_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_ms(void)
{
	return clock_us() / MS;
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / MS;
}

struct timespec clock_after(int64_t ms)
{
	struct timespec at = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	if (ms <= 0)
		return at;
	at.tv_sec += ms / MS;
	at.tv_nsec += ms % MS * US;
	if (at.tv_nsec >= NS) {
		at.tv_sec++;
		at.tv_nsec -= NS;
	}
	return at;
}

void clock_sleep(int ms)
{
	struct timespec at = clock_after(ms);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

void clock_iso(int64_t wall_ms, char ret_text[static 32])
{
	time_t seconds = wall_ms / MS;
	int ms = (int)(wall_ms % MS);
	struct tm tm = {0};
	size_t len = 0;

	if (ms < 0) { /* before 1970 */
		ms += MS;
		seconds--;
	}
	ret_text[0] = '\0';
	if (gmtime_r(&seconds, &tm) != NULL)
		len = strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	if (len > 0)
		(void)snprintf(ret_text + len, 32 - len, ".%03dZ", ms);
}
