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
/* Looks are a second apart: after so long, we did not run either. */
#define SLEPT_MS 10000

struct seen {
	char state; /* R S D Z T t … */
	int64_t cpu_ms, faults;
};

/* Fields of /proc/<pid>/stat after the command, which may contain anything: 3 state, 12 major
 * faults, 14 and 15 CPU time in clock ticks. */
static bool read_stat(pid_t pid, struct seen *ret)
{
	CLEANUP(free) char *path = mem_printf("/proc/%d/stat", pid);
	CLEANUP(free) char *text = NULL;
	struct err ignored = {0};
	unsigned long long faults, user, kernel;
	const char *at;
	char state;

	if (!fs_read(path, 4096, &text, NULL, &ignored))
		return false;
	at = strrchr(text, ')');
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
	if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %llu %*u %llu %llu", &state,
			  &faults, &user, &kernel) != 4)
		return false;
	ret->state = state;
	ret->cpu_ms = (int64_t)((user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
	ret->faults = (int64_t)faults;
	return true;
}

bool activity_is_late(const struct activity *a, int64_t now_ms)
{
	return a->checked_ms == 0 || now_ms - a->checked_ms > SLEPT_MS;
}

int64_t activity_quiet_ms(struct activity *a, pid_t pid, int64_t output)
{
	struct seen now = {.cpu_ms = a->cpu_ms, .faults = a->faults};
	int64_t at = clock_ms(), since = at - a->checked_ms;
	bool fresh = activity_is_late(a, at);
	bool busy;

	(void)read_stat(pid, &now);
	busy = fresh || output != a->output || now.faults != a->faults ||
	       (now.cpu_ms - a->cpu_ms) * 100 > since * BUSY_PERCENT;
	*a = (struct activity){.checked_ms = at,
			       .cpu_ms = now.cpu_ms,
			       .faults = now.faults,
			       .output = output,
			       .alive_ms = busy ? at : a->alive_ms,
			       .free_ms = fresh || now.state != 'T' ? at : a->free_ms};
	return at - a->alive_ms;
}

int64_t activity_stopped_ms(const struct activity *a)
{
	return a->checked_ms - a->free_ms;
}
