/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/openai.h"

#include <string.h>

#include "base/mem.h"
#include "gateway/scan.h"

/* A JSON string; what is not UTF-8 (a message cut in the middle) becomes '?'. */
static void add_string(struct buf *b, const char *s)
{
	size_t left = strlen(s);

	buf_str(b, "\"");
	while (left > 0) {
		size_t len = scan_utf8(s, left);

		if (len == 0)
			buf_str(b, "?");
		else if (*s == '"' || *s == '\\')
			buf_printf(b, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			buf_printf(b, "\\u%04x", (unsigned)*s);
		else
			buf_add(b, s, len);
		len = len == 0 ? 1 : len;
		s += len;
		left -= len;
	}
	buf_str(b, "\"");
}

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

void openai_error_text(const struct err *e, const char *param, struct buf *ret)
{
	CLEANUP(buf_done) struct buf message = {0};

	buf_str(&message, e->msg);
	if (e->hint[0])
		buf_printf(&message, " (%s)", e->hint);
	buf_str(ret, "{\"error\":{\"message\":");
	add_string(ret, message.data);
	buf_printf(ret, ",\"type\":\"%s\",\"param\":", type_of(err_http_status(e->kind)));
	if (param)
		add_string(ret, param);
	else
		buf_str(ret, "null");
	buf_str(ret, ",\"code\":");
	add_string(ret, e->kind == ERR_NOT_FOUND && param && strcmp(param, "model") == 0
				? "model_not_found"
				: err_name(e->kind));
	buf_str(ret, "}}");
}

void openai_error_event(const struct err *e, struct buf *ret)
{
	buf_str(ret, "data: ");
	openai_error_text(e, NULL, ret);
	buf_str(ret, "\n\ndata: [DONE]\n\n");
}

struct MHD_Response *openai_error_response(const struct err *e, const char *param)
{
	int status = err_http_status(e->kind);
	struct MHD_Response *r;
	struct buf text = {0};
	size_t len;

	openai_error_text(e, param, &text);
	len = text.len;
	r = MHD_create_response_from_buffer(len, buf_steal(&text), MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(r, "Content-Type", "application/json");
	if (status == 429 || status == 503)
		MHD_add_response_header(r, "Retry-After", status == 429 ? "1" : "5");
	return r;
}
