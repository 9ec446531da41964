/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/revive.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/option.h"

#define TRIES 5 /* with the back-offs between them about a minute */

struct kept {
	struct kept *next;
	char *id;
	int tries;
};

struct revive {
	struct switcher *sw;
	struct kept *first;
};

static void add(struct revive *r, const char *id)
{
	struct kept **at = &r->first;

	while (*at)
		at = &(*at)->next;
	*at = mem_alloc(sizeof(**at));
	(*at)->id = mem_dup(id);
}

struct revive *revive_new(struct switcher *sw)
{
	struct revive *r = mem_alloc(sizeof(*r));
	struct db_model *models = NULL;
	size_t count = 0;
	struct err e = {0};

	r->sw = sw;
	if (!db_model_list(sw->s.db, &models, &count, &e))
		log_error("models marked keep_loaded stay unloaded reason=\"%s\", continuing",
			  e.msg);
	for (size_t i = 0; i < count; i++)
		if (models[i].environment && option_flag(models[i].options, "keep_loaded", false))
			add(r, models[i].id);
	db_models_free(models, count);
	return r;
}

static void drop(struct kept **at)
{
	struct kept *k = *at;

	*at = k->next;
	free(k->id);
	free(k);
}

void revive_free(struct revive *r)
{
	if (!r)
		return;
	while (r->first)
		drop(&r->first);
	free(r);
}

enum turn { TURN_OVER, TURN_UNDER_WAY, TURN_LATER, TURN_NOW };

static enum turn whose_turn(struct switcher *sw, const struct kept *k)
{
	const struct entry *en;
	enum turn turn;

	pthread_mutex_lock(&sw->lock);
	en = entry_find(sw, k->id);
	if (en && (en->busy || en->task[0]))
		turn = TURN_UNDER_WAY;
	/* Not failed after a try: cancelled or unloaded, somebody knows better. */
	else if (!en || en->worker || k->tries == TRIES ||
		 (k->tries > 0 && en->state != MODEL_FAILED))
		turn = TURN_OVER;
	else
		turn = clock_ms() < en->not_before ? TURN_LATER : TURN_NOW;
	pthread_mutex_unlock(&sw->lock);
	return turn;
}

bool revive_step(struct revive *r)
{
	struct kept **at = &r->first;

	while (*at) {
		enum turn turn = whose_turn(r->sw, *at);
		struct err e = {0};

		if (turn == TURN_UNDER_WAY)
			return true;
		if (turn == TURN_NOW && switch_want(r->sw, (*at)->id, &e)) {
			(*at)->tries++;
			return true;
		}
		if (turn == TURN_NOW)
			log_warn("not loaded again model=%s reason=\"%s\", continuing", (*at)->id,
				 e.msg);
		if (turn == TURN_LATER)
			at = &(*at)->next;
		else
			drop(at);
	}
	return r->first != NULL;
}
