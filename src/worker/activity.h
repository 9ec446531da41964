/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Is a process doing anything? Compiling shaders or reading a model from a slow disk may take
 * minutes without a word, so deadlines follow what it does: CPU time, pages read, output. A machine
 * that slept, or a container that was frozen with us in it, counts as nothing seen.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct activity {
	int64_t checked_ms; /* 0: never */
	int64_t cpu_ms;
	int64_t faults;   /* major page faults */
	int64_t output;   /* what the caller counts: bytes, per mille of the load */
	int64_t alive_ms; /* when it was last seen to do something */
	int64_t free_ms;  /* when it was last seen not stopped by a signal */
};

/* Looks at the process and returns for how long it has done nothing. Call it about every second. */
int64_t activity_quiet_ms(struct activity *a, pid_t pid, int64_t output);
/* For how long it had been stopped by a signal (SIGSTOP) at the last look; 0: it was not. A
 * debugger that holds it is something else. */
int64_t activity_stopped_ms(const struct activity *a);
/* A look now would come so late that it tells nothing: we did not run ourselves. */
bool activity_is_late(const struct activity *a, int64_t now_ms);
