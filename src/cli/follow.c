/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/follow.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/sse.h"
#include "cli/term.h"

#define BAR 24    /* cells of the bar */
#define AROUND 23 /* columns for the percent, the time and the space between */
#define TICK_MS 500

struct follow {
	const struct cli_options *o;
	bool to_end; /* also what comes after all that was asked for */
	struct sse sse;
	json_t *last;   /* newest snapshot */
	char line[256]; /* last plain line */
	bool drawn;     /* a bar stands on the terminal's line */
	int64_t drew;   /* monotonic ms */
	int64_t began;
};

static bool is_done(const json_t *task)
{
	return json_is_true(json_object_get(task, "done"));
}

static bool is_over(const struct follow *f, const json_t *task)
{
	const char *state = client_text(task, "state");

	return (is_done(task) && !f->to_end) || strcmp(state, "succeeded") == 0 ||
	       strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
}

static void draw_bar(struct follow *f)
{
	double percent = json_number_value(json_object_get(f->last, "percent"));
	int width = term_width(stderr), bar = width < 80 ? BAR / 2 : BAR;
	CLEANUP(free) char *step = term_clean(client_text(f->last, "step"));
	int room = width - bar - AROUND;
	char elapsed[32];

	fprintf(stderr, "\r\033[K");
	term_bar(stderr, percent / 100, bar);
	fprintf(stderr, " %3.0f %%  %.*s  %s%s%s", percent,
		(int)term_fit(step, room > 0 ? room : 0), step, term_tint(stderr, TINT_DIM),
		term_duration(clock_ms() - f->began, elapsed, sizeof(elapsed)), term_reset(stderr));
	(void)fflush(stderr);
	f->drawn = true;
	f->drew = clock_ms();
}

/* In a pipe: a line when the step changes, or its percent passes another ten. */
static void print_line(struct follow *f)
{
	double percent = json_number_value(json_object_get(f->last, "percent"));
	const char *step = client_text(f->last, "step");
	char line[256];

	(void)snprintf(line, sizeof(line), "%3d %%  %.*s", (int)(percent / 10) * 10,
		       (int)strcspn(step, "("), step);
	if (!step[0] || strcmp(line, f->line) == 0)
		return;
	memcpy(f->line, line, sizeof(line));
	fprintf(stderr, "%s\n", line);
}

static void show(struct follow *f)
{
	if (f->o->quiet || f->o->json)
		return;
	if (isatty(STDERR_FILENO))
		draw_bar(f);
	else
		print_line(f);
}

static bool on_event(void *arg, const char *data)
{
	struct follow *f = arg;
	json_t *event = json_loads(data, 0, NULL);
	json_t *task = json_object_get(event, "task");

	if (!task)
		task = event;
	if (json_object_get(task, "state")) {
		json_decref(f->last);
		f->last = json_incref(task);
		show(f);
	}
	json_decref(event);
	return !(f->last && is_over(f, f->last));
}

static bool on_bytes(void *arg, const char *data, size_t len)
{
	struct follow *f = arg;

	return sse_feed(&f->sse, data, len, on_event, f);
}

/* Asked while nothing comes: the time goes on though the step does not. */
static bool tick(void *arg)
{
	struct follow *f = arg;

	if (f->drawn && clock_ms() - f->drew >= TICK_MS)
		draw_bar(f);
	return client_interrupted(NULL);
}

static bool outcome(struct follow *f, const char *id, struct err *e)
{
	const json_t *error = json_object_get(f->last, "error");
	const char *hint = client_text(error, "hint");

	if (is_done(f->last))
		return true;
	(void)err_set(e, err_kind_from_name(client_text(error, "type")), "%s",
		      client_text(error, "message"));
	if (hint[0])
		return err_hint(e, "%s", hint);
	return err_hint(e, "shunt tasks %s --log shows the whole log", id);
}

/* The stream ends with the last snapshot; when it broke before (the daemon went), one more GET
 * tells. */
static bool last_word(struct follow *f, const char *id, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	json_t *task;

	if (f->last && is_over(f, f->last))
		return true;
	if (!client_call(f->o, NULL, NULL, &answer, e, "/tasks/%s", id))
		return false;
	task = json_object_get(answer, "task");
	if (!task || !is_over(f, task))
		return err_set(e, ERR_SYSTEM, "lost sight of task %s", id);
	json_decref(f->last);
	f->last = json_incref(task);
	return true;
}

bool follow_task(const struct cli_options *o, const char *id, bool to_end, json_t **ret,
		 struct err *e)
{
	struct follow f = {.o = o, .to_end = to_end, .began = clock_ms()};
	CLEANUP(free) char *escaped = client_escape(id);
	CLEANUP(free) char *path = mem_printf("/tasks/%s/stream", escaped);
	struct err broken = {0};
	bool ok;

	if (!client_stream(o, NULL, path, on_bytes, tick, &f, &broken) &&
	    client_interrupted(NULL)) {
		(void)err_set(e, ERR_CANCELLED, "task %s goes on without being watched", id);
		(void)err_hint(e, "shunt tasks %s --follow, or shunt cancel %s", id, id);
		ok = false;
	} else {
		ok = last_word(&f, escaped, e) && outcome(&f, id, e);
	}
	if (f.drawn)
		fprintf(stderr, "\r\033[K");
	sse_done(&f.sse);
	if (ok && ret)
		*ret = json_incref(f.last);
	json_decref(f.last);
	return ok;
}
