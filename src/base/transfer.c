/* SPDX-License-Identifier: Apache-2.0 */
#include "base/transfer.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"

enum { POLL_MS = 100, CONNECT_MS = 20 * 1000 };

static void set_up(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort(); /* no memory, or a TLS library without random numbers */
}

/* The curl program reads these itself; the library does not. */
static void set_certificates(CURL *easy)
{
	static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *file = getenv(names[i]);

		if (file != NULL && file[0] != '\0') {
			(void)curl_easy_setopt(easy, CURLOPT_CAINFO, file);
			return;
		}
	}
}

void transfer_init(struct transfer *t, const char *url)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, set_up);
	*t = (struct transfer){.easy = curl_easy_init()};
	if (t->easy == NULL)
		abort();
	(void)curl_easy_setopt(t->easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->text);
	(void)curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(t->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	set_certificates(t->easy);
}

void transfer_done(struct transfer *t)
{
	curl_easy_cleanup(t->easy);
	t->easy = NULL;
}

void transfer_direct(struct transfer *t)
{
	(void)curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
}

static bool is_loopback(const char *host)
{
	struct in_addr four;

	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       (inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127);
}

bool transfer_is_local(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL;
	bool local = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		     curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && is_loopback(host);

	curl_free(host);
	curl_url_cleanup(u);
	return local;
}

/* The verdict once nothing runs any more. */
static CURLcode verdict(CURLM *multi)
{
	CURLcode code = CURLE_OK;
	const CURLMsg *m = NULL;
	int left = 0;

	while ((m = curl_multi_info_read(multi, &left)) != NULL) {
		if (m->msg == CURLMSG_DONE)
			code = m->data.result;
	}
	return code;
}

/* The multi interface: curl_easy_perform() looks up only once a second while nothing arrives. */
bool transfer_run(struct transfer *t, bool (*cancelled)(void *), void *arg, CURLcode *ret_code)
{
	CURLM *multi = curl_multi_init();
	int64_t asked_ms = clock_ms();
	bool stop = false;
	int running = 1;

	if (multi == NULL || curl_multi_add_handle(multi, t->easy) != CURLM_OK)
		abort();
	while (!stop && curl_multi_perform(multi, &running) == CURLM_OK && running > 0) {
		(void)curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
		if (cancelled == NULL || clock_ms() - asked_ms < POLL_MS)
			continue;
		asked_ms = clock_ms();
		stop = cancelled(arg);
	}
	if (!stop)
		*ret_code = running > 0 ? CURLE_OUT_OF_MEMORY : verdict(multi);
	(void)curl_multi_remove_handle(multi, t->easy);
	(void)curl_multi_cleanup(multi);
	return !stop;
}

static bool was_connected(const struct transfer *t)
{
	curl_off_t us = 0;

	return curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &us) == CURLE_OK && us > 0;
}

static enum err_kind kind_of(const struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return ERR_UNREACHABLE;
	case CURLE_OPERATION_TIMEDOUT:
		return was_connected(t) ? ERR_SYSTEM : ERR_UNREACHABLE;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		return ERR_INVALID;
	default:
		return ERR_SYSTEM;
	}
}

bool transfer_fail(const struct transfer *t, CURLcode code, const char *what, struct err *e)
{
	const char *text = t->text[0] != '\0' ? t->text : curl_easy_strerror(code);
	char cause[128];
	long errnum = 0;

	if (code == CURLE_COULDNT_CONNECT)
		(void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &errnum);
	if (errnum != 0)
		text = strerror_r((int)errnum, cause, sizeof(cause));
	(void)err_set(e, kind_of(t, code), "%s: %s", what, text);
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return err_hint(e, "behind an inspecting proxy, point SSL_CERT_FILE to a file with "
				   "its certificate");
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_hint(e, "check the network and the name; a proxy goes in https_proxy");
	default:
		return false;
	}
}

static bool show(CURLU *u, const char *url, char **ret_text)
{
	return curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
	       curl_url_set(u, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
	       curl_url_set(u, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK &&
	       curl_url_set(u, CURLUPART_QUERY, NULL, 0) == CURLUE_OK &&
	       curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
	       curl_url_get(u, CURLUPART_URL, ret_text, 0) == CURLUE_OK;
}

char *transfer_show(const char *url)
{
	CURLU *u = curl_url();
	char *text = NULL;
	char *copy = NULL;

	if (u != NULL && show(u, url, &text))
		copy = mem_dup(text);
	else
		copy = mem_dup(strpbrk(url, "@?") ? "an unreadable URL" : url);
	curl_free(text);
	curl_url_cleanup(u);
	return copy;
}
