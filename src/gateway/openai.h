/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Errors as OpenAI's clients expect them: {"error":{"message","type","param","code"}}. */

#include <microhttpd.h>

#include "base/buf.h"
#include "base/err.h"

/* The JSON text, without a line break. param: the field that was wrong, or NULL. */
void openai_error_text(const struct err *e, const char *param, struct buf *ret);
/* The last two events of a stream that failed: the error, then [DONE]. */
void openai_error_event(const struct err *e, struct buf *ret);
/* As a response, with Retry-After where that makes sense; the caller queues it with
 * err_http_status(). */
struct MHD_Response *openai_error_response(const struct err *e, const char *param);
