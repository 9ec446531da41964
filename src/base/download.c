/* SPDX-License-Identifier: Apache-2.0 */
#include "base/download.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/part.h"
#include "base/transfer.h"

enum { CHUNK = 1 << 18, REPORT_MS = 200, STALLED_S = 60, REDIRECTS = 10 };

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

static void job_done_p(struct job *j)
{
	transfer_done(&j->t);
	curl_slist_free_all(j->headers);
	part_done(&j->part);
	free(j->shown);
}

static bool is_cancelled(const struct job *j)
{
	return j->d->cancelled != NULL && j->d->cancelled(j->d->arg);
}

static bool fail_cancelled(const struct job *j, struct err *e)
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

static bool check_limit(struct job *j, int64_t bytes, struct err *e)
{
	if (j->d->max_bytes == 0 || bytes <= j->d->max_bytes)
		return true;
	part_remove(&j->part);
	return err_set(e, ERR_TOO_LARGE, "'%s' is larger than %" PRId64 " bytes", j->shown,
		       j->d->max_bytes);
}

/* Better now than when the disk is full. */
static bool check_free(struct job *j, struct err *e)
{
	int64_t missing = j->total - j->part.size;
	int64_t room = 0;

	if (missing <= 0 || !fs_free_bytes(j->part.path, &room, NULL) || room >= missing)
		return true;
	part_remove(&j->part);
	(void)err_set(e, ERR_NO_SPACE,
		      "no space for '%s': it needs %" PRId64 " bytes more, %" PRId64 " are free",
		      j->d->path, missing, room);
	return err_hint(e, "free some space, or choose a folder on another disk");
}

static bool put(struct job *j, const void *data, size_t len, struct err *e)
{
	if (!check_limit(j, j->part.size + (int64_t)len, e))
		return false;
	if (!part_add(&j->part, data, len, e)) {
		part_remove(&j->part); /* a full disk should not stay full of this */
		return err_wrap(e, "downloading '%s'", j->shown);
	}
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
			return fail_cancelled(j, e);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read '%s'", path);
		if (!put(j, chunk, (size_t)n, e))
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
	return check_limit(j, j->total, e) && check_free(j, e) && copy_from(j, fd, path, e);
}

/* --- http: the answer ------------------------------------------------------------------------- */

