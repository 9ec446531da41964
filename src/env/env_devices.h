/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The devices that a base with its module sees: asks llama-server, reads what it prints. */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "env/env.h"

/* Lines of `llama-server --list-devices`; what is none of backend b is left out. Caller frees.
 * Which devices are in RAM: ggml-vulkan logs "| uma: 1" for integrated GPUs, and warns of
 * CPUs that play one; CUDA and ROCm say nothing, but there an integrated one has as much memory as
 * the machine (memory_bytes, 0: unknown). One that is taken for such by chance is
 * only treated with more care. */
size_t env_devices_parse(const char *text, const struct backend *b, int64_t memory_bytes,
			 struct env_device **ret);
/* ERR_UNAVAILABLE with the reason when the driver answers that there is none of the backend;
 * ERR_VERIFY when asking it ends badly. For cpu: "none", the CPU itself. */
MUST_CHECK bool env_devices_ask(const struct env_run *run, bool (*cancelled)(void *), void *arg,
				struct env_device **ret, size_t *ret_count, struct err *e);
