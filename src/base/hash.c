/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { CHUNK = 1 << 18 };

struct hash {
	EVP_MD_CTX *ctx;
};

/* libcrypto fails here only without memory or without SHA-256: both end us. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

struct hash *hash_new(void)
{
	struct hash *h = mem_alloc(sizeof(*h));

	h->ctx = EVP_MD_CTX_new();
	must(h->ctx != NULL);
	must(EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL));
	return h;
}

void hash_add(struct hash *h, const void *data, size_t len)
{
	must(EVP_DigestUpdate(h->ctx, data, len));
}

void hash_field(struct hash *h, const char *key, const char *value)
{
	assert(strchr(key, '\n') == NULL && strchr(key, '=') == NULL);
	assert(strchr(value, '\n') == NULL);
	hash_add(h, key, strlen(key));
	hash_add(h, "=", 1);
	hash_add(h, value, strlen(value));
	hash_add(h, "\n", 1);
}

void hash_hex(struct hash *h, char ret_hex[static HASH_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	must(EVP_DigestFinal_ex(h->ctx, sum, &len));
	assert(len * 2 + 1 == HASH_HEX_SIZE);
	for (unsigned int i = 0; i < len; i++) {
		ret_hex[2 * i] = digits[sum[i] >> 4];
		ret_hex[2 * i + 1] = digits[sum[i] & 15];
	}
	ret_hex[2 * len] = '\0';
}

void hash_free(struct hash *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

bool hash_file(const char *path, bool (*cancelled)(void *), void *arg,
	       char ret_hex[static HASH_HEX_SIZE], struct err *e)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP(hash_free) struct hash *h = hash_new();
	CLEANUP(free) char *chunk = mem_alloc(CHUNK);
	ssize_t n = 0;

	if (fd < 0)
		return err_sys(e, errno, "open '%s'", path);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while ((n = read(fd, chunk, CHUNK)) != 0) {
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "read '%s'", path);
		if (cancelled != NULL && cancelled(arg))
			return err_set(e, ERR_CANCELLED, "hashing '%s' was cancelled", path);
		if (n > 0)
			hash_add(h, chunk, (size_t)n);
	}
	hash_hex(h, ret_hex);
	return true;
}

bool hash_is_hex(const char *text)
{
	return text != NULL && strlen(text) == HASH_HEX_SIZE - 1 &&
	       strspn(text, "0123456789abcdef") == HASH_HEX_SIZE - 1;
}
