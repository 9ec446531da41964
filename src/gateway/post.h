/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Is what a client has sent so far one plain POST, as the clients of an API send it? Deliberately
 * narrow: whatever is unusual is OTHER, and goes to the real HTTP server. A pure function.
 */

#include <stddef.h>

struct post {
	char *path; /* ended with NULs written into the text, as the headers; no query */
	char *host;
	char *content_type; /* NULL when absent, as those below */
	char *authorization;
	char *api_key;
	char *body;
	size_t body_len;
	size_t size; /* head and body */
};

enum post_kind {
	POST_OTHER,
	POST_PARTIAL, /* of what may become one */
	POST_WHOLE,
};

/* Writes into data only when the answer is POST_WHOLE, and only into the head. */
enum post_kind post_parse(char *data, size_t len, struct post *ret);
