/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/dialect.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/json.h"
#include "gateway/scan.h"

void dialect_string(struct buf *b, const char *s)
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

struct MHD_Response *dialect_response(const struct dialect *d, const struct err *e,
				      const char *param)
{
	int status = err_http_status(e->kind);
	struct MHD_Response *r;
	struct buf text = {0};
	size_t len;

	d->error(e, param, &text);
	len = text.len;
	r = MHD_create_response_from_buffer(len, buf_steal(&text), MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(r, "Content-Type", "application/json");
	if (status == 429 || status == 503)
		MHD_add_response_header(r, "Retry-After", status == 429 ? "1" : "5");
	return r;
}

static enum err_kind kind_of(int status)
{
	static const struct {
		int status;
		enum err_kind kind;
	} known[] = {
		{400, ERR_INVALID}, {404, ERR_NOT_FOUND},     {413, ERR_TOO_LARGE},
		{429, ERR_BUSY},    {501, ERR_NOT_SUPPORTED}, {503, ERR_UNAVAILABLE},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].status == status)
			return known[i].kind;
	return status < 500 ? ERR_INVALID : ERR_SYSTEM;
}

void dialect_read_error(int status, const char *text, size_t len, struct err *e)
{
	CLEANUP(json_decref) json_t *json = json_loadb(text, len, 0, NULL);
	const char *message =
		json_string_value(json_object_get(json_object_get(json, "error"), "message"));

	if (message)
		(void)err_set(e, kind_of(status), "%s", message);
	else
		(void)err_set(e, ERR_WORKER, "the worker answered with status %d", status);
}
