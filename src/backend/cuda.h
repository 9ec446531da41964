/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of the CUDA check that takes any text. */

#include <stdbool.h>
#include <stddef.h>

/* "580.65.06" from the text of /proc/driver/nvidia/version. */
bool cuda_driver_version(const char *text, char *ret, size_t size);
