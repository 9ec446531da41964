/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a process has on GPUs whose kernel drivers say it in /proc/PID/fdinfo (the kernel's
 * drm-usage-stats): amdgpu, xe, i915. Of a card with memory of its own that; of an integrated one
 * all that it uses. */

#include "backend/gpu.h"

/* proc: "/proc", or a tree like it. −1: no driver says it, or we may not look. */
int64_t drm_process_bytes(const char *proc, pid_t pid, const struct gpus *g);
