/* SPDX-License-Identifier: Apache-2.0 */
/* Strings and values of JSON, checked and left behind. */

#include <string.h>

#include "gateway/media.h"
#include "gateway/scan.h"
#include "gateway/scan_priv.h"

bool scan_fail(struct scan_cursor *c, const char *problem)
{
	if (!c->problem)
		c->problem = problem;
	return false;
}

static void keep(struct scan_text *t, const char *data, size_t len)
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

static bool hex4(struct scan_cursor *c, unsigned *ret)
{
	unsigned value = 0;

	if (c->end - c->at < 4)
		return scan_fail(c, "a \\u escape that ends early");
	for (int i = 0; i < 4; i++) {
		char ch = *c->at++;
		unsigned digit;

		if (ch >= '0' && ch <= '9')
			digit = (unsigned)(ch - '0');
		else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
			digit = (unsigned)((ch | 0x20) - 'a') + 10;
		else
			return scan_fail(c, "a \\u escape with a character that is no hex digit");
		value = value * 16 + digit;
	}
	*ret = value;
	return true;
}

static void keep_code_point(struct scan_text *t, unsigned cp)
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

static bool unicode_escape(struct scan_cursor *c, struct scan_text *t)
{
	unsigned high = 0, low = 0;

	if (!hex4(c, &high))
		return false;
	if (high >= 0xdc00 && high <= 0xdfff)
		return scan_fail(c, "half a surrogate pair");
	if (high >= 0xd800 && high <= 0xdbff) {
		if (!scan_skip(c, '\\') || !scan_skip(c, 'u') || !hex4(c, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return scan_fail(c, "half a surrogate pair");
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	/* Nobody has to write these so: it may hide a word. */
	c->media |= high == '_' || ((high | 0x20) >= 'a' && (high | 0x20) <= 'z');
	keep_code_point(t, high);
	return true;
}

static bool escape(struct scan_cursor *c, struct scan_text *t)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (c->at == c->end)
		return scan_fail(c, "a string that doesn't end");
	if (scan_skip(c, 'u'))
		return unicode_escape(c, t);
	found = memchr(from, *c->at, sizeof(from) - 1);
	if (!found)
		return scan_fail(c, "an unknown escape");
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

static bool utf8(struct scan_cursor *c, struct scan_text *t)
{
	size_t len = scan_utf8(c->at, (size_t)(c->end - c->at));

	if (len == 0)
		return scan_fail(c, "bytes that are not UTF-8");
	keep(t, c->at, len);
	c->at += len;
	return true;
}

bool scan_string(struct scan_cursor *c, struct scan_text *t)
{
	const char *start;

	if (!scan_skip(c, '"'))
		return scan_fail(c, "a missing '\"'");
	start = c->at;
	while (c->at < c->end) {
		const char *from = c->at;

		while (c->at < c->end && (unsigned char)*c->at >= 0x20 &&
		       (unsigned char)*c->at < 0x80 && *c->at != '"' && *c->at != '\\')
			c->at++;
		keep(t, from, (size_t)(c->at - from));
		if (c->at == c->end)
			break;
		if (scan_skip(c, '"')) {
			c->media |= media_hints(start, (size_t)(c->at - 1 - start));
			return true;
		}
		if ((unsigned char)*c->at < 0x20)
			return scan_fail(c, "a control character in a string");
		if (scan_skip(c, '\\') ? !escape(c, t) : !utf8(c, t))
			return false;
	}
	return scan_fail(c, "a string that doesn't end");
}

/* --- values ------------------------------------------------------------- */

static bool digits(struct scan_cursor *c)
{
	const char *from = c->at;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		c->at++;
	return c->at > from || scan_fail(c, "a number without digits");
}

static bool number(struct scan_cursor *c)
{
	(void)scan_skip(c, '-');
	if (!scan_skip(c, '0') && !digits(c))
		return false;
	if (scan_skip(c, '.') && !digits(c))
		return false;
	if (scan_skip(c, 'e') || scan_skip(c, 'E')) {
		if (!scan_skip(c, '+'))
			(void)scan_skip(c, '-');
		return digits(c);
	}
	return true;
}

static bool word(struct scan_cursor *c, const char *expected)
{
	size_t len = strlen(expected);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, expected, len) != 0)
		return scan_fail(c, "something that is no value");
	c->at += len;
	return true;
}

static bool scalar(struct scan_cursor *c)
{
	switch (*c->at) {
	case '"':
		return scan_string(c, NULL);
	case 't':
		return word(c, "true");
	case 'f':
		return word(c, "false");
	case 'n':
		return word(c, "null");
	default:
		if (*c->at == '-' || (*c->at >= '0' && *c->at <= '9'))
			return number(c);
		return scan_fail(c, "something that is no value");
	}
}

static bool key(struct scan_cursor *c)
{
	scan_space(c);
	if (!scan_string(c, NULL))
		return false;
	scan_space(c);
	return scan_skip(c, ':') || scan_fail(c, "a missing ':'");
}

static bool push(struct scan_cursor *c, bool object)
{
	if (c->depth == SCAN_DEPTH)
		return scan_fail(c, "nesting deeper than 256");
	c->object[++c->depth] = object;
	return true;
}

/* After a value: closes what ends here, up to depth `base`. *ret_more: another value follows, its
 * key is read. */
static bool after_value(struct scan_cursor *c, int base, bool *ret_more)
{
	*ret_more = false;
	while (c->depth > base) {
		scan_space(c);
		if (scan_skip(c, ',')) {
			*ret_more = true;
			return !c->object[c->depth] || key(c);
		}
		if (!scan_skip(c, c->object[c->depth] ? '}' : ']'))
			return scan_fail(c, c->object[c->depth] ? "a missing ',' or '}'"
								: "a missing ',' or ']'");
		c->depth--;
	}
	return true;
}

/* Opens what begins here. *ret_empty: it closed again at once, so it was a whole value. */
static bool begin(struct scan_cursor *c, bool *ret_empty)
{
	bool object = *c->at++ == '{';

	scan_space(c);
	*ret_empty = scan_skip(c, object ? '}' : ']');
	if (*ret_empty)
		return true;
	return push(c, object) && (!object || key(c));
}

bool scan_value(struct scan_cursor *c)
{
	int base = c->depth;
	bool more = true, whole;

	while (more) {
		scan_space(c);
		if (c->at == c->end)
			return scan_fail(c, "an end that comes too early");
		whole = true;
		if (scan_next_is(c, '{') || scan_next_is(c, '[')) {
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
