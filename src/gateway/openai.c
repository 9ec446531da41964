/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as OpenAI's clients expect them: {"error":{"message","type","param","code"}}. */

#include <string.h>

#include "base/mem.h"
#include "gateway/dialect.h"

static const char *type_of(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 429:
		return "rate_limit_error";
	default:
		return status < 500 ? "invalid_request_error" : "server_error";
	}
}

/* The members of the error, without its braces. */
static void members(const struct err *e, const char *param, struct buf *ret)
{
	CLEANUP(buf_done) struct buf message = {0};

	buf_str(&message, e->msg);
	if (e->hint[0])
		buf_printf(&message, " (%s)", e->hint);
	buf_str(ret, "\"message\":");
	dialect_string(ret, message.data);
	buf_printf(ret, ",\"type\":\"%s\",\"param\":", type_of(err_http_status(e->kind)));
	if (param)
		dialect_string(ret, param);
	else
		buf_str(ret, "null");
	buf_str(ret, ",\"code\":");
	dialect_string(ret, e->kind == ERR_NOT_FOUND && param && strcmp(param, "model") == 0
				    ? "model_not_found"
				    : err_name(e->kind));
}

static void error(const struct err *e, const char *param, struct buf *ret)
{
	buf_str(ret, "{\"error\":{");
	members(e, param, ret);
	buf_str(ret, "}}");
}

/* The last two events: the error, then [DONE]. */
static void error_event(const struct err *e, struct buf *ret)
{
	buf_str(ret, "data: ");
	error(e, NULL, ret);
	buf_str(ret, "\n\ndata: [DONE]\n\n");
}

/* A stream of /v1/responses has named events, and no [DONE]. */
static void named_event(const struct err *e, struct buf *ret)
{
	buf_str(ret, "event: error\ndata: {\"type\":\"error\",\"error\":{");
	members(e, NULL, ret);
	buf_str(ret, "}}\n\n");
}

#define COMMENT ": waiting\n\n"

const struct dialect dialect_openai = {
	.error = error, .error_event = error_event, .sign_of_life = COMMENT};
const struct dialect dialect_responses = {.error = error,
					  .error_event = named_event,
					  .sign_of_life = COMMENT,
					  .rewrites_errors = true};
