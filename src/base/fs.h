/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files: never half-written, never followed out of the tree, always with the path in the error.
 * Strings returned are the caller's to free. Any thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* mkdir -p; mode for the folders that it makes. */
MUST_CHECK bool fs_mkdirs(const char *path, mode_t mode, struct err *e);
/* Whole regular file, at most max_bytes (ERR_TOO_LARGE), NUL-terminated; ret_len may be NULL. */
MUST_CHECK bool fs_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len,
			struct err *e);
/* Writes path.new, fsyncs, renames, fsyncs the folder. Fault points fs.write, fs.rename. */
MUST_CHECK bool fs_replace(const char *path, const void *data, size_t len, mode_t mode,
			   struct err *e);
/* rename(2), then fsync of the target's folder. Fault point fs.rename. */
MUST_CHECK bool fs_rename(const char *from, const char *to, struct err *e);
/* Removes a file or a whole tree, never following links; absent is success. */
MUST_CHECK bool fs_remove_tree(const char *path, struct err *e);
/* Copies a tree: regular files, folders, relative links that stay inside; others are refused. */
MUST_CHECK bool fs_copy_tree(const char *from, const char *to, struct err *e);
/* Flushes everything under path to disk (syncfs of its file system). */
MUST_CHECK bool fs_sync_tree(const char *path, struct err *e);
/* Sum of the sizes of the regular files under path. */
MUST_CHECK bool fs_tree_size(const char *path, int64_t *ret_bytes, struct err *e);
/* Free bytes for an unprivileged user on path's file system (nearest folder that exists). */
MUST_CHECK bool fs_free_bytes(const char *path, int64_t *ret_bytes, struct err *e);
/* Called for each entry of a folder, sorted by name, without "." and ".."; false from the callback
 * ends it. */
typedef bool fs_entry_fn(void *arg, const char *name, struct err *e);
MUST_CHECK bool fs_each(const char *folder, fs_entry_fn *fn, void *arg, struct err *e);
/* Makes or replaces a symbolic link atomically. */
MUST_CHECK bool fs_link(const char *target, const char *path, struct err *e);
bool fs_exists(const char *path);
bool fs_is_folder(const char *path);
/* a/b without doubled slashes. */
char *fs_join(const char *a, const char *b);
/* Folder part of a path, "." when there is none. */
char *fs_dirname(const char *path);
/* realpath(3), or NULL. */
char *fs_real(const char *path);
/* Path of a program found in $PATH, or NULL. Only plain names (no '/'). */
char *fs_which(const char *program);
/* Last max_bytes of a file, cut at a line start; "" when it can't be read. */
char *fs_tail(const char *path, size_t max_bytes);

/* An exclusive flock on a file that is made when absent. Held until closed or the process ends. */
enum fs_lock_mode { FS_LOCK_TRY, FS_LOCK_WAIT };
/* *ret_fd is −1 when FS_LOCK_TRY finds it held (still true). The pid of the holder stands in the
 * file. */
MUST_CHECK bool fs_lock(const char *path, enum fs_lock_mode mode, int *ret_fd, struct err *e);
/* Pid written in a lock file, 0 when none. */
pid_t fs_lock_holder(const char *path);
