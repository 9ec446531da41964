/* SPDX-License-Identifier: Apache-2.0 */
/* A truncated file aborts llama-server, and altered bytes are restored without a word: so each
 * file is looked at before the server sees it. On several cores, because requests wait. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "switch/context_priv.h"

#define CHUNK ((int64_t)8 << 20)
#define PIECE ((size_t)256 << 10)
#define THREADS_MAX 8

struct summing {
	int fd;
	int64_t bytes, chunks;
	atomic_llong next;
	atomic_int error; /* errno */
	char (*sums)[HASH_HEX_SIZE];
};

static bool sum_chunk(struct summing *s, int64_t index, char *buffer)
{
	CLEANUP(hash_free) struct hash *h = hash_new();
	int64_t at = index * CHUNK;
	int64_t end = at + CHUNK < s->bytes ? at + CHUNK : s->bytes;

	while (at < end) {
		size_t want = end - at < (int64_t)PIECE ? (size_t)(end - at) : PIECE;
		ssize_t n = pread(s->fd, buffer, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			atomic_store(&s->error, n < 0 ? errno : ENODATA);
			return false;
		}
		hash_add(h, buffer, (size_t)n);
		at += n;
	}
	hash_hex(h, s->sums[index]);
	return true;
}

static void *sum_chunks(void *arg)
{
	struct summing *s = arg;
	CLEANUP(free) char *buffer = mem_alloc(PIECE);
	int64_t index = atomic_fetch_add(&s->next, 1);

	while (index < s->chunks && atomic_load(&s->error) == 0 && sum_chunk(s, index, buffer))
		index = atomic_fetch_add(&s->next, 1);
	return NULL;
}

/* This thread takes part, so it goes on with however many there are. */
static void sum_all(struct summing *s)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	int count = 0;

	while (count < THREADS_MAX && count + 1 < cores && count + 1 < s->chunks &&
	       pthread_create(&threads[count], NULL, sum_chunks, s) == 0)
		count++;
	(void)sum_chunks(s);
	for (int i = 0; i < count; i++)
		(void)pthread_join(threads[i], NULL);
}

bool file_sum(const char *path, int64_t bytes, char ret_hex[static HASH_HEX_SIZE], struct err *e)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	CLEANUP(hash_free) struct hash *whole = hash_new();
	struct summing s = {.fd = fd, .bytes = bytes, .chunks = (bytes + CHUNK - 1) / CHUNK};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open '%s'", path);
	if (!S_ISREG(st.st_mode) || st.st_size != bytes)
		return err_set(e, ERR_SYSTEM, "'%s' has %lld bytes, not %lld", path,
			       (long long)st.st_size, (long long)bytes);
	s.sums = mem_array((size_t)s.chunks + 1, sizeof(*s.sums));
	sum_all(&s);
	for (int64_t i = 0; i < s.chunks; i++)
		hash_add(whole, s.sums[i], HASH_HEX_SIZE - 1);
	free(s.sums);
	hash_hex(whole, ret_hex);
	if (FAULT("context.read"))
		atomic_store(&s.error, errno);
	return atomic_load(&s.error) == 0 || err_sys(e, atomic_load(&s.error), "read '%s'", path);
}

bool file_check(const char *path, const struct context_file *f, struct err *e)
{
	char sum[HASH_HEX_SIZE];

	if (!file_sum(path, f->bytes, sum, e))
		return false;
	return strcmp(sum, f->sum) == 0 ||
	       err_set(e, ERR_SYSTEM, "'%s' is not what was saved", path);
}
