/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why a server process ended, from its wait status and the end of its output: a sentence and a
 * remedy. */

#include "base/err.h"

struct death {
	int status;         /* as from waitpid */
	const char *output; /* its last lines */
	const char *model;  /* id */
	const char *backend;
	const char *device;
};

/* Sets *ret (ERR_WORKER; ERR_NO_SPACE: out of memory): "out of memory on Vulkan0 (exit status 1):
 * <the line that says so>". */
void death_explain(const struct death *d, struct err *ret);
