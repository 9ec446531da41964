/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: a change of a model as a task, from request.c to the task's thread. */

#include "switch/switch_priv.h"

/* What a task was asked for. */
struct change {
	struct switcher *sw;
	struct entry *entry;
	const struct backend *backend; /* NULL: its first step chooses; then guarded by the lock */
	char why[160];                 /* why this one was chosen, "" */
	enum reload reload;
	bool force;
	struct env_wish wish;    /* of the environment, if that has to be made */
	bool is_load;            /* load: the association stays */
	bool anew;               /* load: also when it is loaded just so */
	char task[TASK_ID_SIZE]; /* its own; guarded by switcher->lock */
	char *environment;       /* that its first step has made; the task's own thread */
};
void change_free(void *change);

/* FIRST: its environment is made before, in the lane of builds. */
enum change_kind {
	CHANGE_CREATE,
	CHANGE_SWITCH,
	CHANGE_SWITCH_FIRST,
	CHANGE_SWITCH_AUTO, /* its backend is found by measuring, in that lane too */
	CHANGE_LOAD,
	CHANGE_LOAD_FIRST,
};
/* Sets lane and steps; they take a struct change. */
void change_plan(struct task_spec *spec, enum change_kind kind);
/* Backend c->backend is asked for: finished at once, joined, or a task. */
MUST_CHECK bool request_switch(struct change *c, const struct db_model *m,
			       struct switch_answer *ret, struct err *e);
/* A task in the place of a first switch: joined, or submitted with a copy of c. */
MUST_CHECK bool request_first(struct change *c, struct task_spec *spec,
			      char ret_task[static TASK_ID_SIZE], struct err *e);
/* auto.c: gpu_backend "auto". Chooses at once when all that is needed was measured. */
#define AUTO_BACKEND "auto"
MUST_CHECK bool auto_switch(struct change *c, const struct db_model *m, struct switch_answer *ret,
			    struct err *e);
/* Its task's first step: measures what has no fresh measurement, then chooses. */
MUST_CHECK bool auto_measure(struct task *t, void *change, struct err *e);
/* The task's on_end: the model is free for another change. Takes a struct change. */
void change_ended(void *arg, const struct err *outcome);
