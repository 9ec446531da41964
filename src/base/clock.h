/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Time: the monotonic clock for durations and deadlines, the wall clock only to show people. */

#include <stdint.h>
#include <time.h>

int64_t clock_ms(void);      /* monotonic milliseconds */
int64_t clock_us(void);      /* monotonic microseconds */
int64_t clock_wall_ms(void); /* milliseconds since 1970, may jump */
/* A point ms from now on the monotonic clock, for pthread_cond_clockwait(). */
struct timespec clock_after(int64_t ms);
void clock_sleep(int ms);
/* "2026-11-24T15:53:46.123Z" */
void clock_iso(int64_t wall_ms, char ret_text[static 32]);
