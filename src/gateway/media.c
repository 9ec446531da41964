/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/media.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "gateway/json.h"

#define DEPTH 2 /* contents in one another: of a message, of a tool's result there */

static const struct {
	const char *type; /* of a part of a message's content */
	unsigned media;
} parts[] = {
	{"image_url", MEDIA_IMAGE},
	{"input_image", MEDIA_IMAGE},
	{"image", MEDIA_IMAGE},
	{"input_audio", MEDIA_AUDIO},
	{"input_video", MEDIA_VIDEO},
	{"video_url", MEDIA_VIDEO},
	{"images", 0}, /* Ollama's: no part, a field */
};

struct finding {
	unsigned media;
	bool fetch;
	bool refused;
	char address[100]; /* that is refused, or its beginning */
};

bool media_is_word(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (len == strlen(parts[i].type) && memcmp(text, parts[i].type, len) == 0)
			return true;
	return false;
}

/* Base64 has no ':', but llama-server takes all that begins with "http" for an address. */
static bool is_address(const char *text, size_t len)
{
	if (strncmp(text, "data:", 5) == 0)
		return false;
	return memchr(text, ':', len) || strncasecmp(text, "http", 4) == 0;
}

static void look_at_text(const json_t *text, struct finding *f)
{
	const char *s = json_string_value(text);
	bool web = s && (strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0);

	if (!s || !is_address(s, json_string_length(text)) || (web && f->fetch))
		return;
	f->refused = true;
	(void)snprintf(f->address, sizeof(f->address), "%s", s);
}

/* Wherever one of the workers, or one of the dialects, has the data or its address. */
static void look_at_part(const json_t *part, struct finding *f)
{
	static const char *const fields[] = {"image_url", "input_audio", "input_video",
					     "video_url"};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const json_t *field = json_object_get(part, fields[i]);

		look_at_text(field, f);
		look_at_text(json_object_get(field, "url"), f);
		look_at_text(json_object_get(field, "data"), f);
	}
	look_at_text(json_object_get(json_object_get(part, "source"), "url"), f);
}

/* The parts of a content, or messages with theirs. A tool's result has a content, too, that of
 * /v1/responses an output. */
static void look_in(const json_t *list, int depth, struct finding *f)
{
	const json_t *part;
	size_t n;

	json_array_foreach(list, n, part) {
		const char *type = json_string_value(json_object_get(part, "type"));

		for (size_t i = 0; type && i < ARRAY_LEN(parts); i++) {
			if (strcmp(type, parts[i].type) != 0)
				continue;
			f->media |= parts[i].media;
			look_at_part(part, f);
		}
		if (depth == 0)
			continue;
		look_in(json_object_get(part, "content"), depth - 1, f);
		look_in(json_object_get(part, "output"), depth - 1, f);
	}
}

static bool refuse(const struct finding *f, struct err *e)
{
	(void)err_set(e, ERR_INVALID, "'%s' is not fetched: the request only names its media",
		      f->address);
	if (f->fetch)
		return err_hint(e, "send a data: URL, or one of http or https");
	return err_hint(e, "send a data: URL, or set fetch_media to yes in shunt.conf");
}

bool media_find(const char *body, size_t len, bool fetch, unsigned *ret, struct err *e)
{
	CLEANUP(json_decref)
	json_t *json = json_loadb(body, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	static const char *const lists[] = {"messages", "input", "content"};
	struct finding f = {.fetch = fetch};

	if (!json) /* a NUL in a key, or a number that no computer holds */
		return err_set(e, ERR_INVALID, "the body is unusual JSON");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const json_t *list = json_object_get(json, lists[i]);

		look_in(list, DEPTH, &f);
		look_in(json_object_get(list, "content"), DEPTH - 1, &f); /* one, without a list */
	}
	if (f.refused)
		return refuse(&f, e);
	*ret = f.media;
	return true;
}
