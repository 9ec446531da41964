/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a control group (v2) leaves of the machine, from the texts of its files; NULL where a file
 * is not there. */

#include "backend/hardware.h"

/* Lowers memory and free memory to memory.max, less what memory.current and memory.stat say. */
void limits_memory(const char *max, const char *current, const char *stat, struct hardware *hw);
/* Lowers cores to cpu.max: "250000 100000" is 3. */
void limits_cores(const char *cpu_max, struct hardware *hw);
