/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: a change of a model as a task, from request.c to the task's thread. */

#include "switch/switch_priv.h"

/* What a task was asked for. */
struct change {
	struct switcher *sw;
	struct entry *entry;
	const struct backend *backend;
	enum reload reload;
	bool force;
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
	CHANGE_LOAD,
	CHANGE_LOAD_FIRST,
};
/* Sets lane and steps; they take a struct change. */
void change_plan(struct task_spec *spec, enum change_kind kind);
/* The task's on_end: the model is free for another change. Takes a struct change. */
void change_ended(void *arg, const struct err *outcome);
