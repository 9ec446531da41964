/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "switch/idle.h"
#include "switch/revive.h"

#define REVIVE_MS 100 /* how soon the next model follows the last */
#define IDLE_MS 1000  /* idle_unload is in seconds */

struct upkeep {
	struct switcher *sw;
	struct revive *revive; /* NULL: done */
	pthread_t thread;
};

/* Lock held. */
static bool any_worker(const struct switcher *sw)
{
	const struct entry *en = sw->entries;

	while (en && !en->worker)
		en = en->next;
	return en != NULL;
}

/* Sleeps until there may be something to do; false: the daemon stops. */
static bool wait_turn(struct upkeep *u)
{
	struct switcher *sw = u->sw;
	struct timespec until = clock_after(u->revive ? REVIVE_MS : IDLE_MS);
	bool go_on;

	pthread_mutex_lock(&sw->lock);
	if (sw->leaving)
		; /* at once */
	else if (u->revive || any_worker(sw))
		(void)pthread_cond_clockwait(&sw->news, &sw->lock, CLOCK_MONOTONIC, &until);
	else
		(void)pthread_cond_wait(&sw->news, &sw->lock);
	go_on = !sw->leaving;
	pthread_mutex_unlock(&sw->lock);
	return go_on;
}

static void *run(void *arg)
{
	struct upkeep *u = arg;

	do {
		if (u->revive && !revive_step(u->revive))
			revive_free(STEAL(u->revive));
		idle_step(u->sw);
	} while (wait_turn(u));
	return NULL;
}

struct upkeep *upkeep_start(struct switcher *sw)
{
	struct upkeep *u = mem_alloc(sizeof(*u));
	int error;

	u->sw = sw;
	u->revive = revive_new(sw);
	error = pthread_create(&u->thread, NULL, run, u);
	if (error == 0)
		return u;
	log_error("no thread for keep_loaded and idle_unload reason=\"%s\", continuing",
		  strerrordesc_np(error));
	revive_free(u->revive);
	free(u);
	return NULL;
}

void upkeep_stop(struct upkeep *u)
{
	if (!u)
		return;
	(void)pthread_join(u->thread, NULL);
	revive_free(u->revive);
	free(u);
}
