/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events. Each is a whole snapshot, so a viewer can join at any moment; its id is
 * "<start of the daemon>-<number of the change>". A client that comes back with the id of what it
 * has (Last-Event-ID) waits for the next change, any other gets a snapshot at once. A task's last
 * event ends with "-end": browsers come back after it, and are told that it was the last (204).
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/clock.h"

#define BLOCK_BYTES 16384
#define PAUSE_MS 100        /* between two snapshots, so that many changes are one */
#define SLICE_MS 500        /* how soon it notices that the client has left */
#define KEEP_ALIVE_MS 15000 /* proxies cut what is silent */
#define TASKS_SHOWN 30

struct stream {
	struct call c;           /* api, conn and fd; the rest is the request's and gone */
	char task[TASK_ID_SIZE]; /* "": everything */
	uint64_t seen;
	struct buf out; /* what is not sent yet */
	char *last;     /* newest data */
	int64_t looked; /* monotonic ms, as sent */
	int64_t sent;
	bool over; /* nothing follows what is in out */
	bool have; /* the client has the state of `seen` */
};

static json_t *snapshot_all(struct stream *s)
{
	struct err ignored = {0};
	json_t *models = models_json(s->c.api, false, &ignored);
	json_t *tasks = tasks_json(s->c.api, NULL, NULL, TASKS_SHOWN, &ignored);
	json_t *j = json_object();

	json_object_set_new(j, "models", models ? models : json_null());
	json_object_set_new(j, "tasks", tasks ? tasks : json_null());
	return j;
}

static json_t *snapshot_task(struct stream *s)
{
	struct err ignored = {0};
	struct db_task t = {0};
	json_t *j = json_object();

	if (!tasks_get(s->c.api->s.tasks, s->task, &t, &ignored)) {
		s->over = true;
		return j;
	}
	s->over = strcmp(t.state, "queued") != 0 && strcmp(t.state, "running") != 0;
	json_object_set_new(j, "task", task_json(s->c.api, &t, true));
	db_task_done(&t);
	return j;
}

static void add_snapshot(struct stream *s)
{
	CLEANUP(json_decref) json_t *j = s->task[0] ? snapshot_task(s) : snapshot_all(s);
	char *data = json_dumps(j, JSON_COMPACT);

	if (s->last && strcmp(data, s->last) == 0) {
		free(data);
		return;
	}
	buf_printf(&s->out,
		   "id: %" PRIx64 "-%" PRIu64 "%s\nevent: %s\ndata: ", (uint64_t)s->c.api->started,
		   s->seen, s->over ? "-end" : "", s->task[0] ? "task" : "snapshot");
	buf_str(&s->out, data);
	buf_str(&s->out, "\n\n");
	free(s->last);
	s->last = data;
	s->sent = clock_ms();
}

/* Waits for a change; true: there is something in out, or the stream is over. */
static bool step(struct stream *s)
{
	uint64_t now;

	if (call_sleep(&s->c, clock_ms() - s->looked < PAUSE_MS ? PAUSE_MS : 0) ||
	    atomic_load(&s->c.api->refusing)) {
		s->over = true;
		return true;
	}
	now = tasks_wait_change(s->c.api->s.tasks, s->seen, s->have ? SLICE_MS : 0);
	if (now != s->seen || !s->have) {
		s->seen = now;
		s->have = true;
		s->looked = clock_ms();
		add_snapshot(s);
	} else if (clock_ms() - s->sent > KEEP_ALIVE_MS) {
		buf_str(&s->out, ": keep-alive\n\n");
		s->sent = clock_ms();
	}
	return s->out.len > 0 || s->over;
}

static ssize_t read_stream(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct stream *s = arg;
	size_t len;

	while (s->out.len == 0 && !s->over && !step(s))
		;
	if (s->out.len == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	len = s->out.len < max ? s->out.len : max;
	memcpy(buf, s->out.data, len);
	buf_drop(&s->out, len);
	return (ssize_t)len;
}

static void free_stream(void *arg)
{
	struct stream *s = arg;

	buf_done(&s->out);
	free(s->last);
	free(s);
}

/* What follows "<start>-" in Last-Event-ID; NULL: none, or of an earlier run of the daemon. */
static const char *last_id(const struct call *c)
{
	const char *id = MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND, "Last-Event-ID");
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "%" PRIx64 "-", (uint64_t)c->api->started);
	return id && strncmp(id, prefix, strlen(prefix)) == 0 ? id + strlen(prefix) : NULL;
}

static struct stream *start(struct call *c, const char *task)
{
	struct stream *s = mem_alloc(sizeof(*s));

	s->c.api = c->api;
	s->c.conn = c->conn;
	s->c.fd = c->fd;
	(void)snprintf(s->task, sizeof(s->task), "%s", task);
	buf_str(&s->out, "retry: 1000\n\n");
	c->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream,
							s, free_stream);
	MHD_add_response_header(c->response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
	MHD_add_response_header(c->response, "X-Accel-Buffering", "no");
	return s;
}

bool events_all(struct call *c, struct err *e)
{
	const char *id = last_id(c);
	struct stream *s = start(c, "");
	char *end = NULL;

	if (id) {
		s->seen = strtoull(id, &end, 10);
		s->have = end != id && !*end;
		s->sent = clock_ms();
	}
	return true;
}

bool events_task(struct call *c, struct err *e)
{
	const char *id = last_id(c);
	struct db_task t = {0};

	if (!task_require(c->match.part, e))
		return false;
	if (!tasks_get(c->api->s.tasks, c->match.part, &t, e))
		return err_hint(e, "GET /tasks lists the tasks");
	db_task_done(&t);
	if (id && strstr(id, "-end")) {
		call_set_text(c, "text/plain", mem_dup(""));
		c->status = MHD_HTTP_NO_CONTENT;
	} else {
		(void)start(c, c->match.part);
	}
	return true;
}
