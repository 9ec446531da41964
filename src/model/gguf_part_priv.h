/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside model/: what reading keys (gguf_pair.c) and reading all of a file (gguf_part.c) share. */

#include <stdbool.h>
#include <stdint.h>

#include "model/gguf_part.h"

#define GGUF_PAIR_MIN (8 + 1 + 4 + 1) /* length, one letter, type, one byte */
/* The vocabulary of the largest models takes some 30 MB. Bounds the time that hostile counts cost.
 */
#define GGUF_METADATA_MAX (256U << 20)

/* From where the reader is: so many pairs. */
MUST_CHECK bool gguf_pairs_read(struct gguf_reader *r, struct gguf_part *p, uint64_t count,
				struct err *e);
/* Bytes of the file that an error quotes: they end up on terminals and in JSON. */
void gguf_make_printable(char *text);
