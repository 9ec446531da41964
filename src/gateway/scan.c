/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scan.h"

#include <string.h>

#include "gateway/scan_priv.h"

static bool is(const struct scan_text *name, const char *expected)
{
	return !name->cut && name->len == strlen(expected) &&
	       memcmp(name->data, expected, name->len) == 0;
}

static bool read_model(struct scan_cursor *c, struct scan *s)
{
	struct scan_text t = {.data = s->model, .size = sizeof(s->model) - 1};

	s->has_model = scan_next_is(c, '"');
	s->odd_model = !s->has_model && !scan_next_is(c, 'n');
	s->model[0] = '\0';
	if (!s->has_model)
		return scan_value(c);
	if (!scan_string(c, &t))
		return false;
	s->model[t.len] = '\0';
	if (strlen(s->model) != t.len)
		return scan_fail(c, "a NUL in the model's name");
	return true;
}

static bool read_stream(struct scan_cursor *c, struct scan *s)
{
	s->stream = scan_next_is(c, 't');
	return scan_value(c);
}

static bool read_keep_alive(struct scan_cursor *c, struct scan *s)
{
	const char *from = c->at;

	if (!scan_value(c))
		return false;
	s->keep_alive = *from == 'n' ? 0 : (size_t)(from - c->start);
	s->keep_alive_len = (size_t)(c->at - from);
	return true;
}

static bool read_messages(struct scan_cursor *c, struct scan *s)
{
	s->has_messages = scan_next_is(c, '[');
	return scan_value(c);
}

/* The top-level fields that are looked at; others are only checked. */
static bool member_value(struct scan_cursor *c, struct scan *s, const struct scan_text *name)
{
	if (is(name, "model"))
		return read_model(c, s);
	if (is(name, "stream"))
		return read_stream(c, s);
	if (is(name, "messages"))
		return read_messages(c, s);
	if (is(name, "keep_alive"))
		return read_keep_alive(c, s);
	return scan_value(c);
}

static void blank(struct scan_cursor *c, const char *from, const char *to)
{
	if (c->edit)
		memset(c->edit + (from - c->start), ' ', (size_t)(to - from));
}

/* One member of the outermost object, its comma included. *comma: the last one that stands. */
static bool member(struct scan_cursor *c, struct scan *s, const char **comma, bool *ret_more)
{
	char name[16];
	struct scan_text t = {.data = name, .size = sizeof(name)};
	const char *from;
	bool slot;

	scan_space(c);
	from = c->at;
	if (!scan_string(c, &t))
		return false;
	scan_space(c);
	if (!scan_skip(c, ':'))
		return scan_fail(c, "a missing ':'");
	scan_space(c);
	slot = is(&t, "id_slot");
	s->has_id_slot |= slot;
	if (!member_value(c, s, &t))
		return false;
	if (slot)
		blank(c, from, c->at);
	scan_space(c);
	*ret_more = scan_skip(c, ',');
	if (*ret_more && !slot)
		*comma = c->at - 1;
	else if (*ret_more)
		blank(c, c->at - 1, c->at);
	else if (slot && *comma) /* the last member: the comma before it goes */
		blank(c, *comma, *comma + 1);
	return true;
}

static bool document(struct scan_cursor *c, struct scan *s)
{
	const char *comma = NULL;
	bool more;

	scan_space(c);
	if (!scan_skip(c, '{'))
		return scan_fail(c, "no object");
	scan_space(c);
	more = !scan_next_is(c, '}');
	while (more)
		if (!member(c, s, &comma, &more))
			return false;
	if (!scan_skip(c, '}'))
		return scan_fail(c, "a missing ',' or '}'");
	scan_space(c);
	return c->at == c->end || scan_fail(c, "something after the object");
}

bool scan_request(const char *body, size_t len, struct scan *ret, struct err *e)
{
	struct scan_cursor c = {.start = body, .at = body, .end = body + len};
	struct scan s;

	s.model[0] = '\0';
	s.has_model = s.stream = s.has_id_slot = s.has_messages = s.odd_model = s.media = false;
	s.keep_alive = s.keep_alive_len = 0;
	if (!document(&c, &s)) {
		err_set(e, ERR_INVALID, "the body is not a JSON object: %s at byte %zu", c.problem,
			(size_t)(c.at - body));
		return err_hint(e, "send {\"model\": …} as application/json");
	}
	s.media = c.media;
	*ret = s;
	return true;
}

void scan_blank_id_slot(char *body, size_t len)
{
	struct scan_cursor c = {.start = body, .at = body, .end = body + len, .edit = body};
	struct scan ignored = {0};

	(void)document(&c, &ignored);
}
