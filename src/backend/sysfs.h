/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where sysfs is, and small files of it. */

#include <stddef.h>
#include <stdint.h>

/* "/sys", or what libsysfs's variable SYSFS_PATH says. */
const char *sysfs_root(void);
/* The first line, "?" for what can't be printed; "" when there is none. */
void sysfs_text(const char *folder, const char *file, char *ret, size_t size);
/* "0x10de" or "17163091968"; −1: none. */
int64_t sysfs_number(const char *folder, const char *file);
