/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU: part of every base, so it needs nothing but the compiler that the engine checks. */

#include "backend/backends.h"
#include "backend/toolkit.h"

static void check(const struct toolkit_ask *ask, struct toolkit *tk)
{
	*tk = (struct toolkit){0};
	toolkit_conclude(tk);
}

const struct backend backend_cpu = {
	.name = "cpu",
	.title = "CPU",
	.aliases = "none",
	.host_extra_bytes = 32LL << 20,
	.check = check,
};
