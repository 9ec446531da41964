/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks that change a model: which steps they have, and their end. */

#include "switch/change_task.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/option.h"

void change_free(void *change)
{
	struct change *c = change;

	free(c->environment);
	free(c);
}

static bool prepare(struct task *t, void *arg, struct err *e)
{
	struct change *c = arg;
	struct db_model m = {0};
	bool ok;

	if (!db_model_get(c->sw->s.db, c->entry->id, &m, e))
		return false;
	c->environment = switch_environment(&m, c->backend);
	ok = change_prepare(c->sw, &m, c->environment, c->backend, &c->wish, t, e);
	db_model_done(&m);
	return ok;
}

static bool apply_load(struct change *c, const struct db_model *m, struct task *t, struct err *e)
{
	CLEANUP(free) char *key = change_key(c->sw, m, m->environment);
	struct entry *en = c->entry;

	if (en->worker && !c->anew && en->loaded_as && strcmp(en->loaded_as, key) == 0)
		return true;
	/* It was there when this was asked for; a rebuild may have come between. */
	if (!change_prepare_runtime(c->sw, m, m->environment, t, e))
		return false;
	if (!en->worker)
		return change_load(c->sw, en, m, t, e);
	return change_replace(c->sw, en, m, m->backend, m->environment, c->force, t, e);
}

/* Not loaded, and shall be: when it does not come up there, the association stays. */
static bool load_first(struct change *c, const struct db_model *m, const char *environment,
		       bool same, struct task *t, struct err *e)
{
	struct db_model as = *m;
	struct err ignored = {0};

	as.backend = (char *)c->backend->name;
	as.environment = (char *)environment;
	if (!change_load(c->sw, c->entry, &as, t, e))
		return false;
	if (same || db_model_associate(c->sw->s.db, m->id, as.backend, environment, e))
		return true;
	if (!change_unload(c->sw, c->entry, true, NULL, NULL, &ignored))
		log_warn("worker left model=%s reason=\"%s\", continuing", m->id, ignored.msg);
	return false;
}

static bool apply_switch(struct change *c, struct db_model *m, struct task *t, struct err *e)
{
	CLEANUP(free) char *environment = switch_environment(m, c->backend);
	struct entry *en = c->entry;
	bool same = m->environment && strcmp(m->environment, environment) == 0;

	if (same && change_runs_in(c->sw, en, environment))
		return true;
	if (en->worker && c->reload != RELOAD_NO)
		return change_replace(c->sw, en, m, c->backend->name, environment, c->force, t, e);
	if (en->worker && !change_unload(c->sw, en, c->force, task_cancelled, t, e))
		return false;
	if (c->reload == RELOAD_YES)
		return load_first(c, m, environment, same, t, e);
	if (same)
		return true;
	if (!db_model_associate(c->sw->s.db, m->id, c->backend->name, environment, e))
		return false;
	entry_fresh(c->sw, en);
	return true;
}

/* The last step of a first switch: it is a change like others from now on, unless a load was asked
 * for, which then comes after it. */
static void begin(struct change *c)
{
	struct entry *en = c->entry;

	pthread_mutex_lock(&c->sw->lock);
	if (strcmp(en->first_task, c->task) == 0 && !en->task[0]) {
		memcpy(en->task, c->task, sizeof(en->task));
		free(en->task_backend);
		en->task_backend = STEAL(en->first_backend);
		en->task_wish = en->first_wish;
		en->first_task[0] = '\0';
	}
	pthread_mutex_unlock(&c->sw->lock);
}

/* What a load reads it tells in the same moment: whoever sets other options after that must not
 * take it for a load with these. */
static bool read_model(struct change *c, struct db_model *ret, struct err *e)
{
	struct entry *en = c->entry;
	bool ok;

	pthread_mutex_lock(&c->sw->lock);
	ok = db_model_get(c->sw->s.db, en->id, ret, e);
	if (ok && c->is_load && strcmp(en->task, c->task) == 0) {
		free(en->task_options);
		en->task_options = option_worker_part(ret->options);
	}
	pthread_mutex_unlock(&c->sw->lock);
	return ok;
}

