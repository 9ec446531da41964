/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reads hostile bytes front to back, through a window on a file or from memory, and never past the
 * end. Not mmap: a file cut short meanwhile would kill the daemon with SIGBUS. Errors name the file
 * and the byte. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct gguf_reader {
	const char *path; /* for errors; borrowed */
	int fd;           /* −1: all bytes are in the window */
	uint64_t size;
	uint64_t at;           /* the next byte */
	const uint8_t *window; /* bytes from window_at on */
	uint64_t window_at;
	size_t window_len;
	uint8_t *buffer; /* the window's memory when there is a file */
};

void reader_init_file(struct gguf_reader *r, const char *path, int fd, uint64_t size);
void reader_init_memory(struct gguf_reader *r, const void *data, size_t size);
void reader_done(struct gguf_reader *r);

/* `what` says what stands there, for the error: "the length of a key". */
MUST_CHECK bool reader_bytes(struct gguf_reader *r, void *to, size_t count, const char *what,
			     struct err *e);
MUST_CHECK bool reader_u32(struct gguf_reader *r, uint32_t *ret, const char *what, struct err *e);
MUST_CHECK bool reader_u64(struct gguf_reader *r, uint64_t *ret, const char *what, struct err *e);
MUST_CHECK bool reader_skip(struct gguf_reader *r, uint64_t count, const char *what, struct err *e);
/* A string of 64-bit length and bytes. The first size − 1 bytes with a NUL; the rest is skipped. */
MUST_CHECK bool reader_string(struct gguf_reader *r, char *to, size_t size, uint64_t *ret_len,
			      const char *what, struct err *e);

/* ERR_INVALID "'path': byte N: …", returns false. */
bool reader_bad(const struct gguf_reader *r, uint64_t at, struct err *e, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

static inline void reader_done_p(struct gguf_reader *r)
{
	reader_done(r);
}
