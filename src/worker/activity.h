/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Is a process doing anything? Compiling shaders or reading a model from a slow disk may take
 * minutes without a word, so deadlines follow what it does: CPU time, pages read, output.
 */

#include <stdint.h>
#include <sys/types.h>

struct activity {
	int64_t checked_ms; /* 0: never */
	int64_t cpu_ms;
	int64_t faults;   /* major page faults */
	int64_t output;   /* what the caller counts: bytes, per mille of the load */
	int64_t alive_ms; /* when it was last seen to do something */
};

/* Looks at the process and returns for how long it has done nothing. Call it about every second. */
int64_t activity_quiet_ms(struct activity *a, pid_t pid, int64_t output);
