/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of the CUDA check that take any text. */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* "580.65.06" from the text of /proc/driver/nvidia/version. */
bool cuda_driver_version(const char *text, char *ret, size_t size);
/* The oldest driver that runs what this nvcc ("12.4") compiles; "any" when it is not known. */
const char *cuda_driver_for(const char *nvcc_version);
/* nvidia-smi's lines "8.9" as CMake's "89-real;90-real", each once. */
void cuda_architectures(const char *text, struct buf *b);
