/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of the Vulkan check that takes any header. */

#include <stdbool.h>
#include <stddef.h>

/* "1.3.239" of a vulkan_core.h; false when it does not say. */
bool vulkan_header_version(const char *path, char *ret, size_t size);
