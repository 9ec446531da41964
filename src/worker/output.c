/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOG_MAX (8 << 20)
#define LINE_MAX_BYTES 8192
#define TAIL_MAX 8192
#define READ_AT_ONCE 16 /* times 64 KiB: one that prints without end must not stop the loop */

static void log_open(struct output *o)
{
	struct stat st;

	o->log = open(o->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	o->log_bytes = o->log >= 0 && fstat(o->log, &st) == 0 ? st.st_size : 0;
}

/* Two workers of a model share the file during a switch: the second to see it full only reopens. */
static void rotate(struct output *o)
{
	CLEANUP(free) char *old = mem_printf("%s.1", o->log_path);
	struct stat ours, named;

	if (fstat(o->log, &ours) == 0 && stat(o->log_path, &named) == 0 &&
	    ours.st_ino == named.st_ino)
		(void)rename(o->log_path, old);
	close_p(&o->log);
	log_open(o);
}

static void log_write(struct output *o, const char *text, size_t len)
{
	if (o->log < 0 || len == 0)
		return;
	if (o->log_bytes + (int64_t)len > LOG_MAX)
		rotate(o);
	if (write(o->log, text, len) == (ssize_t)len) {
		o->log_bytes += (int64_t)len;
		return;
	}
	if (!o->log_failed)
		log_warn("worker log not written file=\"%s\" reason=\"%s\", continuing",
			 o->log_path, strerror(errno));
	o->log_failed = true;
}

static void keep_tail(struct output *o, const char *text)
{
	buf_str(&o->tail, text);
	buf_str(&o->tail, "\n");
	if (o->tail.len > TAIL_MAX) {
		size_t drop = o->tail.len - TAIL_MAX / 2;
		const char *end = memchr(o->tail.data + drop, '\n', o->tail.len - drop);

		buf_drop(&o->tail, end ? (size_t)(end + 1 - o->tail.data) : o->tail.len);
	}
}

/* The line so far is whole, or too long to be kept longer. */
static void line_end(struct output *o, struct buf *log, bool cut)
{
	const char *text = o->line.data ? o->line.data : "";

	if (text[0] && (o->line_cut || !load_facts_line(&o->facts, text))) {
		buf_str(log, text);
		if (!cut)
			buf_str(log, "\n");
		keep_tail(o, text);
	}
	buf_drop(&o->line, o->line.len);
	o->line_cut = cut;
}

static void take(struct output *o, const char *data, size_t len)
{
	CLEANUP(buf_done) struct buf log = {0};

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n')
			line_end(o, &log, false);
		else if (data[i] != '\0' && data[i] != '\r')
			buf_add(&o->line, data + i, 1);
		if (o->line.len >= LINE_MAX_BYTES)
			line_end(o, &log, true);
	}
	log_write(o, log.data, log.len);
}

bool output_open(struct output *o, const char *log_path, int *ret_write, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe for the output of a worker");
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*o = (struct output){.fd = ends[0], .log = -1, .log_path = mem_dup(log_path)};
	*ret_write = ends[1];
	log_open(o);
	if (o->log < 0)
		log_warn("worker log not opened file=\"%s\" reason=\"%s\", continuing", log_path,
			 strerror(errno));
	return true;
}

void output_read(struct output *o)
{
	char data[65536];
	ssize_t n = 0;

	for (int i = 0; o->fd >= 0 && i < READ_AT_ONCE; i++) {
		n = read(o->fd, data, sizeof(data));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			close_p(&o->fd);
			o->fd = -1;
			return;
		}
		o->bytes += n;
		take(o, data, (size_t)n);
	}
}

void output_note(struct output *o, const char *text)
{
	CLEANUP(free) char *line = NULL;
	char when[32];

	clock_iso(clock_wall_ms(), when);
	line = mem_printf("=== %s %s\n", when, text);
	log_write(o, line, strlen(line));
}

const char *output_tail(const struct output *o)
{
	return o->tail.data ? o->tail.data : "";
}

void output_done(struct output *o)
{
	if (o->line.len > 0)
		take(o, "\n", 1);
	close_p(&o->fd);
	close_p(&o->log);
	free(o->log_path);
	buf_done(&o->line);
	buf_done(&o->tail);
	*o = (struct output){.fd = -1, .log = -1};
}
