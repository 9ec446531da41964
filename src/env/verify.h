/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The proof that a base or module works here: dlopen in a child, device list, a real generation
 * with a built-in model compared with the CPU's. */

#include "backend/backend.h"
#include "base/err.h"
#include "env/env.h"

struct verify_result {
	char device[32]; /* "Vulkan0", "none" for cpu */
	char device_title[128];
	double max_logprob_difference; /* against the CPU */
	bool deferred;                 /* no memory free for the check */
	char reason[256];              /* of deferred */
};
/* The end of the bar that a check fills; building has the rest. */
#define VERIFY_SHARE 0.10
/* Works in work_dir, which it makes (0700) and leaves. Progress and cancel through `t` (may be
 * NULL). ERR_VERIFY says what failed, with the output's end. No memory free for the check is no
 * failure: deferred. */
MUST_CHECK bool verify_run(const struct env_run *run, const char *work_dir, const char *self,
			   struct task *t, struct verify_result *ret, struct err *e);
/* Child side of the dlopen check: `shunt probe-module BASE_DIR MODULE`. Exit status for main;
 * prints the error. */
int verify_probe_main(const char *base_dir, const char *module);
