/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the store share: where things lie, and locks of digests. */

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "store/manifest.h"
#include "store/store.h"

#define STAGE_PREFIX ".stage-"
#define LOCK_PREFIX ".lock-"

struct store {
	char *dir;   /* absolute */
	char *owner; /* names our folder in roots/ */
};

char *store_stage_folder(const struct store *s, const char *digest);
/* Tries to take the lock of a digest; *ret_fd is −1 when another has it. */
MUST_CHECK bool store_try_lock(const struct store *s, const char *digest, int *ret_fd,
			       struct err *e);
/* Removes the lock's file while it is held, then lets go. −1 is fine. */
void store_unlock(const struct store *s, const char *digest, int *fd);
/* Does any owner name it? */
MUST_CHECK bool store_has_root(const struct store *s, const char *digest, bool *ret_named,
			       struct err *e);
/* Removes what a dead builder left; the digest's lock is held. */
MUST_CHECK bool store_remove_stage(const struct store *s, const char *digest, struct err *e);

/* Whoever has the lock of a stage's digest. NULL: the stage is no use to a later builder, or older
 * than three days; caller frees. */
char *stage_note_read(const char *stage);
MUST_CHECK bool stage_note_write(const char *stage, const char *note, bool synced, struct err *e);
void stage_note_remove(const char *stage);

/* Kills processes that work inside a folder: ninja puts each compiler in a process group of its
 * own, so a killed build may leave some behind. */
void strays_kill(const char *folder);
