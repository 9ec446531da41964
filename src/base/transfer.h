/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What http.c and download.c share of libcurl: set up once, pumped so that it can be cancelled. */

#include <curl/curl.h>
#include <stdbool.h>

#include "base/err.h"

struct transfer {
	CURL *easy;
	char text[CURL_ERROR_SIZE]; /* curl's words for the last failure, may be "" */
};

/* Sets libcurl up the first time, from any thread; only http and https; no signals. */
void transfer_init(struct transfer *t, const char *url);
void transfer_done(struct transfer *t);
/* Runs it to its end, asking cancelled (may be NULL) about every 100 ms. False: cancelled. Curl's
 * verdict is in *ret_code. */
bool transfer_run(struct transfer *t, bool (*cancelled)(void *), void *arg, CURLcode *ret_code);
/* http or https to a loopback address, or to "localhost". */
bool transfer_is_local(const char *url);
/* Never through a proxy: for what is on this machine. */
void transfer_direct(struct transfer *t);
/* Says in e what curl's code means: nobody there, certificate, timeout, broken. Never returns true.
 * what: "download 'https://…'". */
bool transfer_fail(const struct transfer *t, CURLcode code, const char *what, struct err *e);
/* The URL as it may be shown: without user, password and query. Caller frees. */
char *transfer_show(const char *url);

static inline void transfer_done_p(struct transfer *t)
{
	transfer_done(t);
}
