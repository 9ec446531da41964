/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of fs.h share, and download.c. */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* All of it, also when the kernel takes it in pieces; path is for the error. Fault point
 * fs.write. */
MUST_CHECK bool fs_write_all(int fd, const void *data, size_t len, const char *path, struct err *e);
