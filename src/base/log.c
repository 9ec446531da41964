/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static const struct {
	const char *prefix; /* syslog's number, for the journal */
	const char *name;
} levels[] = {
	[LOG_LEVEL_ERROR] = {"<3>", "error"},
	[LOG_LEVEL_WARN] = {"<4>", "warn"},
	[LOG_LEVEL_INFO] = {"<6>", "info"},
	[LOG_LEVEL_DEBUG] = {"<7>", "debug"},
};

static atomic_int max_level = LOG_LEVEL_INFO;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool to_journal; /* set once */

/* $JOURNAL_STREAM is "device:inode" of the journal's stream; a child whose stderr was redirected
 * inherits the variable, so compare. */
static void find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char *end = NULL;
	unsigned long long device = stream ? strtoull(stream, &end, 10) : 0;
	unsigned long long inode = end && *end == ':' ? strtoull(end + 1, NULL, 10) : 0;
	struct stat st = {0};

	to_journal = inode != 0 && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
		     st.st_ino == inode;
}

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

/* One event stays one line, whatever a file name or a tool's message holds. */
static void flatten(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7F)
			*text = ' ';
	}
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[4096];
	char now[32];
	size_t start = 0;
	size_t len = 0;
	va_list args;

	if ((int)level > atomic_load(&max_level))
		return;
	(void)pthread_once(&once, find_journal);
	if (to_journal) {
		(void)snprintf(line, sizeof(line), "%s", levels[level].prefix);
	} else {
		clock_iso(clock_wall_ms(), now);
		(void)snprintf(line, sizeof(line), "%s %-5s ", now, levels[level].name);
	}
	start = strlen(line);
	va_start(args, fmt);
	(void)vsnprintf(line + start, sizeof(line) - start - 1, fmt, args); /* -1: the newline */
	va_end(args);
	flatten(line + start);
	len = strlen(line);
	line[len++] = '\n';
	(void)!write(STDERR_FILENO, line, len); /* one write: lines of threads don't mix */
}
