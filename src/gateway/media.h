/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Images and sound in a request's messages: not every model takes them, and a worker would fetch
 * what they only name. */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define MEDIA_IMAGE 1U
#define MEDIA_AUDIO 2U
#define MEDIA_VIDEO 4U

bool media_is_word(const char *text, size_t len);

/* Is a string like this one in a body that holds any? For scan_request, which asks it of every
 * string: all of them begin with one of these. */
static inline bool media_hints(const char *text, size_t len)
{
	return len > 0 && (*text == 'i' || *text == 'v') && media_is_word(text, len);
}
/* Which there are (MEDIA_…), in any of the ways that the worker reads; the body has passed
 * scan_request. fetch: they may be addresses on the web. ERR_INVALID: one is, and must not; or it
 * can't be told. */
MUST_CHECK bool media_find(const char *body, size_t len, bool fetch, unsigned *ret, struct err *e);
