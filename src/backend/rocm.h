/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What AMD's GPUs are called by compilers (gfx1036), and which of them rocBLAS knows. Any thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct rocm_targets {
	struct buf gpus;    /* of those that are here, each once: "gfx1036;gfx1100" */
	struct buf kernels; /* that rocBLAS has code for: "gfx900;gfx1030"; empty: not found */
};
/* root: "", or a folder that stands for /. */
void rocm_read(const char *root, struct rocm_targets *ret);
void rocm_targets_done(struct rocm_targets *t);
static inline void rocm_targets_done_p(struct rocm_targets *t)
{
	rocm_targets_done(t);
}
/* The one whose code runs on this GPU: itself where rocBLAS has it, or nothing is known of rocBLAS;
 * else a relative of the same instruction set, which needs rocm_override. False: there is none. */
bool rocm_relative(const char *gfx, const char *kernels, char *ret, size_t size);
/* What HSA_OVERRIDE_GFX_VERSION must be for a GPU to pass as this one: "10.3.0" for gfx1030. */
void rocm_override(const char *gfx, char *ret, size_t size);

/* Adds "gfx1036" for a node's properties (/sys/class/kfd) that say gfx_target_version 100306, after
 * a ';' when it is not the first, each once. A CPU is a node too, without a target. */
void rocm_target(const char *properties, struct buf *b);

/* Adds a user's "gfx1030, gfx1100"; ERR_INVALID names what is none. */
MUST_CHECK bool rocm_parse_archs(const char *text, struct buf *list, struct err *e);

/* Lists of them, with ';' between. */
void rocm_add(struct buf *list, const char *name);  /* unless it is there */
void rocm_each(const char *list, struct strv *ret); /* list: may be NULL */
