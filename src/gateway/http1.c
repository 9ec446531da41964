/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http1.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

/* A chunk's way:  SIZE ─► (EXTENSION) ─► SIZE_LF ─► DATA ─► DATA_CR ─► DATA_LF ─► SIZE …
 *                                           └ size 0 ─► LINE ─► (TRAILER ─► LINE)* ─► END_LF */
enum chunk_state { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, TRAILER, END_LF };

struct span {
	const char *at;
	size_t len;
};

size_t http1_head_size(const char *data, size_t len)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4);

	return end ? (size_t)(end - data) + 4 : 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool word_is(const struct span *s, const char *word)
{
	return s->len == strlen(word) && strncasecmp(s->at, word, s->len) == 0;
}

/* Is it one of the comma-separated words? */
static bool has_word(const struct span *list, const char *word)
{
	const char *at = list->at, *end = list->at + list->len;

	while (at < end) {
		struct span s = {.at = at};

		while (at < end && *at != ',')
			at++;
		s.len = (size_t)(at++ - s.at);
		while (s.len > 0 && (*s.at == ' ' || *s.at == '\t'))
			s.at++, s.len--;
		while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
			s.len--;
		if (word_is(&s, word))
			return true;
	}
	return false;
}

static void copy_text(const struct span *value, char *to, size_t size)
{
	if (value->len < size) {
		memcpy(to, value->at, value->len);
		to[value->len] = '\0';
	}
}

static bool read_length(const struct span *value, int64_t *ret)
{
	int64_t length = 0;

	if (value->len == 0 || value->len > 18)
		return false;
	for (size_t i = 0; i < value->len; i++) {
		if (!is_digit(value->at[i]))
			return false;
		length = length * 10 + (value->at[i] - '0');
	}
	*ret = length;
	return true;
}

/* The few headers that mean something to us. */
static bool header(const struct span *name, const struct span *value, struct http1_head *h,
		   struct err *e)
{
	int64_t length;

	if (word_is(name, "Content-Length")) {
		if (!read_length(value, &length) || (h->length >= 0 && h->length != length))
			return err_set(e, ERR_WORKER,
				       "the worker sent a Content-Length that is no length");
		h->length = length;
	} else if (word_is(name, "Transfer-Encoding")) {
		if (!word_is(value, "chunked"))
			return err_set(e, ERR_WORKER, "the worker sent an unknown encoding '%.*s'",
				       (int)(value->len < 40 ? value->len : 40), value->at);
		h->framing = HTTP1_CHUNKED;
	} else if (word_is(name, "Connection")) {
		h->close |= has_word(value, "close");
	} else if (word_is(name, "Content-Type")) {
		copy_text(value, h->content_type, sizeof(h->content_type));
	} else if (word_is(name, "Retry-After")) {
		copy_text(value, h->retry_after, sizeof(h->retry_after));
	}
	return true;
}

static bool header_line(const char *line, size_t len, struct http1_head *h, struct err *e)
{
	const char *colon = memchr(line, ':', len);
	struct span name, value;

	if (!colon || colon == line || memchr(line, '\0', len) || memchr(line, '\n', len))
		return err_set(e, ERR_WORKER, "the worker sent a header line that is none");
	name = (struct span){line, (size_t)(colon - line)};
	value = (struct span){colon + 1, len - name.len - 1};
	while (value.len > 0 && (*value.at == ' ' || *value.at == '\t'))
		value.at++, value.len--;
	while (value.len > 0 && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
		value.len--;
	return header(&name, &value, h, e);
}

/* "HTTP/1.1 200 OK" */
static bool status_line(const char *line, size_t len, struct http1_head *h, struct err *e)
{
	if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ' ||
	    line[9] < '1' || line[9] > '5' || !is_digit(line[10]) || !is_digit(line[11]) ||
	    (len > 12 && line[12] != ' '))
		return err_set(e, ERR_WORKER, "the worker's answer is not HTTP/1.1");
	h->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
	h->close = line[7] == '0';
	return true;
}

bool http1_parse_head(const char *data, size_t size, struct http1_head *ret, struct err *e)
{
	struct http1_head h = {.length = -1, .framing = HTTP1_LENGTH};
	const char *line = data, *end = data + size - 2; /* before the empty line */

	assert(size >= 4);
	while (line < end) {
		const char *cr = memmem(line, (size_t)(end - line), "\r\n", 2);
		size_t len = (size_t)(cr - line);

		if (line == data ? !status_line(line, len, &h, e) : !header_line(line, len, &h, e))
			return false;
		line = cr + 2;
	}
	if (h.status < 200 || h.status == 204 || h.status == 304) {
		h.framing = HTTP1_LENGTH;
		h.length = 0;
	} else if (h.framing == HTTP1_CHUNKED) {
		h.length = -1;
	} else if (h.length < 0) {
		h.framing = HTTP1_UNTIL_CLOSE;
		h.close = true;
	}
	*ret = h;
	return true;
}

