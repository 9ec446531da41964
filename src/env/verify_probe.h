/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Can the module be loaded, and is it one of the backend? Asked in a child (`shunt probe-module`),
 * because llama.cpp skips a module that it cannot load without a word, and a driver may crash. */

#include "env/env.h"

MUST_CHECK bool verify_probe(const struct env_run *run, const char *self, bool (*cancelled)(void *),
			     void *arg, struct err *e);
