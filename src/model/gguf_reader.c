/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_reader.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define WINDOW_SIZE (256 * 1024)

void reader_init_file(struct gguf_reader *r, const char *path, int fd, uint64_t size)
{
	*r = (struct gguf_reader){
		.path = path, .fd = fd, .size = size, .buffer = mem_alloc(WINDOW_SIZE)};
	r->window = r->buffer;
}

void reader_init_memory(struct gguf_reader *r, const void *data, size_t size)
{
	*r = (struct gguf_reader){
		.path = "memory", .fd = -1, .size = size, .window = data, .window_len = size};
}

void reader_done(struct gguf_reader *r)
{
	free(r->buffer);
	*r = (struct gguf_reader){.fd = -1};
}

bool reader_bad(const struct gguf_reader *r, uint64_t at, struct err *e, const char *fmt, ...)
{
	char text[320];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return err_set(e, ERR_INVALID, "'%s': byte %" PRIu64 ": %s", r->path, at, text);
}

static bool ends_early(const struct gguf_reader *r, uint64_t at, const char *what, struct err *e)
{
	reader_bad(r, at, e, "the file ends inside %s (it has %" PRIu64 " bytes)", what, r->size);
	return err_hint(e, "the file is cut short or damaged: fetch it again");
}

static bool refill(struct gguf_reader *r, const char *what, struct err *e)
{
	ssize_t got;

	if (r->fd < 0)
		return ends_early(r, r->at, what, e);
	do
		got = pread(r->fd, r->buffer, WINDOW_SIZE, (off_t)r->at);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(e, errno, "read '%s' at byte %" PRIu64, r->path, r->at);
	if (got == 0)
		return ends_early(r, r->at, what, e);
	r->window_at = r->at;
	r->window_len = (size_t)got;
	return true;
}

static bool in_window(const struct gguf_reader *r)
{
	return r->at >= r->window_at && r->at - r->window_at < r->window_len;
}

bool reader_bytes(struct gguf_reader *r, void *to, size_t count, const char *what, struct err *e)
{
	uint8_t *out = to;

	if (count > r->size - r->at)
		return ends_early(r, r->at, what, e);
	while (count > 0) {
		size_t from, n;

		if (!in_window(r) && !refill(r, what, e))
			return false;
		from = (size_t)(r->at - r->window_at);
		n = r->window_len - from < count ? r->window_len - from : count;
		memcpy(out, r->window + from, n);
		out += n;
		r->at += n;
		count -= n;
	}
	return true;
}

bool reader_u32(struct gguf_reader *r, uint32_t *ret, const char *what, struct err *e)
{
	uint32_t raw;

	if (!reader_bytes(r, &raw, sizeof(raw), what, e))
		return false;
	*ret = le32toh(raw);
	return true;
}

bool reader_u64(struct gguf_reader *r, uint64_t *ret, const char *what, struct err *e)
{
	uint64_t raw;

	if (!reader_bytes(r, &raw, sizeof(raw), what, e))
		return false;
	*ret = le64toh(raw);
	return true;
}

bool reader_skip(struct gguf_reader *r, uint64_t count, const char *what, struct err *e)
{
	if (count > r->size - r->at)
		return ends_early(r, r->at, what, e);
	r->at += count;
	return true;
}

bool reader_string(struct gguf_reader *r, char *to, size_t size, uint64_t *ret_len,
		   const char *what, struct err *e)
{
	uint64_t at = r->at, len;
	size_t kept;

	if (!reader_u64(r, &len, what, e))
		return false;
	if (len > r->size - r->at) {
		reader_bad(r, at, e, "%s has a length of %" PRIu64 ", past the end of the file",
			   what, len);
		return err_hint(e, "the file is cut short or damaged: fetch it again");
	}
	kept = len < size - 1 ? (size_t)len : size - 1;
	if (!reader_bytes(r, to, kept, what, e) || !reader_skip(r, len - kept, what, e))
		return false;
	to[kept] = '\0';
	*ret_len = len;
	return true;
}
