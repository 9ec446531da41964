/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside a continuation: the record (continuation.c), the request made of it
 * (continuation_ask.c), the second worker's events (continuation_rewrite.c). */

#include <stdint.h>

#include "gateway/continuation.h"
#include "gateway/json.h"

struct continuation {
	bool chat; /* else a completion */
	const char *body;
	size_t len;
	struct buf fresh; /* sent, not yet looked at */
	struct buf text;  /* what was said, as the inside of a JSON string */
	int64_t tokens;   /* of it: events with text, or as they were counted */
	bool counted;
	int64_t spent;    /* tokens that the last request for the rest has repeated */
	json_t *identity; /* id, created, model of the first event */
	bool role;        /* was said */
	bool over;        /* why it ended was said */
	const char
		*problem; /* why it can't go on elsewhere; NULL: it can, as far as we have seen */
	struct buf tail;  /* of the second worker's stream: an event that is not whole yet */
};

/* Bytes of the event at the front of a stream, its empty line included; 0: it is not whole. */
size_t continuation_event(const char *data, size_t len);
/* The JSON of an event, NULL: a comment, "[DONE]" or none. */
json_t *continuation_json(const char *event, size_t len);
/* Reads what was sent to its last whole event. */
void continuation_look(struct continuation *c);
/* The text as a JSON string; NULL: it can't be one of ours. */
json_t *continuation_text(const struct continuation *c);
