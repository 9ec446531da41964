/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/post.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define HEAD_MAX 16384
#define BODY_DIGITS 9

/* Headers that change what a request means, or who may send it: the HTTP server knows how. */
static const char *const unusual[] = {
	"Transfer-Encoding", "Expect", "Upgrade", "Origin", "Trailer", "TE",
};

struct line {
	char *name, *value, *end; /* of the value */
};

static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* "Name: value"; false for anything a strict reader might take another way. */
static bool split(char *at, char *end, struct line *ret)
{
	char *colon = at;

	while (colon < end && is_token(*colon))
		colon++;
	if (colon == at || colon == end || *colon != ':')
		return false;
	ret->name = at;
	ret->value = colon + 1;
	while (ret->value < end && (*ret->value == ' ' || *ret->value == '\t'))
		ret->value++;
	while (end > ret->value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	ret->end = end;
	for (const char *c = ret->value; c < end; c++)
		if ((unsigned char)*c < 0x20 && *c != '\t')
			return false;
	return true;
}

static bool named(const struct line *l, const char *name)
{
	size_t len = strlen(name);

	return len < (size_t)(l->end - l->name) && l->name[len] == ':' &&
	       strncasecmp(l->name, name, len) == 0;
}

static bool read_length(const struct line *l, size_t *ret)
{
	size_t n = 0;

	if (l->end == l->value || l->end - l->value > BODY_DIGITS)
		return false;
	for (const char *c = l->value; c < l->end; c++) {
		if (*c < '0' || *c > '9')
			return false;
		n = n * 10 + (size_t)(*c - '0');
	}
	*ret = n;
	return true;
}

/* Values found, by the header's name; ends kept apart until nothing can go wrong any more. */
struct heads {
	struct line host, content_type, authorization, api_key, length;
};

static bool take(const struct line *l, struct heads *h)
{
	const struct {
		const char *name;
		struct line *to;
	} known[] = {
		{"Host", &h->host},
		{"Content-Length", &h->length},
		{"Content-Type", &h->content_type},
		{"Authorization", &h->authorization},
		{"X-Api-Key", &h->api_key},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!named(l, known[i].name))
			continue;
		if (known[i].to->name) /* twice */
			return false;
		*known[i].to = *l;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(unusual); i++)
		if (named(l, unusual[i]))
			return false;
	if (named(l, "Connection"))
		return l->end - l->value == 10 && strncasecmp(l->value, "keep-alive", 10) == 0;
	return strncasecmp(l->name, "Sec-Fetch-", 10) != 0 &&
	       strncasecmp(l->name, "Access-Control-", 15) != 0;
}

static char *ended(const struct line *l)
{
	if (l->name)
		*l->end = '\0';
	return l->name ? l->value : NULL;
}

/* "POST /path HTTP/1.1"; *ret: the path's end. */
static bool request_line(char *at, const char *end, char **ret)
{
	static const char version[] = " HTTP/1.1";
	size_t len = sizeof(version) - 1;

	if ((size_t)(end - at) < 6 + len || memcmp(at, "POST /", 6) != 0 ||
	    memcmp(end - len, version, len) != 0)
		return false;
	*ret = at + (end - at) - len;
	for (const char *c = at + 5; c < *ret; c++)
		if (*c <= ' ' || *c == '?' || *c == '#' || *c == 0x7f)
			return false;
	return true;
}

enum post_kind post_parse(char *data, size_t len, struct post *ret)
{
	struct heads h = {0};
	size_t start = len < 6 ? len : 6, head, body_len;
	char *end, *line, *path_end = NULL;

	if (memcmp(data, "POST /", start) != 0)
		return POST_OTHER;
	end = memmem(data, len < HEAD_MAX ? len : HEAD_MAX, "\r\n\r\n", 4);
	if (!end)
		return len < HEAD_MAX ? POST_PARTIAL : POST_OTHER;
	head = (size_t)(end - data) + 4;
	for (char *at = data; at < end + 2; at = line + 2) {
		struct line l;

		line = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
		if (at == data ? !request_line(at, line, &path_end)
			       : !split(at, line, &l) || !take(&l, &h))
			return POST_OTHER;
	}
	if (!h.host.name || !h.length.name || !read_length(&h.length, &body_len))
		return POST_OTHER;
	if (len - head < body_len)
		return POST_PARTIAL;
	*path_end = '\0';
	*ret = (struct post){
		.path = data + 5,
		.host = ended(&h.host),
		.content_type = ended(&h.content_type),
		.authorization = ended(&h.authorization),
		.api_key = ended(&h.api_key),
		.body = data + head,
		.body_len = body_len,
		.size = head + body_len,
	};
	return POST_WHOLE;
}
