/* SPDX-License-Identifier: Apache-2.0 */
#include "env/env_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static const struct {
	const char *name;
	unsigned int next; /* TO() of each state it may go to */
} states[ENV_STATE_COUNT] = {
#define ENV_ROW(state, name, to) [state] = {name, to},
	ENV_STATES(ENV_ROW)
#undef ENV_ROW
};

const char *env_state_name(enum env_state s)
{
	return states[s].name;
}

bool env_state_find(const char *name, enum env_state *ret)
{
	for (int s = 0; s < ENV_STATE_COUNT; s++) {
		if (strcmp(states[s].name, name) == 0) {
			*ret = (enum env_state)s;
			return true;
		}
	}
	return false;
}

/* The history misses a line: not worth failing a build. */
static void add_event(struct db *db, const struct db_env *row)
{
	CLEANUP(free)
	char *text = mem_printf("%s%s%s", row->state, row->reason ? ": " : "",
				row->reason ? row->reason : "");
	struct err e = {0};

	if (!db_event_add(db, "environment", row->name, text, &e))
		log_warn("event lost environment=%s reason=\"%s\", continuing", row->name, e.msg);
}

bool env_set_state(struct db *db, struct db_env *row, enum env_state to, const char *reason,
		   struct err *e)
{
	struct db_env next = *row;
	enum env_state from;

	if (!env_state_find(row->state, &from))
		return err_set(e, ERR_SYSTEM, "environment '%s' is in unknown state '%s'",
			       row->name, row->state);
	if (!(states[from].next & 1U << to))
		return err_set(e, ERR_CONFLICT, "environment '%s' cannot go from %s to %s",
			       row->name, states[from].name, states[to].name);
	next.state = mem_dup(states[to].name);
	next.reason = mem_dup(reason);
	if (!db_env_put(db, &next, e)) {
		free(next.state);
		free(next.reason);
		return err_wrap(e, "environment '%s'", row->name);
	}
	free(row->state);
	free(row->reason);
	row->state = next.state;
	row->reason = next.reason;
	log_info("environment %s environment=%s", row->state, row->name);
	add_event(db, row);
	return true;
}
