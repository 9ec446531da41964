/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Facts of this machine: CPU features that choose the base's flags, memory. GPUs are in
 * gpu.h. */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct hardware {
	char cpu_name[128];
	int cores;
	int64_t memory_bytes, memory_free_bytes; /* MemAvailable */
	bool avx, avx2, fma, f16c, bmi2, avx512; /* avx512: F, CD, BW, DQ, VL together */
	bool avx512_vbmi, avx512_vnni, avx512_bf16, avx_vnni, amx;
};
void hardware_read(struct hardware *ret);

/* GGML_* cmake flags for a CPU flavour: "native" (what this CPU has), "x86-64-v3", "x86-64-v2";
 * false: unknown name, or not possible on this architecture. */
bool hardware_cpu_flags(const char *flavour, struct strv *args);
