/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a stream needs to go on at another worker in the middle of a sentence: the request, and the
 * text that the client has. It reads the worker's events as they pass, makes the request for the
 * rest, and changes the other worker's events so that the client sees one answer: one id, one role,
 * tokens counted once. Bytes in, bytes out; one thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct continuation;

/* NULL: answers to this path don't go on elsewhere. The body is borrowed. */
struct continuation *continuation_new(const char *path, const char *body, size_t len);
void continuation_free(struct continuation *c);
CLEANUP_DEFINE(continuation_free, struct continuation)
/* The client was sent these bytes of a stream. Cheap: they are only kept for most calls. */
void continuation_sent(struct continuation *c, const char *data, size_t len);
/* May the stream change hands here? Between two events, and not after a space: what follows makes
 * other tokens of it. If not, it soon may. */
bool continuation_may_pause(struct continuation *c);
/* The body of the request for the rest. False: it can't safely be asked for, *ret_why says why. */
MUST_CHECK bool continuation_ask(struct continuation *c, struct buf *ret_body,
				 const char **ret_why);
/* An event may hold several tokens, where a character is made of some: then the worker that goes on
 * must count them. The body of the question to /tokenize; false: they are known. */
bool continuation_count(const struct continuation *c, struct buf *ret_body);
/* Its answer; ask again after that. */
void continuation_counted(struct continuation *c, const char *answer, size_t len);
/* Bytes of the answer to that: appends what the client gets instead, which counts as sent. */
void continuation_rewrite(struct continuation *c, const char *data, size_t len, struct buf *ret);