static bool apply(struct task *t, void *arg, struct err *e)
{
	struct change *c = arg;
	struct db_model m = {0};
	bool ok;

	if (!entry_claim(c->sw, c->entry, task_cancelled, t, e))
		return false;
	begin(c);
	ok = read_model(c, &m, e) &&
	     (c->is_load ? apply_load(c, &m, t, e) : apply_switch(c, &m, t, e));
	entry_release(c->sw, c->entry);
	db_model_done(&m);
	/* Only Python is missing: the next change of the model need not wait for pip. */
	if (ok && c->environment)
		change_ended(c, &(const struct err){0});
	return ok;
}

/* Lock held. False: another change has taken its place. */
static bool clear(const struct change *c)
{
	struct entry *en = c->entry;

	if (strcmp(en->task, c->task) == 0) {
		en->task[0] = '\0';
		free(STEAL(en->task_backend));
	} else if (strcmp(en->first_task, c->task) == 0) {
		en->first_task[0] = '\0';
		free(STEAL(en->first_backend));
	} else {
		return false;
	}
	return true;
}

void change_ended(void *arg, const struct err *outcome)
{
	struct change *c = arg;
	struct entry *en = c->entry;
	bool failed;

	pthread_mutex_lock(&c->sw->lock);
	failed = clear(c) && c->is_load && outcome->kind != ERR_NONE;
	/* A load that came to nothing leaves requests in the route's line: they hear why, or ask
	 * again when the user wanted something else. */
	if (entry_line_is_left(en))
		route_close(en->route, failed ? outcome : NULL);
	pthread_mutex_unlock(&c->sw->lock);
}

static bool add_python(struct task *t, void *arg, struct err *e)
{
	const struct change *c = arg;

	return envs_make_python(c->sw->s.envs, c->environment, t, e);
}

static const struct task_step create_steps[] = {
	{"Preparing the environment", 95, prepare, NULL},
	{"Adding Python", 5, add_python, NULL},
};

static const struct task_step full_steps[] = {
	{"Preparing the environment", 85, prepare, NULL},
	{"Switching", 10, apply, NULL},
	{"Adding Python", 5, add_python, NULL},
};

static const struct task_step auto_steps[] = {
	{"Measuring", 80, auto_measure, NULL},
	{"Preparing the environment", 5, prepare, NULL},
	{"Switching", 15, apply, NULL},
};

static const struct task_step instant_steps[] = {
	{"Switching", 1, apply, NULL},
};

static const struct task_step load_steps[] = {
	{"Loading", 1, apply, NULL},
};

static const struct task_step build_and_load_steps[] = {
	{"Preparing the environment", 75, prepare, NULL},
	{"Loading", 20, apply, NULL},
	{"Adding Python", 5, add_python, NULL},
};

void change_plan(struct task_spec *spec, enum change_kind kind)
{
#define STEPS(table) (table), ARRAY_LEN(table)
	static const struct {
		const struct task_step *steps;
		int count, extra;
		enum task_lane lane;
	} plans[] = {
		[CHANGE_CREATE] = {STEPS(create_steps), 0, TASK_BUILD},
		[CHANGE_SWITCH] = {STEPS(instant_steps), 0, TASK_CONTROL},
		[CHANGE_SWITCH_FIRST] = {STEPS(full_steps), 1, TASK_BUILD},
		[CHANGE_SWITCH_AUTO] = {STEPS(auto_steps), 0, TASK_BUILD},
		[CHANGE_LOAD] = {STEPS(load_steps), 0, TASK_CONTROL},
		[CHANGE_LOAD_FIRST] = {STEPS(build_and_load_steps), 1, TASK_BUILD},
	};
#undef STEPS

	spec->lane = plans[kind].lane;
	spec->steps = plans[kind].steps;
	spec->step_count = plans[kind].count;
	spec->extra_count = plans[kind].extra;
}
