/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/continuation.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/continuation_priv.h"

#define LOOK_BYTES 16384               /* kept unread until there are so many */
#define TEXT_MAX ((size_t)1024 * 1024) /* a longer answer ends where it is */

/* How the engine writes the event of one more token: such an event is not parsed, its text is taken
 * as it stands. Anything else is read as JSON. */
static const struct shape {
	const char *before, *after;
} shapes[] = {
	[false] = {"data: {\"choices\":[{\"text\":\"",
		   "\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}],"},
	[true] = {"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,"
		  "\"delta\":{\"content\":\"",
		  "\"}}],"},
};

struct continuation *continuation_new(const char *path, const char *body, size_t len)
{
	bool chat = strcmp(path, "/v1/chat/completions") == 0;
	struct continuation *c;

	if (!chat && strcmp(path, "/v1/completions") != 0)
		return NULL;
	c = mem_alloc(sizeof(*c));
	c->chat = chat;
	c->body = body;
	c->len = len;
	return c;
}

static void forget(struct continuation *c)
{
	buf_done(&c->fresh);
	buf_done(&c->text);
}

void continuation_free(struct continuation *c)
{
	if (!c)
		return;
	forget(c);
	buf_done(&c->tail);
	json_decref(c->identity);
	free(c);
}

static void give_up(struct continuation *c, const char *why)
{
	if (!c->problem)
		c->problem = why;
}

/* --- one event ---------------------------------------------------------- */

size_t continuation_event(const char *data, size_t len)
{
	const char *end = len > 0 ? memmem(data, len, "\n\n", 2) : NULL;

	return end ? (size_t)(end - data) + 2 : 0;
}

json_t *continuation_json(const char *event, size_t len)
{
	static const char begin[] = "data: {";
	size_t skip = sizeof(begin) - 2;

	if (len < sizeof(begin) || memcmp(event, begin, sizeof(begin) - 1) != 0)
		return NULL;
	return json_loadb(event + skip, len - skip, JSON_ALLOW_NUL, NULL);
}

/* The end of a JSON string, from is behind its opening quote; NULL: there is none. */
static const char *string_end(const char *from, const char *end)
{
	const char *quote = memchr(from, '"', (size_t)(end - from));

	while (quote) {
		const char *at = quote;

		while (at > from && at[-1] == '\\')
			at--;
		if ((quote - at) % 2 == 0)
			return quote;
		quote = memchr(quote + 1, '"', (size_t)(end - quote - 1));
	}
	return NULL;
}

static void add_text(struct continuation *c, const char *text, size_t len)
{
	buf_add(&c->text, text, len);
	c->tokens += len > 0;
	if (c->text.len > TEXT_MAX)
		give_up(c, "it is too long");
}

static bool quick(struct continuation *c, const char *event, size_t len)
{
	const struct shape *s = &shapes[c->chat];
	size_t before = strlen(s->before), after = strlen(s->after);
	const char *end = event + len, *close;

	if (!c->identity || len < before || memcmp(event, s->before, before) != 0)
		return false;
	close = string_end(event + before, end);
	if (!close || (size_t)(end - close) < after || memcmp(close, s->after, after) != 0)
		return false;
	add_text(c, event + before, (size_t)(close - event) - before);
	return true;
}

static void add_string(struct continuation *c, const json_t *string)
{
	CLEANUP(free) char *quoted = json_dumps(string, JSON_ENCODE_ANY);

	if (quoted)
		add_text(c, quoted + 1, strlen(quoted) - 2);
}

static void remember(struct continuation *c, json_t *event)
{
	static const char *const keys[] = {"id", "created", "model", "system_fingerprint"};

	c->identity = json_object();
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *value = json_object_get(event, keys[i]);

		if (value)
			json_object_set(c->identity, keys[i], value);
	}
}

static void read_delta(struct continuation *c, json_t *delta)
{
	const char *key;
	json_t *value;

	json_object_foreach(delta, key, value) {
		if (strcmp(key, "role") == 0)
			c->role = true;
		else if (strcmp(key, "content") == 0 && json_is_string(value))
			add_string(c, value);
		else if (strcmp(key, "content") != 0 || !json_is_null(value))
			give_up(c, "it is more than text"); /* reasoning, a tool's call */
	}
}

static void read_choice(struct continuation *c, json_t *choice)
{
	const json_t *logprobs = json_object_get(choice, "logprobs");
	const json_t *text = json_object_get(choice, "text");

	c->over |= json_is_string(json_object_get(choice, "finish_reason"));
	if (json_integer_value(json_object_get(choice, "index")) != 0)
		give_up(c, "it is one of several");
	if (logprobs && !json_is_null(logprobs))
		give_up(c, "it has log-probabilities");
	if (c->chat)
		read_delta(c, json_object_get(choice, "delta"));
	else if (json_is_string(text))
		add_string(c, text);
}

static void read_json(struct continuation *c, json_t *event)
{
	const json_t *choices = json_object_get(event, "choices");

	if (!json_is_array(choices)) {
		give_up(c, "it is an error");
		return;
	}
	if (!c->identity)
		remember(c, event);
	c->over |= json_array_size(choices) == 0; /* usage comes last */
	for (size_t i = 0; i < json_array_size(choices); i++)
		read_choice(c, json_array_get(choices, i));
}

static void read_event(struct continuation *c, const char *event, size_t len)
{
	static const char done[] = "data: [DONE]";
	json_t *json;

	if (event[0] == ':' || quick(c, event, len))
		return;
	if (strncmp(event, done, sizeof(done) - 1) == 0) {
		c->over = true;
		return;
	}
	json = continuation_json(event, len);
	if (json)
		read_json(c, json);
	else
		give_up(c, "it is not what the engine sends");
	json_decref(json);
}

/* --- the stream --------------------------------------------------------- */

void continuation_look(struct continuation *c)
{
	size_t at = 0, len;

	while (!c->problem &&
	       (len = continuation_event(c->fresh.data + at, c->fresh.len - at)) > 0) {
		read_event(c, c->fresh.data + at, len);
		at += len;
	}
	buf_drop(&c->fresh, at);
	if (c->fresh.len > LOOK_BYTES)
		give_up(c, "an event is too long");
	if (c->problem)
		forget(c);
}

void continuation_sent(struct continuation *c, const char *data, size_t len)
{
	if (c->problem)
		return;
	buf_add(&c->fresh, data, len);
	if (c->fresh.len > LOOK_BYTES)
		continuation_look(c);
}

static bool ends_with(const struct buf *b, const char *end)
{
	size_t len = strlen(end);

	return b->len >= len && memcmp(b->data + b->len - len, end, len) == 0;
}

bool continuation_may_pause(struct continuation *c)
{
	continuation_look(c);
	return c->fresh.len == 0 && !ends_with(&c->text, " ") && !ends_with(&c->text, "\\n") &&
	       !ends_with(&c->text, "\\t");
}

json_t *continuation_text(const struct continuation *c)
{
	CLEANUP(buf_done) struct buf quoted = {0};

	buf_str(&quoted, "\"");
	if (c->text.len > 0)
		buf_add(&quoted, c->text.data, c->text.len);
	buf_str(&quoted, "\"");
	return json_loadb(quoted.data, quoted.len, JSON_DECODE_ANY, NULL);
}
