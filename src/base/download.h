/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A file from a URL (http, https, file), resumed where it broke, verified by SHA-256 before it
 * appears. Works in <path>.part; on a wrong hash the part is removed, on a broken connection it
 * stays for the next try.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct download {
	const char *url;
	const char *path;   /* where it appears, atomically */
	const char *sha256; /* 64 hex digits; NULL: not checked */
	int64_t max_bytes;  /* 0: no limit */
	void (*on_progress)(void *arg, int64_t done, int64_t total); /* total 0: unknown */
	bool (*cancelled)(void *arg);
	void *arg;
};

MUST_CHECK bool download(const struct download *d, struct err *e);
