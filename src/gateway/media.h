/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Images and sound in a request's messages, which not every model takes. */

#include <stdbool.h>
#include <stddef.h>

#define MEDIA_IMAGE 1U
#define MEDIA_AUDIO 2U
#define MEDIA_VIDEO 4U

/* May there be any? Quick, and true too often rather than too rarely. */
bool media_hinted(const char *body, size_t len);
/* Which there are, in any of the ways that the worker reads; the body has passed scan_request. */
unsigned media_find(const char *body, size_t len);
