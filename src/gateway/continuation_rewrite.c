/* SPDX-License-Identifier: Apache-2.0 */
/* The second worker's events, as those of the first would have gone on. */

#include <stdlib.h>
#include <string.h>

#include "gateway/continuation_priv.h"

static void add_to(json_t *object, const char *key, int64_t difference)
{
	int64_t value = json_integer_value(json_object_get(object, key)) + difference;

	json_object_set_new(object, key, json_integer(value > 0 ? value : 0));
}

/* What this worker was given of the answer was not the client's question. */
static void count_once(json_t *usage, int64_t spent)
{
	if (!json_is_object(usage))
		return;
	add_to(usage, "completion_tokens", spent);
	add_to(usage, "prompt_tokens", -spent);
}

/* False: nothing is left of it. */
static bool say_role_once(json_t *choice)
{
	json_t *delta = json_object_get(choice, "delta");

	json_object_del(delta, "role");
	if (json_is_null(json_object_get(delta, "content")))
		json_object_del(delta, "content");
	return json_object_size(delta) > 0 ||
	       json_is_string(json_object_get(choice, "finish_reason"));
}

/* False: the client has heard that already. */
static bool change(const struct continuation *c, json_t *event)
{
	json_t *choice = json_array_get(json_object_get(event, "choices"), 0);

	if (c->identity)
		json_object_update_existing(event, c->identity);
	count_once(json_object_get(event, "usage"), c->spent);
	return !c->chat || !c->role || !choice || say_role_once(choice);
}

static void rewrite(struct continuation *c, const char *event, size_t len, struct buf *ret)
{
	CLEANUP(json_decref) json_t *json = continuation_json(event, len);
	CLEANUP(free) char *text = NULL;
	size_t from = ret->len;

	if (json && !change(c, json))
		return;
	if (json)
		text = json_dumps(json, JSON_COMPACT);
	if (text)
		buf_printf(ret, "data: %s\n\n", text);
	else
		buf_add(ret, event, len);
	continuation_sent(c, ret->data + from, ret->len - from);
}

void continuation_rewrite(struct continuation *c, const char *data, size_t len, struct buf *ret)
{
	size_t at = 0, size;

	buf_add(&c->tail, data, len);
	while ((size = continuation_event(c->tail.data + at, c->tail.len - at)) > 0) {
		rewrite(c, c->tail.data + at, size, ret);
		at += size;
	}
	buf_drop(&c->tail, at);
}
