/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who may call: Host (DNS rebinding), Origin and Sec-Fetch-Site (other web pages), the key, and the
 * content type of mutations (forms of other pages). Pure: looks at headers, keeps nothing. Any
 * thread.
 */

#include <stdbool.h>

#include "base/err.h"

struct guard {                      /* of one listener; borrowed */
	const char *key;            /* NULL: none asked for */
	const char *const *hosts;   /* NULL-ended names besides IP literals and localhost */
	const char *const *origins; /* NULL-ended, "https://chat.example.org" */
};

struct guard_facts { /* header values; NULL: absent */
	const char *method;
	const char *host, *origin, *fetch_site, *content_type, *authorization, *api_key;
	const char *preflight; /* Access-Control-Request-Method */
	int host_count;
	bool has_body;
	bool is_form; /* a body must be multipart/form-data, not JSON */
};

/* ERR_FORBIDDEN, ERR_UNAUTHORIZED or ERR_INVALID (content type), naming what was missing. A
 * preflight needs no key. */
MUST_CHECK bool guard_check(const struct guard *g, const struct guard_facts *f, struct err *e);
/* OPTIONS that a browser sends before a request of another origin. */
bool guard_is_preflight(const struct guard_facts *f);
/* In allowed_origins. */
bool guard_origin_allowed(const struct guard *g, const char *origin);
