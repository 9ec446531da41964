/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE_MAX (1024 * 1024)        /* longer answers go out as they come */
#define ANSWER_MAX ((int64_t)64 << 20) /* of one that is read whole all the same */
#define BLOCK_SIZE 16384
#define PIECE_SIZE 4096
#define EVENT_MAX ((size_t)65536) /* of an answer that is put into one event */

/* A page of another origin may read the answer: the API has refused those that are not allowed. */
static enum MHD_Result queue(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
	const char *origin =
		MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN);
	enum MHD_Result queued;

	if (origin) {
		MHD_add_response_header(r, "Access-Control-Allow-Origin", origin);
		MHD_add_response_header(r, MHD_HTTP_HEADER_VARY, "Origin");
	}
	queued = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return queued;
}

enum MHD_Result relay_error(const struct dialect *d, const struct err *e, const char *param,
			    struct MHD_Connection *c)
{
	if (e->kind == ERR_CANCELLED)
		return MHD_NO;
	return queue(c, (unsigned)err_http_status(e->kind), dialect_response(d, e, param));
}

/* --- as it comes -------------------------------------------------------- */

/* Headers are out: an error can only be an event. */
static void say_error(struct exchange *ex, const struct err *e)
{
	ex->state = e->kind == ERR_CANCELLED ? EXCHANGE_OVER : EXCHANGE_LAST_WORDS;
	if (ex->in_event && !ex->dialect->stream_type)
		buf_str(&ex->words, "\n\n");
	ex->dialect->error_event(e, &ex->words);
}

static bool read_event(struct exchange *ex, struct buf *ret, struct err *e)
{
	char piece[1024];
	size_t len = 1;

	while (len > 0) {
		if (!exchange_read(ex, piece, sizeof(piece), &len, e))
			return false;
		if (ret->len + len > EVENT_MAX)
			return err_set(e, ERR_WORKER,
				       "model '%s': the worker answered with status %d", ex->model,
				       ex->head.status);
		buf_add(ret, piece, len);
	}
	return true;
}

/* The worker answered an error, or no events: all of it in one event. */
static bool say_answer(struct exchange *ex, struct err *e)
{
	CLEANUP(buf_done) struct buf answer = {0};

	if (!read_event(ex, &answer, e))
		return false;
	if (ex->dialect->rewrites_errors) {
		dialect_read_error(ex->head.status, answer.data, answer.len, e);
		return false;
	}
	for (size_t i = 0; i < answer.len; i++) /* in JSON only between tokens */
		if (answer.data[i] == '\n' || answer.data[i] == '\r')
			answer.data[i] = ' ';
	buf_str(&ex->words, "data: ");
	buf_add(&ex->words, answer.data, answer.len);
	buf_str(&ex->words, "\n\ndata: [DONE]\n\n");
	ex->state = EXCHANGE_LAST_WORDS;
	return true;
}

static ssize_t wait_on(struct exchange *ex, char *out, size_t size)
{
	struct err e = {0};
	enum route_turn turn = exchange_enter(ex, ex->tick_ms, &e);
	bool ok;

	if (turn == ROUTE_WAITING)
		return snprintf(out, size, "%s", ex->dialect->sign_of_life);
	ok = turn == ROUTE_ADMITTED && exchange_ask(ex, &e);
	if (ok && (ex->head.status != 200 || !http1_is_events(&ex->head)))
		ok = say_answer(ex, &e);
	if (!ok && !ex->moving) {
		ex->in_event = false;
		say_error(ex, &e);
	}
	return 0;
}

/* As exchange_read; 0 bytes only at the end. */
static bool read_lines(struct exchange *ex, char *out, size_t size, size_t *ret_len, struct err *e)
{
	char piece[PIECE_SIZE];
	size_t len = 1;

	while (ex->lines.len == 0 && len > 0) {
		if (!exchange_read(ex, piece, sizeof(piece), &len, e))
			return false;
		if (len > 0 && !ex->dialect->feed(ex->ollama, piece, len, &ex->lines, e))
			return err_wrap(e, "model '%s'", ex->model);
	}
	*ret_len = ex->lines.len < size ? ex->lines.len : size;
	if (*ret_len > 0)
		memcpy(out, ex->lines.data, *ret_len);
	buf_drop(&ex->lines, *ret_len);
	return true;
}

static ssize_t pass_on(struct exchange *ex, char *out, size_t size)
{
	struct err e = {0};
	size_t len;

	if (ex->dialect->feed ? read_lines(ex, out, size, &len, &e)
			      : exchange_read(ex, out, size, &len, &e)) {
		if (len == 0)
			ex->state = EXCHANGE_OVER;
		return len == 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)len;
	}
	if (ex->moving)
		return 0;
	if (!http1_is_events(&ex->head) || e.kind == ERR_CANCELLED)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	say_error(ex, &e);
	return 0;
}

