/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the checks of backend.h are written: what is needed as a table row, ways to find a version,
 * and the conclusion. Programs run with a time limit, so that a broken driver's tool cannot hang
 * us. Any thread. */

#include <stdbool.h>
#include <stddef.h>

#include "backend/backend.h"
#include "base/buf.h"

struct toolkit_need {
	const char *name;
	const char *needed; /* minimum version or "any" */
	bool at_run_time;
	const char *packages[DISTRO_COUNT];
};
/* Adds an item; found: a text with the version, a path, "" or NULL when missing. */
void toolkit_add(struct toolkit *tk, const struct toolkit_need *need, const char *found);
/* As toolkit_add, for something that is there but cannot be used; why takes the version's place. */
void toolkit_add_unusable(struct toolkit *tk, const struct toolkit_need *need, const char *why);
/* Sets can_build, can_run, why_not from the items. */
void toolkit_conclude(struct toolkit *tk);

/* Asks `path --version` (NULL: missing) for the version after the text `after` (NULL: the first)
 * and adds the item; one that does not answer is unusable. *ret_version: "" when not known. */
void toolkit_add_program(struct toolkit *tk, const struct toolkit_need *need, const char *path,
			 const char *after, char *ret_version, size_t size);

/* Output of a program (stdout and stderr, first 16 KiB), caller frees; NULL: absent, failed, or it
 * took longer than ten seconds. */
char *toolkit_output(const char *const *argv);
char *toolkit_output_within(const char *const *argv, int limit_ms);
/* First version number ("12.4", "1.3.239") after the text `after` (NULL: from the start). */
bool toolkit_version(const char *text, const char *after, char *ret, size_t size);
/* -1, 0, 1, number by number. */
int toolkit_version_cmp(const char *a, const char *b);
/* Value of `#define name value` in a header. */
bool toolkit_macro(const char *path, const char *name, char *ret, size_t size);
/* Path of a header in the system's folders and in `root`/include (NULL: none); NULL: not found.
 * Caller frees. */
char *toolkit_header(const char *name, const char *root);
/* Path of a shared library where the loader looks; NULL: not found. Caller frees. */
char *toolkit_library(const char *name);
/* Path of a program in PATH, then in root/bin. Caller frees. */
char *toolkit_program(const char *name, const char *root);
