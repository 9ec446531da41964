/* SPDX-License-Identifier: Apache-2.0 */
/* How Ollama's clients name models, and errors as they expect them: {"error": "message"}, in a
 * stream as a line. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/dialect.h"
#include "gateway/ollama.h"

struct route *ollama_route(struct routes *routes, const char *name)
{
	static const char tag[] = ":latest";
	size_t len = strlen(name), tail = sizeof(tag) - 1;
	struct route *found = routes_find(routes, name);
	CLEANUP(free) char *bare = NULL;

	if (found || len <= tail || strcmp(name + len - tail, tag) != 0)
		return found;
	bare = mem_ndup(name, len - tail);
	return routes_find(routes, bare);
}

static void error(const struct err *e, const char *param, struct buf *ret)
{
	CLEANUP(buf_done) struct buf message = {0};

	buf_str(&message, e->msg);
	if (e->hint[0])
		buf_printf(&message, " (%s)", e->hint);
	buf_str(ret, "{\"error\":");
	dialect_string(ret, message.data);
	buf_str(ret, "}");
}

static void error_line(const struct err *e, struct buf *ret)
{
	error(e, NULL, ret);
	buf_str(ret, "\n");
}

/* A piece of an answer without a letter: an empty line would be no JSON. */
#define LINES(name, nothing)                                                                       \
	const struct dialect dialect_##name = {.error = error,                                     \
					       .error_event = error_line,                          \
					       .sign_of_life = "{" nothing ",\"done\":false}\n",   \
					       .stream_type = "application/x-ndjson",              \
					       .rewrites_errors = true,                            \
					       .whole = ollama_whole,                              \
					       .feed = ollama_feed}

LINES(ollama_chat, "\"message\":{\"role\":\"assistant\",\"content\":\"\"}");
LINES(ollama_generate, "\"response\":\"\"");