static ssize_t last_words(struct exchange *ex, char *out, size_t size)
{
	size_t left = ex->words.len - ex->said;
	size_t len = left < size ? left : size;

	if (len == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	memcpy(out, ex->words.data + ex->said, len);
	ex->said += len;
	return (ssize_t)len;
}

ssize_t relay_next(void *cls, uint64_t pos, char *out, size_t size)
{
	struct exchange *ex = cls;
	ssize_t n = 0;

	while (n == 0) {
		switch (ex->state) {
		case EXCHANGE_IN_LINE:
			n = wait_on(ex, out, size);
			break;
		case EXCHANGE_ANSWERING:
			n = pass_on(ex, out, size);
			break;
		case EXCHANGE_LAST_WORDS:
			n = last_words(ex, out, size);
			break;
		default:
			return MHD_CONTENT_READER_END_WITH_ERROR;
		}
	}
	return n;
}

static void free_call(void *cls)
{
	exchange_free(cls);
}

static const char *stream_type(const struct exchange *ex)
{
	return ex->dialect->stream_type ? ex->dialect->stream_type : "text/event-stream";
}

static enum MHD_Result queue_stream(struct exchange *ex, struct MHD_Connection *c, unsigned status,
				    const char *type, uint64_t size)
{
	struct MHD_Response *r =
		MHD_create_response_from_callback(size, BLOCK_SIZE, relay_next, ex, free_call);

	if (type[0])
		MHD_add_response_header(r, "Content-Type", type);
	if (size == MHD_SIZE_UNKNOWN)
		MHD_add_response_header(r, "Cache-Control", "no-cache");
	return queue(c, status, r);
}

enum MHD_Result relay_waiting(struct exchange *ex, struct MHD_Connection *c)
{
	return queue_stream(ex, c, 200, stream_type(ex), MHD_SIZE_UNKNOWN);
}

/* --- whole -------------------------------------------------------------- */

static bool read_whole(struct exchange *ex, char **ret, size_t *ret_len, struct err *e)
{
	size_t size = (size_t)ex->head.length, len = 0, n = 1;
	CLEANUP(free) char *data = NULL;

	if (ex->head.length > ANSWER_MAX)
		return err_set(e, ERR_WORKER,
			       "model '%s': the worker's answer has %lld bytes, %lld are read",
			       ex->model, (long long)ex->head.length, (long long)ANSWER_MAX);
	data = mem_grow(NULL, size + 1, 1);

	while (n > 0) { /* the last round, with 0, gives slot and connection back */
		if (!exchange_read(ex, data + len, size + 1 - len, &n, e))
			return false;
		len += n;
	}
	*ret = STEAL(data);
	*ret_len = len;
	return true;
}

enum MHD_Result relay_lines(struct exchange *ex, struct MHD_Connection *c)
{
	size_t len = ex->lines.len;
	struct MHD_Response *r =
		MHD_create_response_from_buffer(len, buf_steal(&ex->lines), MHD_RESPMEM_MUST_FREE);

	MHD_add_response_header(r, "Content-Type", "application/json");
	return queue(c, 200, r);
}

static enum MHD_Result answer_whole(struct exchange *ex, struct MHD_Connection *c)
{
	struct MHD_Response *r;
	struct err e = {0};
	char *data = NULL;
	size_t len = 0;

	if (!read_whole(ex, &data, &len, &e))
		return relay_error(ex->dialect, &e, NULL, c);
	if (ex->head.status >= 400 && ex->dialect->rewrites_errors) {
		dialect_read_error(ex->head.status, data, len, &e);
		free(data);
		return relay_error(ex->dialect, &e, NULL, c);
	}
	if (ex->dialect->whole) {
		bool ok = ex->dialect->whole(ex->ollama, data, len, &ex->lines, &e);

		free(data);
		return ok ? relay_lines(ex, c) : relay_error(ex->dialect, &e, NULL, c);
	}
	r = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
	if (ex->head.content_type[0])
		MHD_add_response_header(r, "Content-Type", ex->head.content_type);
	if (ex->head.retry_after[0])
		MHD_add_response_header(r, "Retry-After", ex->head.retry_after);
	return queue(c, (unsigned)ex->head.status, r);
}

enum MHD_Result relay_answer(struct exchange *ex, struct MHD_Connection *c)
{
	bool known = ex->head.framing == HTTP1_LENGTH;
	enum MHD_Result queued;

	if (!known || (!ex->dialect->whole && ex->head.length > WHOLE_MAX))
		return queue_stream(ex, c, (unsigned)ex->head.status,
				    ex->dialect->feed ? stream_type(ex) : ex->head.content_type,
				    known ? (uint64_t)ex->head.length : MHD_SIZE_UNKNOWN);
	queued = answer_whole(ex, c);
	exchange_free(ex);
	return queued;
}