/* --- bodies ------------------------------------------------------------- */

bool http1_is_events(const struct http1_head *h)
{
	return strncasecmp(h->content_type, "text/event-stream", 17) == 0;
}

void http1_body_init(struct http1_body *b, const struct http1_head *head)
{
	*b = (struct http1_body){.framing = head->framing};
	if (head->framing == HTTP1_LENGTH) {
		b->left = head->length;
		b->done = head->length == 0;
	}
}

static size_t smallest(size_t a, size_t b, int64_t c)
{
	size_t n = a < b ? a : b;

	return c >= 0 && (uint64_t)c < n ? (size_t)c : n;
}

static bool broken(struct err *e)
{
	return err_set(e, ERR_WORKER, "the worker sent a broken chunk");
}

/* One hex digit of a chunk's size, or what ends them. */
static bool size_byte(struct http1_body *b, char c, struct err *e)
{
	char lower = (char)(c | 0x20);

	if (is_digit(c) || (lower >= 'a' && lower <= 'f')) {
		b->left = b->left * 16 + (is_digit(c) ? c - '0' : lower - 'a' + 10);
		return ++b->digits <= 12 || broken(e);
	}
	b->state = c == '\r' ? SIZE_LF : EXTENSION;
	return (b->digits > 0 && (c == '\r' || c == ';' || c == ' ' || c == '\t')) || broken(e);
}

static bool expect(struct http1_body *b, char c, char expected, int next, struct err *e)
{
	b->state = next;
	return c == expected || broken(e);
}

/* One byte that is not a chunk's data. */
static bool framing_byte(struct http1_body *b, char c, struct err *e)
{
	switch (b->state) {
	case SIZE:
		return size_byte(b, c, e);
	case EXTENSION:
		if (c == '\r')
			b->state = SIZE_LF;
		return c != '\n' || broken(e);
	case SIZE_LF:
		b->digits = 0;
		return expect(b, c, '\n', b->left > 0 ? DATA : LINE, e);
	case DATA_CR:
		return expect(b, c, '\r', DATA_LF, e);
	case DATA_LF:
		return expect(b, c, '\n', SIZE, e);
	case LINE: /* the start of a trailer, or the end */
		b->state = c == '\r' ? END_LF : TRAILER;
		return c != '\n' || broken(e);
	case TRAILER:
		if (c == '\n')
			b->state = LINE;
		return true;
	default:
		b->done = true;
		return c == '\n' || broken(e);
	}
}

static bool decode_chunks(struct http1_body *b, const char *in, size_t in_len, size_t *used,
			  char *out, size_t out_size, size_t *ret_len, struct err *e)
{
	size_t i = 0, len = 0, n;

	while (i < in_len && !b->done) {
		if (b->state != DATA) {
			if (!framing_byte(b, in[i++], e))
				return false;
			continue;
		}
		n = smallest(in_len - i, out_size - len, b->left);
		if (n == 0)
			break; /* out is full */
		memcpy(out + len, in + i, n);
		i += n;
		len += n;
		b->left -= (int64_t)n;
		if (b->left == 0)
			b->state = DATA_CR;
	}
	*used = i;
	*ret_len = len;
	return true;
}

bool http1_decode(struct http1_body *b, const char *in, size_t in_len, size_t *used, char *out,
		  size_t out_size, size_t *ret_len, struct err *e)
{
	size_t n;

	if (b->framing == HTTP1_CHUNKED)
		return decode_chunks(b, in, in_len, used, out, out_size, ret_len, e);
	n = smallest(in_len, out_size, b->framing == HTTP1_LENGTH ? b->left : -1);
	memcpy(out, in, n);
	if (b->framing == HTTP1_LENGTH) {
		b->left -= (int64_t)n;
		b->done = b->left == 0;
	}
	*used = *ret_len = n;
	return true;
}

bool http1_end(struct http1_body *b, struct err *e)
{
	if (!b->done && b->framing != HTTP1_UNTIL_CLOSE)
		return err_set(e, ERR_WORKER, "the worker ended in the middle of its answer");
	b->done = true;
	return true;
}
