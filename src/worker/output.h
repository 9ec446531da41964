/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a server process prints, stdout and stderr in one pipe, so that the order is kept. Into the
 * model's log file (rotated), the last lines kept for an error, and the facts of its load read.
 * Main thread only. A log that cannot be written never stops the reading: a full pipe would stop
 * the server.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "worker/load_facts.h"

struct output {
	int fd;  /* read end, −1 when closed */
	int log; /* −1: none */
	char *log_path;
	int64_t log_bytes;
	bool log_failed; /* said so once */
	int64_t bytes;   /* ever read */
	struct load_facts facts;
	struct buf line; /* the one that has not ended yet */
	bool line_cut;   /* its beginning is gone: no message */
	struct buf tail; /* the last lines of the log */
};

/* *ret_write is the end for the child; close it after the spawn. */
MUST_CHECK bool output_open(struct output *o, const char *log_path, int *ret_write, struct err *e);
/* Reads what there is, without waiting, at most 1 MiB; closes fd when the other side did. */
void output_read(struct output *o);
/* A line of ours in the log. */
void output_note(struct output *o, const char *text);
/* "" when it never said anything. */
const char *output_tail(const struct output *o);
void output_done(struct output *o);
