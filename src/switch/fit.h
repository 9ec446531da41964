/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Is there memory for another worker of a model beside the one that serves? */

#include <stdbool.h>

#include "db/db.h"
#include "env/env.h"
#include "worker/worker.h"

struct fit_request {
	struct envs *envs;
	const struct db_model *m;
	const char *environment; /* of the new worker */
	const struct worker *old;
};
struct fit {
	bool fits;
	char text[256]; /* one sentence with the figures, for people */
};
/* Never fails: what can't be measured doesn't fit. May ask a child process for the devices. */
void fit_check(const struct fit_request *q, struct fit *ret);
