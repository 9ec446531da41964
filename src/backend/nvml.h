/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What NVIDIA's driver tells through its library NVML (libnvidia-ml.so.1); see probe.h. */

#include "backend/gpu.h"

/* Adds to the GPUs that are there those facts, by PCI address. ERR_NOT_FOUND: no library;
 * ERR_UNAVAILABLE: it can't be used, why and the remedy. */
MUST_CHECK bool nvml_read(const char *self, struct gpus *g, struct err *e);
/* Child side: prints a line a fact. Exit status for main. */
int nvml_probe_main(void);