static const char *header(const struct job *j, const char *name)
{
	struct curl_header *h = NULL;

	if (curl_easy_header(j->t.easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

static int status_of(const struct job *j)
{
	long status = 0;

	(void)curl_easy_getinfo(j->t.easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

/* "bytes 100-199/200" begins where we asked? */
static bool range_fits(const struct job *j)
{
	const char *range = header(j, "Content-Range");
	char *end = NULL;

	if (range == NULL || strncasecmp(range, "bytes ", 6) != 0 ||
	    !isdigit((unsigned char)range[6]))
		return false;
	return strtoll(range + 6, &end, 10) == j->part.size && *end == '-';
}

/* What If-Range may be asked with: a strong ETag, else the date. */
static const char *version_of(const struct job *j)
{
	const char *tag = header(j, "ETag");

	return tag != NULL && tag[0] == '"' ? tag : header(j, "Last-Modified");
}

/* A whole file from its first byte, also when we asked for the rest. */
static bool begin_whole(struct job *j, struct err *e)
{
	return part_restart(&j->part, e) && part_set_version(&j->part, j->d->url, version_of(j), e);
}

/* Once, before the first byte is written. */
static bool begin(struct job *j, struct err *e)
{
	curl_off_t length = -1;

	j->begun = true;
	if (status_of(j) == 206 && !range_fits(j)) {
		part_remove(&j->part);
		return err_set(e, ERR_UNAVAILABLE,
			       "the server of '%s' sent another part than asked", j->shown);
	}
	if (status_of(j) == 200 && !begin_whole(j, e))
		return false;
	(void)curl_easy_getinfo(j->t.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	j->total = length >= 0 ? j->part.size + length : 0;
	return check_limit(j, j->total, e) && check_free(j, e);
}

static bool is_content(int status)
{
	return status == 200 || status == 206;
}

/* Another number than what came ends the transfer. */
static size_t take(char *data, size_t size, size_t count, void *arg)
{
	struct job *j = arg;
	size_t len = size * count;

	if (!is_content(status_of(j)))
		return len; /* an error page */
	if (!j->begun && !begin(j, &j->why))
		return 0;
	return put(j, data, len, &j->why) ? len : 0;
}

/* clang-format off */
static const struct {
	int first, last;
	enum err_kind kind;
	const char *hint;
} statuses[] = {
	{401, 401, ERR_FORBIDDEN,   "the server wants a login"},
	{403, 403, ERR_FORBIDDEN,   "the server does not give this to everyone"},
	{404, 404, ERR_NOT_FOUND,   "check the address"},
	{410, 410, ERR_NOT_FOUND,   "check the address"},
	{408, 408, ERR_UNAVAILABLE, "try again later"},
	{429, 429, ERR_UNAVAILABLE, "the server asks for a pause: try again later"},
	{500, 599, ERR_UNAVAILABLE, "try again later"},
	{100, 999, ERR_SYSTEM,      "check the address"},
};
/* clang-format on */

static bool fail_status(const struct job *j, int status, struct err *e)
{
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(statuses) &&
	       (status < statuses[i].first || status > statuses[i].last))
		i++;
	(void)err_set(e, statuses[i].kind, "download '%s': the server answered %d", j->shown,
		      status);
	return err_hint(e, "%s", statuses[i].hint);
}

static bool fail_transfer(struct job *j, CURLcode code, struct err *e)
{
	CLEANUP(free) char *what = mem_printf("download '%s'", j->shown);

	if (j->why.kind != ERR_NONE) {
		*e = j->why;
		return false;
	}
	(void)transfer_fail(&j->t, code, what, e);
	if (e->kind != ERR_SYSTEM || j->part.size == 0)
		return false;
	e->kind = ERR_UNAVAILABLE; /* the network's fault, not ours */
	return err_hint(e, "try again: it goes on after the %" PRId64 " bytes that are here",
			j->part.size);
}

/* --- http: the question ----------------------------------------------------------------------- */

/* With a hash any part may be tried; without one only a part of the same version, and If-Range lets
 * the server send the whole when it has another by now. */
static bool ask_for_rest(struct job *j, struct err *e)
{
	CLEANUP(free) char *version = part_version(&j->part, j->d->url);
	CLEANUP(free) char *line = mem_printf("If-Range: %s", version ? version : "");
	CLEANUP(free) char *range = mem_printf("%" PRId64 "-", j->part.size);

	if (j->part.size == 0)
		return true;
	if (version == NULL && j->d->sha256 == NULL)
		return part_restart(&j->part, e);
	if (version != NULL)
		j->headers = curl_slist_append(NULL, line);
	j->ranged = true;
	(void)curl_easy_setopt(j->t.easy, CURLOPT_RANGE, range);
	(void)curl_easy_setopt(j->t.easy, CURLOPT_HTTPHEADER, j->headers);
	return true;
}

static void set_options(struct job *j)
{
	CURL *easy = j->t.easy;

	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS);
	/* Without a hash the encryption is all that vouches for the bytes. */
	if (j->d->sha256 == NULL && strncasecmp(j->d->url, "https:", 6) == 0)
		(void)curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "shunt");
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, j);
}

/* 416: the part is as long as the file, or longer: then it is a part of something else. */
static bool after_416(struct job *j, bool *ret_again, struct err *e)
{
	const char *range = header(j, "Content-Range");
	const char *slash = range ? strchr(range, '/') : NULL;

	j->total = j->part.size;
	if (slash != NULL && strtoll(slash + 1, NULL, 10) == j->part.size)
		return true;
	*ret_again = true;
	return part_restart(&j->part, e);
}

static bool exchange(struct job *j, bool *ret_again, struct err *e)
{
	CURLcode code = CURLE_OK;
	int status = 0;

	transfer_init(&j->t, j->d->url);
	set_options(j);
	if (!ask_for_rest(j, e))
		return false;
	if (!transfer_run(&j->t, j->d->cancelled, j->d->arg, &code))
		return fail_cancelled(j, e);
	if (code != CURLE_OK)
		return fail_transfer(j, code, e);
	status = status_of(j);
	if (status == 416 && j->ranged)
		return after_416(j, ret_again, e);
	if (!is_content(status))
		return fail_status(j, status, e);
	return j->begun || begin(j, e); /* an empty file */
}

static bool fetch_http(struct job *j, struct err *e)
{
	bool again = false;

	if (!exchange(j, &again, e))
		return false;
	if (!again)
		return true;
	transfer_done(&j->t);
	curl_slist_free_all(j->headers);
	j->headers = NULL;
	j->ranged = false;
	return exchange(j, &again, e);
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
		ok = fetch_http(j, e);
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
	if (!hash_file(j->part.path, j->d->cancelled, j->d->arg, hex, e))
		return false;
	if (strcasecmp(hex, j->d->sha256) == 0)
		return true;
	part_remove(&j->part);
	(void)err_set(e, ERR_VERIFY, "'%s' has the SHA-256 %s, not %s", j->shown, hex,
		      j->d->sha256);
	return err_hint(e, "what came was removed; if it comes again, the file there is another");
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
	if (!check_hash(d->sha256, e) || !part_open(d->path, &j.part, e))
		return false;
	if (!fetch(&j, e) || !verify(&j, e))
		return false;
	if (!part_publish(&j.part, e))
		return err_wrap(e, "downloading '%s'", j.shown);
	report(&j, true);
	return true;
}
