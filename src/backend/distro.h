/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of distro_here() that takes any os-release file. */

#include "backend/backend.h"

enum distro distro_read(const char *os_release);
