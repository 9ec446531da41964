/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/media.h"

#include <string.h>

#include "base/mem.h"
#include "gateway/json.h"

static const struct {
	const char *type; /* of a part of a message's content */
	unsigned media;
} parts[] = {
	{"image_url", MEDIA_IMAGE},   {"input_image", MEDIA_IMAGE}, {"image", MEDIA_IMAGE},
	{"input_audio", MEDIA_AUDIO}, {"input_video", MEDIA_VIDEO}, {"video_url", MEDIA_VIDEO},
};

bool media_hinted(const char *body, size_t len)
{
	static const char *const words[] = {"\"image", "\"input_image", "\"input_audio",
					    "\"input_video", "\"video_url"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (memmem(body, len, words[i], strlen(words[i])))
			return true;
	return false;
}

/* Of a content; a tool's result has one of its own. */
static unsigned find_in(const json_t *content, int depth)
{
	unsigned found = 0;
	const json_t *part;
	size_t n;

	json_array_foreach(content, n, part) {
		const char *type = json_string_value(json_object_get(part, "type"));

		for (size_t i = 0; type && i < ARRAY_LEN(parts); i++)
			if (strcmp(type, parts[i].type) == 0)
				found |= parts[i].media;
		if (depth == 0)
			found |= find_in(json_object_get(part, "content"), 1);
	}
	return found;
}

unsigned media_find(const char *body, size_t len)
{
	CLEANUP(json_decref) json_t *json = NULL;
	static const char *const lists[] = {"messages", "input"};
	unsigned found = 0;

	if (!media_hinted(body, len))
		return 0;
	json = json_loadb(body, len, JSON_ALLOW_NUL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		found |= find_in(json_object_get(json, lists[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const json_t *message;
		size_t n;

		json_array_foreach(json_object_get(json, lists[i]), n, message)
			found |= find_in(json_object_get(message, "content"), 0);
	}
	return found;
}
