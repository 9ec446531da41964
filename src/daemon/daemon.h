/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Builds every object, hands each what it needs, runs until a signal, and takes all down in
 * reverse. The only place that knows them all. */

#include "daemon/config.h"

/* `shunt serve`: returns when SIGTERM or SIGINT came and all is stopped. Main thread only, before
 * any other thread. */
MUST_CHECK bool daemon_run(const struct config *c, struct err *e);
