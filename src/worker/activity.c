/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/activity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

/* A share of one core. Answering our /health questions costs less, computing costs more. */
#define BUSY_PERCENT 5

/* Fields of /proc/<pid>/stat after the command, which may contain anything: 12 major faults, 14 and
 * 15 CPU time in clock ticks. */
static bool read_stat(pid_t pid, int64_t *ret_cpu_ms, int64_t *ret_faults)
{
	CLEANUP(free) char *path = mem_printf("/proc/%d/stat", pid);
	CLEANUP(free) char *text = NULL;
	struct err ignored = {0};
	unsigned long long faults, user, kernel;
	const char *at;

	if (!fs_read(path, 4096, &text, NULL, &ignored))
		return false;
	at = strrchr(text, ')');
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %llu %*u %llu %llu",
			  &faults, &user, &kernel) != 3)
		return false;
	*ret_cpu_ms = (int64_t)((user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
	*ret_faults = (int64_t)faults;
	return true;
}

int64_t activity_quiet_ms(struct activity *a, pid_t pid, int64_t output)
{
	int64_t now = clock_ms();
	int64_t cpu = a->cpu_ms, faults = a->faults;
	bool busy;

	(void)read_stat(pid, &cpu, &faults);
	busy = a->checked_ms == 0 || output != a->output || faults != a->faults ||
	       (cpu - a->cpu_ms) * 100 > (now - a->checked_ms) * BUSY_PERCENT;
	*a = (struct activity){.checked_ms = now,
			       .cpu_ms = cpu,
			       .faults = faults,
			       .output = output,
			       .alive_ms = busy ? now : a->alive_ms};
	return now - a->alive_ms;
}
