/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What Vulkan's loader (libvulkan.so.1) tells of its physical devices; see probe.h. Before any
 * module is built it says which card llama.cpp will call Vulkan0. */

#include "backend/gpu.h"

#define VULKAN_PREFIX "Vulkan"

/* Fills vulkan, vulkan_count, vulkan_version. ERR_NOT_FOUND: no loader; ERR_UNAVAILABLE: it can't
 * be used, why and the remedy. */
MUST_CHECK bool vulkan_read(const char *self, struct gpus *ret, struct err *e);
/* Moves that to g, and gives its cards what nobody else has told of them. */
void vulkan_lay_over(struct gpus *g, struct gpus *said);
/* The card of the same PCI address or UUID; NULL: none. */
struct gpu *vulkan_card(struct gpus *g, const struct gpu_vulkan *v);

/* Child side: prints a line a fact. Exit status for main. */
int vulkan_probe_main(void);
enum { VULKAN_TOO_OLD = 1 }; /* no VkResult that an error has: those are negative */
