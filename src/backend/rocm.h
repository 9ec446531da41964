/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of the ROCm check that takes any text. */

#include "base/buf.h"

/* Adds "gfx1036" for a node's properties (/sys/class/kfd) that say gfx_target_version 100306, after
 * a ';' when it is not the first, each once. A CPU is a node too, without a target. */
void rocm_target(const char *properties, struct buf *b);
