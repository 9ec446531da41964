/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One build from its first step to its last: what its steps share. One thread. */

#include <stdbool.h>

#include "base/complaint.h"
#include "engine/engine_priv.h"

struct job {
	struct engine *en;
	struct store *store;
	const struct recipe *r;
	const struct build_watch *w;
	struct store_stage *stage;
	bool resumed;            /* the stage is an interrupted build's, configured */
	char source[65];         /* hash of the source in the recipe */
	char *archive;           /* NULL: the source is a folder */
	char *src, *build, *tmp; /* in the stage */
	char *toolkit;           /* in the stage: CUDA from pip, put together */
	char *stage_slash;       /* the stage's path with '/', to cut from messages */
	struct tools tools;
	struct strv environ;   /* for all that runs */
	struct strv configure; /* the command */
	struct complaint complaint;
	const char *title;  /* of the step */
	double from, share; /* of the step, in the whole build */
	double shown;       /* the farthest */
};

/* By the last of its waiters, or because we stop. */
bool job_stopped(const struct job *j);
/* 0 to 1 within the step. */
void job_progress(struct job *j, double fraction);
/* Runs a tool in the build's environment; its output goes to the log and to j->complaint. */
MUST_CHECK bool job_tool(struct job *j, const struct strv *argv,
			 void (*on_line)(struct job *j, const char *line), int *ret_status,
			 struct err *e);

/* job_source.c: the steps up to a patched source. */
MUST_CHECK bool job_check_room(struct job *j, struct err *e);
MUST_CHECK bool job_fetch(struct job *j, struct err *e);
MUST_CHECK bool job_unpack(struct job *j, struct err *e);
MUST_CHECK bool job_patch(struct job *j, struct err *e);
/* job_toolkit.c: puts the compiler from pip together, if it is that. */
MUST_CHECK bool job_toolkit(struct job *j, struct err *e);
/* Parallel compilers: as wished, else by cores and free memory. */
int job_parallel(const struct job *j);
