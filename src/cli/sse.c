/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sse.h"

#include <string.h>

#include "base/mem.h"

#define MAX_EVENT ((size_t)16 << 20)

/* The "data:" lines of one event joined by newlines; NULL when it has none. Caller frees. */
static char *data_of(const char *event, size_t len)
{
	struct buf data = {0};
	const char *end = event + len;
	bool any = false;

	for (const char *line = event; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)((stop ? stop : end) - line);

		if (n > 0 && line[n - 1] == '\r')
			n--;
		if (n >= 5 && memcmp(line, "data:", 5) == 0) {
			size_t skip = n > 5 && line[5] == ' ' ? 6 : 5;

			if (any)
				buf_str(&data, "\n");
			buf_add(&data, line + skip, n - skip);
			any = true;
		}
		line = stop ? stop + 1 : end;
	}
	return any ? buf_steal(&data) : NULL;
}

/* Length of the first whole event with its blank line; 0: none yet. */
static size_t first_event(const struct buf *b)
{
	for (size_t i = 1; i < b->len; i++) {
		if (b->data[i] != '\n')
			continue;
		if (b->data[i - 1] == '\n' ||
		    (i > 1 && b->data[i - 1] == '\r' && b->data[i - 2] == '\n'))
			return i + 1;
	}
	return 0;
}

bool sse_feed(struct sse *s, const char *bytes, size_t len,
	      bool (*on_data)(void *arg, const char *data), void *arg)
{
	size_t event;

	buf_add(&s->pending, bytes, len);
	while ((event = first_event(&s->pending)) > 0) {
		CLEANUP(free) char *data = data_of(s->pending.data, event);

		buf_drop(&s->pending, event);
		if (data && !on_data(arg, data))
			return false;
	}
	return s->pending.len <= MAX_EVENT;
}

void sse_done(struct sse *s)
{
	buf_done(&s->pending);
}
