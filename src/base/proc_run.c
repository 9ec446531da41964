/* SPDX-License-Identifier: Apache-2.0 */
/* Running a program to its end, its output line by line. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"

enum {
	ASK_MS = 100,           /* between two questions whether it is cancelled */
	GRACE_MS = 1000,        /* from SIGTERM to SIGKILL */
	DEATH_MS = 5000,        /* from SIGKILL until we go on without: stuck in a driver */
	LINGER_MS = 1000,       /* for the output of what the program left behind */
	LINE_MAX_BYTES = 65536, /* a longer line comes in pieces */
};

struct run {
	const struct proc_run *spec;
	struct proc proc;
	int lifeline; /* the guard kills all when it is closed */
	int out;      /* −1: closed by all who could write */
	struct buf line;
	bool after_return; /* the last byte was '\r': a '\n' now ends no second line */
	size_t tail_len;
	int64_t heard_ms; /* when it last printed */
	int64_t ended_ms; /* when the program ended, 0: it runs */
};

static void add_to_tail(struct run *r, const char *line, size_t len)
{
	char *tail = r->spec->tail;
	size_t room = r->spec->tail_size;
	size_t drop = 0;

	if (len + 2 > room) { /* its end, alone */
		if (room < 2)
			return;
		line += len + 2 - room;
		len = room - 2;
	}
	if (r->tail_len + len + 2 > room)
		drop = r->tail_len + len + 2 - room;
	while (drop > 0 && drop < r->tail_len && tail[drop - 1] != '\n')
		drop++;
	memmove(tail, tail + drop, r->tail_len - drop);
	r->tail_len -= drop;
	memcpy(tail + r->tail_len, line, len);
	r->tail_len += len;
	tail[r->tail_len++] = '\n';
	tail[r->tail_len] = '\0';
}

static void end_line(struct run *r)
{
	const char *line = r->line.data ? r->line.data : "";

	if (r->spec->tail)
		add_to_tail(r, line, r->line.len);
	if (r->spec->on_line)
		r->spec->on_line(r->spec->arg, line);
	buf_drop(&r->line, r->line.len);
}

static void take_byte(struct run *r, char c)
{
	bool second = c == '\n' && r->after_return;

	r->after_return = c == '\r';
	if (second)
		return;
	if (c == '\n' || (c == '\r' && r->line.len > 0))
		end_line(r);
	else if (c != '\r')
		buf_add(&r->line, c ? &c : " ", 1);
	if (r->line.len >= LINE_MAX_BYTES)
		end_line(r);
}

static void close_out(struct run *r)
{
	close_p(&r->out);
	r->out = -1;
	if (r->line.len > 0)
		end_line(r);
}

static void read_some(struct run *r)
{
	char bytes[16384];
	ssize_t n = read(r->out, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_out(r);
		return;
	}
	r->heard_ms = clock_ms();
	for (ssize_t i = 0; i < n; i++)
		take_byte(r, bytes[i]);
}

/* Output, the program's end, or a while. */
static void wait_a_while(struct run *r)
{
	struct pollfd fds[] = {
		{.fd = r->out, .events = POLLIN},
		{.fd = r->ended_ms ? -1 : r->proc.pidfd, .events = POLLIN},
	};

	if (poll(fds, ARRAY_LEN(fds), ASK_MS) <= 0)
		return;
	if (fds[0].revents)
		read_some(r);
	if (fds[1].revents)
		r->ended_ms = clock_ms();
}

static bool is_cancelled(const struct proc_run *spec)
{
	return spec->cancelled && spec->cancelled(spec->arg);
}

static bool cancel(const struct proc_run *spec, struct err *e)
{
	return err_set(e, ERR_CANCELLED, "'%s' was cancelled", spec->argv[0]);
}

static bool finished(const struct run *r)
{
	return r->ended_ms && (r->out < 0 || clock_ms() - r->ended_ms > LINGER_MS);
}

static bool follow(struct run *r, struct err *e)
{
	const struct proc_run *spec = r->spec;

	while (!finished(r)) {
		wait_a_while(r);
		if (is_cancelled(spec))
			return cancel(spec, e);
		if (spec->quiet_ms > 0 && !r->ended_ms &&
		    clock_ms() - r->heard_ms > spec->quiet_ms) {
			return err_set(e, ERR_SYSTEM,
				       "'%s' printed nothing for %.3g s and was stopped",
				       spec->argv[0], spec->quiet_ms / 1000.0);
		}
	}
	return true;
}

static bool start(struct run *r, struct err *e)
{
	int ends[2], life[2];
	bool ok;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "start '%s': pipe", r->spec->argv[0]);
	CLEANUP(close) int in = ends[1];
	r->out = ends[0];
	if (pipe2(life, O_CLOEXEC) < 0)
		return err_sys(e, errno, "start '%s': pipe", r->spec->argv[0]);
	CLEANUP(close) int guards = life[0];
	r->lifeline = life[1];
	(void)fcntl(r->out, F_SETFL, O_NONBLOCK); /* our end alone */
	const struct proc_spec spec = {
		.argv = r->spec->argv,
		.env = r->spec->env,
		.cwd = r->spec->cwd,
		.in = -1,
		.out = in,
		.err = in,
		.death_signal = SIGTERM, /* what ninja passes on to its compilers */
		.idle = r->spec->idle,
		.guarded = true,
		.lifeline = guards,
	};
	ok = proc_spawn(&spec, &r->proc, e);
	r->heard_ms = clock_ms();
	return ok;
}

static void wait_for_end(const struct run *r, int timeout_ms)
{
	struct pollfd end = {.fd = r->proc.pidfd, .events = POLLIN};

	(void)poll(&end, 1, timeout_ms);
}

/* Asks who is in the session to end, then has the guard kill all descendants. */
static int stop(struct run *r)
{
	if (!r->ended_ms) {
		proc_signal(&r->proc, SIGTERM);
		wait_for_end(r, GRACE_MS);
	}
	(void)close(r->lifeline);
	r->lifeline = -1;
	wait_for_end(r, DEATH_MS);
	return proc_stop(&r->proc, 0);
}

bool proc_run(const struct proc_run *spec, int *ret_status, struct err *e)
{
	struct run r = {.spec = spec, .lifeline = -1, .out = -1};
	bool ok;

	if (spec->tail && spec->tail_size > 0)
		spec->tail[0] = '\0';
	if (is_cancelled(spec))
		return cancel(spec, e);
	ok = start(&r, e);
	if (ok) {
		ok = follow(&r, e);
		*ret_status = stop(&r);
	}
	close_out(&r);
	close_p(&r.lifeline);
	buf_done(&r.line);
	return ok;
}
