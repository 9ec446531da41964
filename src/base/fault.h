/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fault points for tests: FAULT=name[:visit[:crash]] in the environment makes FAULT("name") true
 * (errno EIO, or the process die by SIGKILL) at that visit. Compiled out of releases. */

#include <stdbool.h>

#ifdef SHUNT_FAULTS
bool fault_hit(const char *name);
#define FAULT(name) fault_hit(name)
#else
#define FAULT(name) false
#endif
