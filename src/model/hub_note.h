/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is known of the files of a repository that are here: the SHA-256 that each had when it was
 * checked, noted in the repository's folder (.verified, JSON) with its size and time, so that
 * gigabytes are hashed once. Held by the repository's lock.
 */

#include <stdbool.h>

#include "base/err.h"
#include "base/hash.h"
#include "model/hub_list.h"

/* False: not checked yet, or another file by now. */
bool hub_note_find(const char *folder, const char *path, char ret_sha256[static HASH_HEX_SIZE]);
/* That cannot be written: it will be hashed again, no more. */
void hub_note_add(const char *folder, const char *path, const char *sha256);
/* What is here as the hub would list it, each file with the hash that is noted. */
MUST_CHECK bool hub_note_tree(const char *folder, json_t **ret, struct err *e);
