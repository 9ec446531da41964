/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of proc.h share: looks into /proc, and the guard. All async-signal-safe. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	char state; /* R S D Z X … */
	pid_t parent, session;
	uint64_t start_time; /* clock ticks since boot */
};

/* False: no such process. */
bool proc_stat(pid_t pid, struct proc_stat *ret);
/* Calls fn with every pid there is. */
void proc_each(void (*fn)(void *arg, pid_t pid), void *arg);

/* In a child that is to be a guard: sees its own child, the program, to its end and kills what that
 * leaves behind, or all of them when nobody holds the lifeline's other end any more. Ends as the
 * program did. Every signal is blocked. */
_Noreturn void guard_run(pid_t program, int lifeline);
/* Closes all descriptors from `first` on. */
void fds_close(unsigned int first);
