/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A request that is a form (multipart/form-data), as uploads are: what the gateway must know of
 * it. */

#include <microhttpd.h>

#include "gateway/scan.h"

/* Its fields `model` and `stream`, as scan_request finds them in JSON. ERR_INVALID: it is no such
 * form. */
MUST_CHECK bool form_read(struct MHD_Connection *c, const char *body, size_t len, struct scan *ret,
			  struct err *e);
