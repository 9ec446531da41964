/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "worker/worker_priv.h"

/* start          ready               stop                  exit
 *   DOWN ─► STARTING ──────► RUNNING ─────────► STOPPING ──────────► DOWN
 *              │ │             │ │ exit (a crash)    ▲                ▲
 *              │ │             │ └──────────────────────────────────►┤
 *              │ │             │ it stalls           │                │
 *              │ │             └──────────► FAILING ─────────────────►┤
 *              │ └─ stop, it hangs, wrong device ────┘                │
 *              └─ exit ──────────────────────────────────────────────►┘
 */
#define TO(state) (1U << WORKER_##state)
static const struct {
	const char *name;
	unsigned next;
} states[] = {
	[WORKER_STARTING] = {"starting", TO(RUNNING) | TO(STOPPING) | TO(DOWN)},
	[WORKER_RUNNING] = {"running", TO(STOPPING) | TO(FAILING) | TO(DOWN)},
	[WORKER_STOPPING] = {"stopping", TO(DOWN)},
	[WORKER_FAILING] = {"failing", TO(DOWN)},
	[WORKER_DOWN] = {"down", TO(STARTING) | TO(DOWN)}, /* refused: it stays down, for good */
};

const char *worker_state_name(enum worker_state s)
{
	return states[s].name;
}

enum worker_state worker_state(const struct worker *w)
{
	return atomic_load(&w->state);
}

void worker_set_state(struct worker *w, enum worker_state state)
{
	pthread_mutex_lock(&w->lock);
	assert(states[atomic_load(&w->state)].next & 1U << state);
	atomic_store(&w->state, state);
	w->over = w->over || state == WORKER_DOWN;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}
