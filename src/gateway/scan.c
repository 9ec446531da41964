/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scan.h"

#include <string.h>

#define MAX_DEPTH 256

struct cursor {
	const char *start, *at, *end;
	const char *problem; /* what is wrong at `at`, once something is */
	char *edit;          /* the same text, to blank id_slot in; NULL: don't */
	int depth;
	bool object[MAX_DEPTH + 1]; /* at each depth: an object, else an array */
};

/* A string's content, unescaped; cut where it doesn't fit. */
struct text {
	char *data;
	size_t size, len;
	bool cut;
};

static bool fail(struct cursor *c, const char *problem)
{
	if (!c->problem)
		c->problem = problem;
	return false;
}

static void skip_space(struct cursor *c)
{
	while (c->at < c->end &&
	       (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
		c->at++;
}

static bool is_next(const struct cursor *c, char ch)
{
	return c->at < c->end && *c->at == ch;
}

static bool skip(struct cursor *c, char ch)
{
	if (!is_next(c, ch))
		return false;
	c->at++;
	return true;
}

static void keep(struct text *t, const char *data, size_t len)
{
	if (!t)
		return;
	if (len > t->size - t->len) {
		len = t->size - t->len;
		t->cut = true;
	}
	memcpy(t->data + t->len, data, len);
	t->len += len;
}

/* --- strings ------------------------------------------------------------ */

static bool hex4(struct cursor *c, unsigned *ret)
{
	unsigned value = 0;

	if (c->end - c->at < 4)
		return fail(c, "a \\u escape that ends early");
	for (int i = 0; i < 4; i++) {
		char ch = *c->at++;
		unsigned digit;

		if (ch >= '0' && ch <= '9')
			digit = (unsigned)(ch - '0');
		else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
			digit = (unsigned)((ch | 0x20) - 'a') + 10;
		else
			return fail(c, "a \\u escape with a character that is no hex digit");
		value = value * 16 + digit;
	}
	*ret = value;
	return true;
}

static void keep_code_point(struct text *t, unsigned cp)
{
	char out[4];
	size_t len = 0;

	if (cp < 0x80) {
		out[len++] = (char)cp;
	} else if (cp < 0x800) {
		out[len++] = (char)(0xc0 | cp >> 6);
	} else if (cp < 0x10000) {
		out[len++] = (char)(0xe0 | cp >> 12);
		out[len++] = (char)(0x80 | (cp >> 6 & 0x3f));
	} else {
		out[len++] = (char)(0xf0 | cp >> 18);
		out[len++] = (char)(0x80 | (cp >> 12 & 0x3f));
		out[len++] = (char)(0x80 | (cp >> 6 & 0x3f));
	}
	if (cp >= 0x80)
		out[len++] = (char)(0x80 | (cp & 0x3f));
	keep(t, out, len);
}

static bool unicode_escape(struct cursor *c, struct text *t)
{
	unsigned high, low;

	if (!hex4(c, &high))
		return false;
	if (high >= 0xdc00 && high <= 0xdfff)
		return fail(c, "half a surrogate pair");
	if (high >= 0xd800 && high <= 0xdbff) {
		if (!skip(c, '\\') || !skip(c, 'u') || !hex4(c, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return fail(c, "half a surrogate pair");
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	keep_code_point(t, high);
	return true;
}

static bool escape(struct cursor *c, struct text *t)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (c->at == c->end)
		return fail(c, "a string that doesn't end");
	if (skip(c, 'u'))
		return unicode_escape(c, t);
	found = memchr(from, *c->at, sizeof(from) - 1);
	if (!found)
		return fail(c, "an unknown escape");
	keep(t, &to[found - from], 1);
	c->at++;
	return true;
}

size_t scan_utf8(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (len == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || left < len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static bool utf8(struct cursor *c, struct text *t)
{
	size_t len = scan_utf8(c->at, (size_t)(c->end - c->at));

	if (len == 0)
		return fail(c, "bytes that are not UTF-8");
	keep(t, c->at, len);
	c->at += len;
	return true;
}

/* A string; its content into t, which may be NULL. */
static bool string(struct cursor *c, struct text *t)
{
	if (!skip(c, '"'))
		return fail(c, "a missing '\"'");
	while (c->at < c->end) {
		const char *from = c->at;

		while (c->at < c->end && (unsigned char)*c->at >= 0x20 &&
		       (unsigned char)*c->at < 0x80 && *c->at != '"' && *c->at != '\\')
			c->at++;
		keep(t, from, (size_t)(c->at - from));
		if (c->at == c->end)
			break;
		if (skip(c, '"'))
			return true;
		if ((unsigned char)*c->at < 0x20)
			return fail(c, "a control character in a string");
		if (skip(c, '\\') ? !escape(c, t) : !utf8(c, t))
			return false;
	}
	return fail(c, "a string that doesn't end");
}

/* --- values ------------------------------------------------------------- */

static bool digits(struct cursor *c)
{
	const char *from = c->at;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		c->at++;
	return c->at > from || fail(c, "a number without digits");
}

static bool number(struct cursor *c)
{
	(void)skip(c, '-');
	if (!skip(c, '0') && !digits(c))
		return false;
	if (skip(c, '.') && !digits(c))
		return false;
	if (skip(c, 'e') || skip(c, 'E')) {
		if (!skip(c, '+'))
			(void)skip(c, '-');
		return digits(c);
	}
	return true;
}

static bool word(struct cursor *c, const char *expected)
{
	size_t len = strlen(expected);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, expected, len) != 0)
		return fail(c, "something that is no value");
	c->at += len;
	return true;
}

static bool scalar(struct cursor *c)
{
	switch (*c->at) {
	case '"':
		return string(c, NULL);
	case 't':
		return word(c, "true");
	case 'f':
		return word(c, "false");
	case 'n':
		return word(c, "null");
	default:
		if (*c->at == '-' || (*c->at >= '0' && *c->at <= '9'))
			return number(c);
		return fail(c, "something that is no value");
	}
}

static bool key(struct cursor *c)
{
	skip_space(c);
	if (!string(c, NULL))
		return false;
	skip_space(c);
	return skip(c, ':') || fail(c, "a missing ':'");
}

static bool push(struct cursor *c, bool object)
{
	if (c->depth == MAX_DEPTH)
		return fail(c, "nesting deeper than 256");
	c->object[++c->depth] = object;
	return true;
}

/* After a value: closes what ends here, up to depth `base`. *ret_more: another value follows, its
 * key is read. */
static bool after_value(struct cursor *c, int base, bool *ret_more)
{
	*ret_more = false;
	while (c->depth > base) {
		skip_space(c);
		if (skip(c, ',')) {
			*ret_more = true;
			return !c->object[c->depth] || key(c);
		}
		if (!skip(c, c->object[c->depth] ? '}' : ']'))
			return fail(c, c->object[c->depth] ? "a missing ',' or '}'"
							   : "a missing ',' or ']'");
		c->depth--;
	}
	return true;
}

/* Opens what begins here. *ret_empty: it closed again at once, so it was a whole value. */
static bool begin(struct cursor *c, bool *ret_empty)
{
	bool object = *c->at++ == '{';

	skip_space(c);
	*ret_empty = skip(c, object ? '}' : ']');
	if (*ret_empty)
		return true;
	return push(c, object) && (!object || key(c));
}

/* Skips one value of any kind, without recursion. */
static bool value(struct cursor *c)
{
	int base = c->depth;
	bool more = true, whole;

	while (more) {
		skip_space(c);
		if (c->at == c->end)
			return fail(c, "an end that comes too early");
		whole = true;
		if (is_next(c, '{') || is_next(c, '[')) {
			if (!begin(c, &whole))
				return false;
		} else if (!scalar(c)) {
			return false;
		}
		if (whole && !after_value(c, base, &more))
			return false;
	}
	return true;
}

/* --- the top level ------------------------------------------------------ */

static bool is(const struct text *name, const char *expected)
{
	return !name->cut && name->len == strlen(expected) &&
	       memcmp(name->data, expected, name->len) == 0;
}

static bool read_model(struct cursor *c, struct scan *s)
{
	struct text t = {.data = s->model, .size = sizeof(s->model) - 1};

	s->has_model = is_next(c, '"');
	s->odd_model = !s->has_model && !is_next(c, 'n');
	s->model[0] = '\0';
	if (!s->has_model)
		return value(c);
	if (!string(c, &t))
		return false;
	s->model[t.len] = '\0';
	if (strlen(s->model) != t.len)
		return fail(c, "a NUL in the model's name");
	return true;
}

static bool read_stream(struct cursor *c, struct scan *s)
{
	s->stream = is_next(c, 't');
	return value(c);
}

static bool read_keep_alive(struct cursor *c, struct scan *s)
{
	const char *from = c->at;

	if (!value(c))
		return false;
	s->keep_alive = *from == 'n' ? 0 : (size_t)(from - c->start);
	s->keep_alive_len = (size_t)(c->at - from);
	return true;
}

static bool read_messages(struct cursor *c, struct scan *s)
{
	s->has_messages = is_next(c, '[');
	return value(c);
}

/* The top-level fields that are looked at; others are only checked. */
static bool member_value(struct cursor *c, struct scan *s, const struct text *name)
{
	if (is(name, "model"))
		return read_model(c, s);
	if (is(name, "stream"))
		return read_stream(c, s);
	if (is(name, "messages"))
		return read_messages(c, s);
	if (is(name, "keep_alive"))
		return read_keep_alive(c, s);
	return value(c);
}

static void blank(struct cursor *c, const char *from, const char *to)
{
	if (c->edit)
		memset(c->edit + (from - c->start), ' ', (size_t)(to - from));
}

/* One member of the outermost object, its comma included. *comma: the last one that stands. */
static bool member(struct cursor *c, struct scan *s, const char **comma, bool *ret_more)
{
	char name[16];
	struct text t = {.data = name, .size = sizeof(name)};
	const char *from;
	bool slot;

	skip_space(c);
	from = c->at;
	if (!string(c, &t))
		return false;
	skip_space(c);
	if (!skip(c, ':'))
		return fail(c, "a missing ':'");
	skip_space(c);
	slot = is(&t, "id_slot");
	s->has_id_slot |= slot;
	if (!member_value(c, s, &t))
		return false;
	if (slot)
		blank(c, from, c->at);
	skip_space(c);
	*ret_more = skip(c, ',');
	if (*ret_more && !slot)
		*comma = c->at - 1;
	else if (*ret_more)
		blank(c, c->at - 1, c->at);
	else if (slot && *comma) /* the last member: the comma before it goes */
		blank(c, *comma, *comma + 1);
	return true;
}

static bool document(struct cursor *c, struct scan *s)
{
	const char *comma = NULL;
	bool more;

	skip_space(c);
	if (!skip(c, '{'))
		return fail(c, "no object");
	skip_space(c);
	more = !is_next(c, '}');
	while (more)
		if (!member(c, s, &comma, &more))
			return false;
	if (!skip(c, '}'))
		return fail(c, "a missing ',' or '}'");
	skip_space(c);
	return c->at == c->end || fail(c, "something after the object");
}

bool scan_request(const char *body, size_t len, struct scan *ret, struct err *e)
{
	struct cursor c = {.start = body, .at = body, .end = body + len};
	struct scan s;

	s.model[0] = '\0';
	s.has_model = s.stream = s.has_id_slot = s.has_messages = s.odd_model = false;
	s.keep_alive = s.keep_alive_len = 0;
	if (!document(&c, &s)) {
		err_set(e, ERR_INVALID, "the body is not a JSON object: %s at byte %zu", c.problem,
			(size_t)(c.at - body));
		return err_hint(e, "send {\"model\": …} as application/json");
	}
	*ret = s;
	return true;
}

void scan_blank_id_slot(char *body, size_t len)
{
	struct cursor c = {.start = body, .at = body, .end = body + len, .edit = body};
	struct scan ignored = {0};

	(void)document(&c, &ignored);
}
