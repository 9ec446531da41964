/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Small files of sysfs. */

#include <stddef.h>
#include <stdint.h>

/* The first line, "?" for what can't be printed; "" when there is none. */
void sysfs_text(const char *folder, const char *file, char *ret, size_t size);
/* "0x10de" or "17163091968"; −1: none. */
int64_t sysfs_number(const char *folder, const char *file);
