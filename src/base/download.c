/* SPDX-License-Identifier: Apache-2.0 */
#include "base/download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/download_priv.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

enum { CHUNK = 1 << 18, REPORT_MS = 200 };

static void job_done_p(struct job *j)
{
	transfer_done(&j->t);
	curl_slist_free_all(j->headers);
	hash_free(j->hash);
	part_done(&j->part);
	free(j->shown);
}

static bool is_cancelled(const struct job *j)
{
	return j->d->cancelled != NULL && j->d->cancelled(j->d->arg);
}

bool job_cancelled(const struct job *j, struct err *e)
{
	return err_set(e, ERR_CANCELLED, "the download of '%s' was cancelled", j->shown);
}

static void report(struct job *j, bool last)
{
	int64_t now_ms = clock_ms();

	if (j->d->on_progress == NULL || (!last && now_ms - j->reported_ms < REPORT_MS))
		return;
	j->reported_ms = now_ms;
	j->d->on_progress(j->d->arg, j->part.size, j->total);
}

/* --- room ------------------------------------------------------------------------------------- */

bool job_check_limit(struct job *j, int64_t bytes, struct err *e)
{
	if (j->d->max_bytes == 0 || bytes <= j->d->max_bytes)
		return true;
	part_remove(&j->part);
	return err_set(e, ERR_TOO_LARGE, "'%s' is larger than %" PRId64 " bytes", j->shown,
		       j->d->max_bytes);
}

/* Better now than when the disk is full. */
bool job_check_free(struct job *j, struct err *e)
{
	int64_t missing = j->total - j->part.size;
	int64_t room = 0;

	if (missing <= 0 || !fs_free_bytes(j->part.path, &room, NULL) || room >= missing)
		return true;
	(void)err_set(e, ERR_NO_SPACE,
		      "no space for '%s': it needs %" PRId64 " bytes more, %" PRId64 " are free",
		      j->d->path, missing, room);
	return err_hint(e, "free some space, or choose a folder on another disk");
}

/* --- hash ------------------------------------------------------------------------------------- */

static void hash_anew(struct job *j)
{
	hash_free(j->hash);
	j->hash = j->d->sha256 ? hash_new() : NULL;
	j->hashed = 0;
}

/* fd is at the first byte that is not hashed. */
static bool hash_rest(struct job *j, int fd, struct err *e)
{
	CLEANUP(free) char *chunk = mem_alloc(CHUNK);

	while (j->hashed < j->part.size) {
		ssize_t n = read(fd, chunk, CHUNK);

		if (is_cancelled(j))
			return job_cancelled(j, e);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read '%s'", j->part.path);
		if (n == 0)
			return err_set(e, ERR_CONFLICT, "'%s' was cut short", j->part.path);
		hash_add(j->hash, chunk, (size_t)n);
		j->hashed += n;
	}
	return true;
}

bool job_catch_up(struct job *j, struct err *e)
{
	CLEANUP(close) int fd = -1;

	if (!j->d->sha256)
		return true;
	if (!j->hash || j->hashed > j->part.size)
		hash_anew(j);
	if (j->hashed == j->part.size)
		return true;
	fd = open(j->part.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || lseek(fd, j->hashed, SEEK_SET) < 0)
		return err_sys(e, errno, "open '%s'", j->part.path);
	return hash_rest(j, fd, e);
}

/* --- content ---------------------------------------------------------------------------------- */

bool job_put(struct job *j, const void *data, size_t len, struct err *e)
{
	if (!job_check_limit(j, j->part.size + (int64_t)len, e))
		return false;
	if (j->part.size == 0)
		hash_anew(j);
	if (j->hash && j->hashed == j->part.size) {
		hash_add(j->hash, data, len);
		j->hashed += (int64_t)len;
	}
	if (!part_add(&j->part, data, len, e))
		return err_wrap(e, "downloading '%s'", j->shown) ||
		       err_hint(e, "free some space, and try again: it goes on after what is here");
	report(j, false);
	return true;
}

