/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/form.h"

#include <string.h>

#include "base/mem.h"

#define BUFFER 4096 /* of the parser: its lines must fit */

struct reading {
	struct scan *scan;
	char stream[8]; /* "true" */
	bool cut;       /* a value did not fit, or has a NUL */
};

/* Another piece of a field's value. */
static void take(struct reading *r, char *to, size_t size, const char *data, uint64_t at,
		 size_t len)
{
	if (at + len >= size || memchr(data, '\0', len)) {
		r->cut = true;
		return;
	}
	memcpy(to + at, data, len);
	to[at + len] = '\0';
}

static enum MHD_Result on_piece(void *cls, enum MHD_ValueKind kind, const char *key,
				const char *file, const char *type, const char *encoding,
				const char *data, uint64_t at, size_t len)
{
	struct reading *r = cls;

	if (!key || file)
		return MHD_YES;
	if (strcmp(key, "model") == 0) {
		r->scan->has_model = true;
		take(r, r->scan->model, sizeof(r->scan->model), data, at, len);
	} else if (strcmp(key, "stream") == 0) {
		take(r, r->stream, sizeof(r->stream), data, at, len);
	}
	return MHD_YES;
}

bool form_read(struct MHD_Connection *c, const char *body, size_t len, struct scan *ret,
	       struct err *e)
{
	struct MHD_PostProcessor *p;
	struct reading r = {.scan = ret};
	bool ok;

	memset(ret, 0, sizeof(*ret));
	p = MHD_create_post_processor(c, BUFFER, on_piece, &r);
	ok = p && MHD_post_process(p, body, len) == MHD_YES;
	/* What is said at its end: a form that is cut short. */
	ok = p && MHD_destroy_post_processor(p) == MHD_YES && ok;
	if (!ok) {
		err_set(e, ERR_INVALID, "the body is no whole form");
		return err_hint(e, "send multipart/form-data with the fields 'model' and 'file'");
	}
	if (r.cut)
		return err_set(e, ERR_INVALID,
			       "the form's 'model' or 'stream' is too long, or no text");
	ret->stream = strcmp(r.stream, "true") == 0;
	return true;
}
