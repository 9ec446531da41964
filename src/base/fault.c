/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#ifdef SHUNT_FAULTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* One fault at a time; visits are counted from when $FAULT got its value. */
static struct {
	pthread_mutex_t lock;
	char spec[128];
	long visits;
} counter = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The number of this visit to the point that spec names. */
static long visit(const char *spec)
{
	long n = 0;

	(void)pthread_mutex_lock(&counter.lock);
	if (strcmp(counter.spec, spec) != 0) {
		(void)snprintf(counter.spec, sizeof(counter.spec), "%s", spec);
		counter.visits = 0;
	}
	n = ++counter.visits;
	(void)pthread_mutex_unlock(&counter.lock);
	return n;
}

static void forget(void)
{
	(void)pthread_mutex_lock(&counter.lock);
	counter.spec[0] = '\0';
	(void)pthread_mutex_unlock(&counter.lock);
}

bool fault_hit(const char *name)
{
	const char *spec = getenv("FAULT");
	size_t len = strlen(name);
	char *end = NULL;
	long wanted = 1;

	if (spec == NULL) {
		forget();
		return false;
	}
	if (strncmp(spec, name, len) != 0 || (spec[len] != ':' && spec[len] != '\0'))
		return false;
	if (spec[len] == ':')
		wanted = strtol(spec + len + 1, &end, 10);
	if (visit(spec) != wanted)
		return false;
	log_info("fault hit point=%s", spec);
	if (end != NULL && strcmp(end, ":crash") == 0)
		(void)raise(SIGKILL);
	errno = end != NULL && strcmp(end, ":full") == 0 ? ENOSPC : EIO;
	return true;
}

#endif
