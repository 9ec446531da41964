/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What drivers say, kept for whoever asks often: nobody waits for a driver that hangs. NVML is read
 * anew, in a thread of its own, when somebody asks and what is known is older than 5 s (a minute,
 * when it told nothing); Vulkan's loader once. Any thread. */

#include <sys/types.h>

#include "backend/gpu.h"

struct gpu_watch;
/* Our program, and "/sys" or a tree like it; borrowed. */
struct gpu_watch *gpu_watch_new(const char *self, const char *sys);
void gpu_watch_free(struct gpu_watch *w); /* waits for a reading, NULL is fine */

/* Memory of a process on all GPUs: as NVML said last, else as its kernel drivers say now; −1:
 * nobody lists it, or nothing was read yet. */
int64_t gpu_watch_process_bytes(struct gpu_watch *w, pid_t pid);
/* Name and version of the driver that computes on CUDA0, Vulkan0: "NVIDIA 580.159.04"; "": not
 * known. Waits for the first reading, which takes at most 4 s. */
void gpu_watch_driver(struct gpu_watch *w, const char *device, char *ret, size_t size);
