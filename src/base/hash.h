/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* SHA-256, as 64 lower-case hex digits. */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

#define HASH_HEX_SIZE 65 /* with the NUL */

struct hash; /* running hash */
struct hash *hash_new(void);
void hash_add(struct hash *h, const void *data, size_t len);
/* Adds "key=value\n": the building block of digests. A newline in either is a bug. */
void hash_field(struct hash *h, const char *key, const char *value);
void hash_hex(struct hash *h, char ret_hex[static HASH_HEX_SIZE]); /* ends it */
void hash_free(struct hash *h);
CLEANUP_DEFINE(hash_free, struct hash)

/* Hash of a whole file; cancelled (may be NULL) is asked now and then and ends it with
 * ERR_CANCELLED. */
MUST_CHECK bool hash_file(const char *path, bool (*cancelled)(void *), void *arg,
			  char ret_hex[static HASH_HEX_SIZE], struct err *e);
/* Exactly 64 lower-case hex digits. */
bool hash_is_hex(const char *text);
