/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fault points for tests: FAULT=name[:visit[:how]] in the environment makes FAULT("name") true at
 * that visit (the first, when none is given). How: nothing is errno EIO, "full" is ENOSPC, "crash"
 * the process dies by SIGKILL. Compiled out of releases.
 */

#include <stdbool.h>

#ifdef SHUNT_FAULTS
bool fault_hit(const char *name);
#define FAULT(name) fault_hit(name)
#else
#define FAULT(name) false
#endif
