/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads over HTTP: ask for the rest of what is here, believe the answer only where it fits. */

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/download_priv.h"
#include "base/mem.h"

enum {
	STALLED_S = 60,
	REDIRECTS = 10,
	FIRST_PAUSE_MS = 500,
	WAIT_STEP_MS = 50,
	MAX_RETRY_AFTER_S = 600,
};

/* --- the answer ------------------------------------------------------------------------------- */

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

/* Caller frees; NULL: none. */
static char *next_page(const struct job *j)
{
	const char *link = header(j, "Link");

	while (link && (link = strchr(link, '<')) != NULL) {
		const char *url = link + 1;
		size_t len = strcspn(url, ">"), rest = strcspn(url + len, ",");

		if (memmem(url + len, rest, "rel=\"next\"", 10))
			return mem_ndup(url, len);
		link = url + len;
	}
	return NULL;
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
	return job_check_limit(j, j->total, e) && job_check_free(j, e);
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
	return job_put(j, data, len, &j->why) ? len : 0;
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

static bool fail_status(struct job *j, int status, struct err *e)
{
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(statuses) &&
	       (status < statuses[i].first || status > statuses[i].last))
		i++;
	j->may_retry = status == 408 || status == 429 || status >= 500;
	(void)err_set(e, statuses[i].kind, "download '%s': the server answered %d", j->shown,
		      status);
	return err_hint(e, "%s", statuses[i].hint);
}

/* The network's fault, or the other side's. */
static bool is_passing(CURLcode code)
{
	static const CURLcode codes[] = {
		CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
		CURLE_COULDNT_CONNECT,      CURLE_OPERATION_TIMEDOUT,
		CURLE_GOT_NOTHING,          CURLE_RECV_ERROR,
		CURLE_SEND_ERROR,           CURLE_PARTIAL_FILE,
		CURLE_SSL_CONNECT_ERROR,    CURLE_HTTP2,
		CURLE_HTTP2_STREAM,
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i] == code)
			return true;
	return false;
}

static bool fail_transfer(struct job *j, CURLcode code, struct err *e)
{
	CLEANUP(free) char *what = mem_printf("download '%s'", j->shown);

	if (j->why.kind != ERR_NONE) {
		*e = j->why;
		return false;
	}
	j->may_retry = is_passing(code);
	(void)transfer_fail(&j->t, code, what, e);
	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return err_hint(e, "it was led to another protocol (from https to http, say), and "
				   "did not follow");
	if (e->kind != ERR_SYSTEM || j->part.size == 0)
		return false;
	e->kind = ERR_UNAVAILABLE; /* the network's fault, not ours */
	return err_hint(e, "try again: it goes on after the %" PRId64 " bytes that are here",
			j->part.size);
}

/* --- the question ----------------------------------------------------------------------------- */

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
		j->headers = curl_slist_append(j->headers, line);
	j->ranged = true;
	(void)curl_easy_setopt(j->t.easy, CURLOPT_RANGE, range);
	return job_catch_up(j, e);
}

/* curl itself sends it to the first host only. */
static void add_token(struct job *j)
{
	CLEANUP(free) char *line = NULL;

	if (j->d->token == NULL)
		return;
	line = mem_printf("Authorization: Bearer %s", j->d->token);
	j->headers = curl_slist_append(j->headers, line);
}

/* No proxy reads what goes to this machine, or could reach it. */
static void avoid_proxy(CURL *easy)
{
	const char *lower = getenv("no_proxy"), *upper = getenv("NO_PROXY");
	const char *more = lower ? lower : upper ? upper : "";
	CLEANUP(free) char *list = mem_printf("localhost,127.0.0.0/8,::1,%s", more);

	(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, list);
}

static void set_options(struct job *j)
{
	CURL *easy = j->t.easy;

	avoid_proxy(easy);
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS);
	/* Who asked for encryption gets it, and without a hash it is all that vouches for the
	 * bytes. */
	if (strncasecmp(j->d->url, "https:", 6) == 0)
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
	add_token(j);
	if (!ask_for_rest(j, e))
		return false;
	(void)curl_easy_setopt(j->t.easy, CURLOPT_HTTPHEADER, j->headers);
	if (!transfer_run(&j->t, j->d->cancelled, j->d->arg, &code))
		return job_cancelled(j, e);
	if (code != CURLE_OK)
		return fail_transfer(j, code, e);
	status = status_of(j);
	if (status == 416 && j->ranged)
		return after_416(j, ret_again, e);
	if (!is_content(status))
		return fail_status(j, status, e);
	if (j->d->ret_next) {
		free(*j->d->ret_next);
		*j->d->ret_next = next_page(j);
	}
	return j->begun || begin(j, e); /* an empty file */
}

/* --- again ------------------------------------------------------------------------------------ */

static void forget_answer(struct job *j)
{
	transfer_done(&j->t);
	curl_slist_free_all(j->headers);
	j->headers = NULL;
	j->ranged = false;
	j->begun = false;
}

/* Once, and once more from the first byte when the part turns out to be of something else. */
static bool try_once(struct job *j, struct err *e)
{
	bool again = false;

	j->may_retry = false;
	if (!exchange(j, &again, e))
		return false;
	if (!again)
		return true;
	forget_answer(j);
	return exchange(j, &again, e);
}

/* Seconds or a date; 0: the server did not say. */
static int64_t retry_after_ms(const struct job *j)
{
	const char *text = header(j, "Retry-After");
	char *end = NULL;
	long long s = text ? strtoll(text, &end, 10) : 0;

	if (text == NULL)
		return 0;
	if (end == text || *end != '\0')
		s = (long long)curl_getdate(text, NULL) - clock_wall_ms() / 1000;
	return s > 0 && s < MAX_RETRY_AFTER_S * 10 ? s * 1000 : s > 0 ? INT64_MAX : 0;
}

/* False: it is not worth waiting, or cancelled. */
static bool wait_for_next(struct job *j, int failed, struct err *e)
{
	int64_t ms = (int64_t)FIRST_PAUSE_MS << (failed - 1), asked = retry_after_ms(j);
	int64_t until;

	if (asked > MAX_RETRY_AFTER_S * 1000LL)
		return false;
	ms = asked > ms ? asked : ms;
	if (j->d->on_wait)
		j->d->on_wait(j->d->arg, e, ms);
	for (until = clock_ms() + ms; clock_ms() < until;) {
		if (j->d->cancelled && j->d->cancelled(j->d->arg)) {
			err_clear(e);
			return job_cancelled(j, e);
		}
		clock_sleep(WAIT_STEP_MS);
	}
	err_clear(e);
	return true;
}

bool job_fetch_http(struct job *j, struct err *e)
{
	int64_t most = j->part.size;

	for (int failed = 1; !try_once(j, e); failed++) {
		if (!j->may_retry)
			return false;
		if (j->part.size > most) { /* it gets on */
			most = j->part.size;
			failed = 1;
		}
		if (failed >= j->d->tries || !wait_for_next(j, failed, e))
			return false;
		err_clear(&j->why);
		forget_answer(j);
	}
	return true;
}
