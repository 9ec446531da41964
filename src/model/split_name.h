/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names of the parts of a split model, "…-00001-of-00003.gguf": exactly so, as llama.cpp looks for
 * them. Pure functions. */

#include <stdbool.h>
#include <stddef.h>

#define SPLIT_PARTS_MAX 1000

struct split_name {
	size_t stem; /* length of the path before "-00001-of-00003.gguf" */
	int part;    /* 1 … count */
	int count;
};

/* False: it is not named so, and *ret is that of a single file: count 0, stem all but ".gguf". */
bool split_name_parse(const char *path, struct split_name *ret);
/* The same path with another part's number. Caller frees. */
char *split_name_of(const char *path, const struct split_name *s, int part);
