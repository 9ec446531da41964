/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Does a CUDA toolkit fit this machine: its driver, its C++ compiler, its GPUs? Tables and rules
 * only, nothing is asked here. Any thread. */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { CUDA_ARCH_MAX = 16 };

struct cuda_arch {
	int number;    /* 90: compute capability 9.0 */
	char text[8];  /* as the compiler takes it: "90", "90a" */
	char name[64]; /* of a GPU that has it; "": asked for by the user */
};

struct cuda_facts {
	char driver[32];    /* "580.65.06"; "": none, or unknown */
	char newest[16];    /* CUDA that it runs, "13.0"; "": unknown, which forbids nothing */
	char compiler[160]; /* "gcc 12.2.0 x86_64-linux-gnu"; "": unknown */
	struct cuda_arch archs[CUDA_ARCH_MAX]; /* to build for, in order, each once */
	size_t arch_count;
};

/* An architecture in its place; false: there are too many. */
bool cuda_add_arch(struct cuda_facts *f, const char *text, const char *name);
/* "90, 86;90a" → f->archs. ERR_INVALID. */
MUST_CHECK bool cuda_parse_archs(const char *text, struct cuda_facts *f, struct err *e);

/* The oldest driver that runs what this nvcc ("12.4") compiles; "any" when it is not known. */
const char *cuda_driver_for(const char *nvcc);
/* The newest CUDA that a driver runs, where it does not tell itself: "12"; "" when it is older than
 * all that we know. */
const char *cuda_of_driver(const char *driver);
/* "gcc up to 15, clang up to 20": what this nvcc takes; caller frees. */
char *cuda_limits(const char *nvcc);
/* ERR_TOOLKIT: why this nvcc is not to be used here, and what helps. */
MUST_CHECK bool cuda_fits(const char *nvcc, const struct cuda_facts *f, struct err *e);
