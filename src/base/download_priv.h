/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A running download: download.c owns it, download_http.c fills its part over HTTP. */

#include <stdbool.h>
#include <stdint.h>

#include "base/download.h"
#include "base/hash.h"
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
	struct hash *hash; /* of the first `hashed` bytes of the part; NULL: none wanted */
	int64_t hashed;
	bool begun; /* the answer was looked at */
	bool ranged;
	bool may_retry; /* what failed may work the next time */
};

/* Appends to the part, within max_bytes. */
MUST_CHECK bool job_put(struct job *j, const void *data, size_t len, struct err *e);
/* Refuses a file of that many bytes when max_bytes says so; the part is removed. */
MUST_CHECK bool job_check_limit(struct job *j, int64_t bytes, struct err *e);
/* Refuses to begin what the disk has no room for. */
MUST_CHECK bool job_check_free(struct job *j, struct err *e);
/* Hashes what is in the part and not hashed yet: of an earlier try. */
MUST_CHECK bool job_catch_up(struct job *j, struct err *e);
/* Says so in e; false. */
bool job_cancelled(const struct job *j, struct err *e);
/* download_http.c */
MUST_CHECK bool job_fetch_http(struct job *j, struct err *e);
