/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* hf:OWNER/REPO[:QUANT], and which names of a hub may become files here. Pure functions. */

#include <stdbool.h>

#include "base/err.h"

#define HUB_PREFIX "hf:"

struct hub_name {
	char *owner, *repo;
	char *quant; /* a quantisation or a file's name; NULL: not said */
};
/* ERR_INVALID says what is wrong with it. */
MUST_CHECK bool hub_name_parse(const char *text, struct hub_name *ret, struct err *e);
void hub_name_done(struct hub_name *n);

/* A relative path of at most 8 names, none of which begins with '.', is longer than 200 bytes or
 * has a control character or '\'. */
bool hub_path_valid(const char *path);
/* Percent-encoded for a URL, '/' stays. Caller frees. */
char *hub_path_escape(const char *path);

static inline void hub_name_done_p(struct hub_name *n)
{
	hub_name_done(n);
}
