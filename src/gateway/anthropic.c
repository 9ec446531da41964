/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as Anthropic's clients expect them: {"type":"error","error":{"type","message"}}. */

#include "base/mem.h"
#include "gateway/dialect.h"

static const char *type_of(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 404:
		return "not_found_error";
	case 413:
		return "request_too_large";
	case 429:
		return "rate_limit_error";
	case 503:
		return "overloaded_error";
	default:
		return status < 500 ? "invalid_request_error" : "api_error";
	}
}

static void error(const struct err *e, const char *param, struct buf *ret)
{
	CLEANUP(buf_done) struct buf message = {0};

	buf_str(&message, e->msg);
	if (e->hint[0])
		buf_printf(&message, " (%s)", e->hint);
	buf_printf(ret, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
		   type_of(err_http_status(e->kind)));
	dialect_string(ret, message.data);
	buf_str(ret, "}}");
}

static void error_event(const struct err *e, struct buf *ret)
{
	buf_str(ret, "event: error\ndata: ");
	error(e, NULL, ret);
	buf_str(ret, "\n\n");
}

const struct dialect dialect_anthropic = {
	.error = error,
	.error_event = error_event,
	.sign_of_life = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
	.rewrites_errors = true,
};
