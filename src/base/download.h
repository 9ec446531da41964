/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A file from a URL (http, https, file), resumed where it broke, verified by SHA-256 before it
 * appears. Works in <path>.part; what is known to be wrong (the hash, more bytes than max_bytes) is
 * removed, after anything else (a broken connection, a cancel, a full disk) it stays for the next
 * try. From https never to http, and the token never to another host, nor over a network in clear
 * text.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct download {
	const char *url;
	const char *path;   /* where it appears, atomically */
	const char *sha256; /* 64 hex digits; NULL: not checked */
	const char *token;  /* "Authorization: Bearer"; NULL: none */
	int64_t max_bytes;  /* 0: no limit */
	char **ret_next;    /* gets the URL of the next page (Link: <…>; rel="next"), NULL: none;
			       caller frees. May be NULL */
	/* How often in a row it may fail without a new byte (broken connections, 429, 5xx), with
	 * pauses of 0.5, 1, 2 … s between, or what Retry-After says. 0: as 1. */
	int tries;
	void (*on_wait)(void *arg, const struct err *why, int64_t ms); /* may be NULL */
	void (*on_progress)(void *arg, int64_t done, int64_t total);   /* total 0: unknown */
	bool (*cancelled)(void *arg);
	void *arg;
};

/* For what a person waits for: about 16 s of silence. */
#define DOWNLOAD_TRIES 6

/* Nobody on the way reads what is sent there: https, or a loopback address. */
bool download_is_private(const char *url);

MUST_CHECK bool download(const struct download *d, struct err *e);
