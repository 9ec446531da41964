/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The vtables, one a file. Only the registry needs their names. */

#include "backend/backend.h"

extern const struct backend backend_cpu;
extern const struct backend backend_cuda;
extern const struct backend backend_rocm;
extern const struct backend backend_vulkan;
