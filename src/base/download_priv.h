/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A running download: download.c owns it, download_http.c fills its part over HTTP. */

#include <stdbool.h>
#include <stdint.h>

#include "base/download.h"
#include "base/part.h"
#include "base/transfer.h"

struct job {
	const struct download *d;
	char *shown; /* the URL without secrets */
	struct part part;
	struct transfer t;
	struct curl_slist *headers;
	struct err why; /* of a failure inside curl's callback */
	int64_t total;  /* 0: unknown */
	int64_t reported_ms;
	bool begun; /* the answer was looked at */
	bool ranged;
};

/* Appends to the part, within max_bytes; a failed write removes it. */
MUST_CHECK bool job_put(struct job *j, const void *data, size_t len, struct err *e);
/* Refuses a file of that many bytes when max_bytes says so; the part is removed. */
MUST_CHECK bool job_check_limit(struct job *j, int64_t bytes, struct err *e);
/* Refuses to begin what the disk has no room for; the part is removed. */
MUST_CHECK bool job_check_free(struct job *j, struct err *e);
/* Says so in e; false. */
bool job_cancelled(const struct job *j, struct err *e);
/* download_http.c */
MUST_CHECK bool job_fetch_http(struct job *j, struct err *e);
