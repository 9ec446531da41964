/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the gateway must know of a request's body, found without building a tree: the top-level
 * `model`, `stream`, `id_slot`, `keep_alive` and whether `messages` is a list. Checks the whole
 * text as strictly as the worker's parser (RFC 8259, UTF-8), so that both understand the same; of a
 * key given twice the last one counts, there and here. Pure functions, any thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define SCAN_MODEL_MAX 256 /* longer than any id */

struct scan {
	char model[SCAN_MODEL_MAX]; /* "" unless has_model; a longer one is cut */
	bool has_model;             /* it is there, and a string */
	bool odd_model;             /* it is there, and neither a string nor null */
	bool stream;                /* "stream": true */
	bool has_id_slot;
	bool media;        /* a string names images or sound, or may: media_find tells */
	bool has_messages; /* "messages": a list */
	size_t keep_alive; /* where its value stands in the body; 0: it is not there, or null */
	size_t keep_alive_len;
};

/* ERR_INVALID: not a JSON object, nested too deep, or a NUL in the model's name; says where. */
MUST_CHECK bool scan_request(const char *body, size_t len, struct scan *ret, struct err *e);
/* Overwrites every top-level id_slot with spaces; the body has passed scan_request. */
void scan_blank_id_slot(char *body, size_t len);
/* Length of the UTF-8 character at the front of left > 0 bytes: shortest form, no surrogates, at
 * most U+10FFFF. 0: it is none. */
size_t scan_utf8(const char *text, size_t left);
