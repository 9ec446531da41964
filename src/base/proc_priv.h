/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of proc.h share: looks into /proc. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	char state; /* R S D Z X … */
	pid_t session;
	uint64_t start_time; /* clock ticks since boot */
};

/* False: no such process. */
bool proc_stat(pid_t pid, struct proc_stat *ret);
/* Calls fn with every pid there is. */
void proc_each(void (*fn)(void *arg, pid_t pid), void *arg);