/* --- file: ------------------------------------------------------------------------------------ */

static bool copy_from(struct job *j, int fd, const char *path, struct err *e)
{
	CLEANUP(free) char *chunk = mem_alloc(CHUNK);
	ssize_t n = 0;

	while ((n = read(fd, chunk, CHUNK)) != 0) {
		if (is_cancelled(j))
			return job_cancelled(j, e);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read '%s'", path);
		if (!job_put(j, chunk, (size_t)n, e))
			return false;
	}
	return true;
}

static bool fetch_path(struct job *j, const char *path, struct err *e)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st = {0};

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "'%s' does not exist", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is not a regular file", path);
	if (!part_restart(&j->part, e))
		return false;
	j->total = st.st_size;
	return job_check_limit(j, j->total, e) && job_check_free(j, e) && copy_from(j, fd, path, e);
}

/* --- all together ----------------------------------------------------------------------------- */

static bool fetch(struct job *j, struct err *e)
{
	CURLU *u = curl_url();
	CURLUcode bad = curl_url_set(u, CURLUPART_URL, j->d->url, CURLU_NON_SUPPORT_SCHEME);
	char *scheme = NULL;
	char *path = NULL;
	bool ok = false;

	if (bad == CURLUE_OK)
		(void)curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
	if (scheme != NULL && strcmp(scheme, "file") == 0)
		(void)curl_url_get(u, CURLUPART_PATH, &path, CURLU_URLDECODE);
	if (path != NULL)
		ok = fetch_path(j, path, e);
	else if (scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0))
		ok = job_fetch_http(j, e);
	else
		ok = err_set(e, ERR_INVALID, "cannot download '%s': http, https or file it must be",
			     j->shown);
	curl_free(scheme);
	curl_free(path);
	curl_url_cleanup(u);
	return ok;
}

static bool verify(struct job *j, struct err *e)
{
	char hex[HASH_HEX_SIZE];

	if (j->d->sha256 == NULL)
		return true;
	if (!job_catch_up(j, e))
		return false;
	hash_hex(j->hash, hex);
	if (strcasecmp(hex, j->d->sha256) == 0)
		return true;
	part_remove(&j->part);
	(void)err_set(e, ERR_VERIFY, "'%s' has the SHA-256 %s, not %s", j->shown, hex,
		      j->d->sha256);
	return err_hint(e, "what came was removed; if it comes again, the file there is another");
}

bool download_is_private(const char *url)
{
	return strncasecmp(url, "https:", 6) == 0 || transfer_is_local(url);
}

static bool check_token(const struct job *j, struct err *e)
{
	if (j->d->token == NULL || download_is_private(j->d->url))
		return true;
	(void)err_set(e, ERR_INVALID, "download '%s': the token would go there in clear text",
		      j->shown);
	return err_hint(e, "use an https address, or no token");
}

static bool check_hash(const char *sha256, struct err *e)
{
	if (sha256 == NULL || (strlen(sha256) == HASH_HEX_SIZE - 1 &&
			       strspn(sha256, "0123456789abcdefABCDEF") == HASH_HEX_SIZE - 1))
		return true;
	return err_set(e, ERR_INVALID, "'%s' is no SHA-256: that has 64 hex digits", sha256);
}

bool download(const struct download *d, struct err *e)
{
	CLEANUP(job_done) struct job j = {.d = d, .part = {.fd = -1}};
	struct err own = {0};

	if (e == NULL)
		e = &own; /* kinds decide here */
	j.shown = transfer_show(d->url);
	if (!check_token(&j, e) || !check_hash(d->sha256, e) || !part_open(d->path, &j.part, e))
		return false;
	if (!fetch(&j, e) || !verify(&j, e))
		return false;
	if (!part_publish(&j.part, e))
		return err_wrap(e, "downloading '%s'", j.shown);
	report(&j, true);
	return true;
}
