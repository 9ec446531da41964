/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Name and features from the text of /proc/cpuinfo; sets nothing else. */

#include "backend/hardware.h"

void cpuinfo_parse(const char *text, struct hardware *hw);
