/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/transfer.h"

enum { MAX_BYTES = 64 << 20 };

struct exchange {
	const struct http_request *req;
	struct http_response *ret;
	struct transfer t;
	struct curl_slist *headers;
	struct buf body;
	size_t max_bytes;
	bool too_large;
	bool enough; /* on_data said so */
};

static void exchange_done_p(struct exchange *x)
{
	transfer_done(&x->t);
	curl_slist_free_all(x->headers);
	buf_done(&x->body);
}

static int status_of(const struct exchange *x)
{
	long status = 0;

	(void)curl_easy_getinfo(x->t.easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

/* Another number than what came ends the exchange. */
static size_t take(char *data, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t len = size * count;

	if (FAULT("http.read"))
		return 0;
	if (x->req->on_data != NULL && status_of(x) < 400) {
		x->enough = !x->req->on_data(x->req->arg, data, len);
		return x->enough ? 0 : len;
	}
	x->too_large = len > x->max_bytes - x->body.len;
	if (x->too_large)
		return 0;
	buf_add(&x->body, data, len);
	return len;
}

static void add_header(struct exchange *x, const char *line)
{
	struct curl_slist *more = curl_slist_append(x->headers, line);

	if (more == NULL)
		abort();
	x->headers = more;
}

static void set_headers(struct exchange *x)
{
	add_header(x, "Expect:"); /* no extra round trip for large bodies */
	/* "Content-Type:" takes curl's own away, which would be a form's. */
	add_header(x, x->req->body ? "Content-Type: application/json" : "Content-Type:");
	for (const char *const *h = x->req->headers; h != NULL && *h != NULL; h++)
		add_header(x, *h);
	(void)curl_easy_setopt(x->t.easy, CURLOPT_HTTPHEADER, x->headers);
}

static void set_method(struct exchange *x)
{
	const struct http_request *req = x->req;
	const char *body = req->body ? req->body : "";

	if (req->method != NULL && strcmp(req->method, "HEAD") == 0) {
		(void)curl_easy_setopt(x->t.easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (req->body != NULL || (req->method != NULL && req->method[0] == 'P')) {
		(void)curl_easy_setopt(x->t.easy, CURLOPT_POSTFIELDSIZE_LARGE,
				       (curl_off_t)strlen(body));
		(void)curl_easy_setopt(x->t.easy, CURLOPT_POSTFIELDS, body);
	}
	if (req->method != NULL)
		(void)curl_easy_setopt(x->t.easy, CURLOPT_CUSTOMREQUEST, req->method);
}

static bool is_local(const char *url)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	CURLU *u = curl_url();
	char *host = NULL;
	bool local = false;

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
		(void)curl_url_get(u, CURLUPART_HOST, &host, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		local = local || (host != NULL && strcmp(host, names[i]) == 0);
	curl_free(host);
	curl_url_cleanup(u);
	return local;
}

/* A path that does not fit the address would be cut by nobody: curl refuses it, in other words. */
static bool set_socket(struct exchange *x, struct err *e)
{
	if (x->req->socket == NULL) {
		if (is_local(x->req->url))
			transfer_direct(&x->t);
		return true;
	}
	transfer_direct(&x->t);
	if (strlen(x->req->socket) >= 108)
		return err_set(e, ERR_INVALID, "the socket's path '%s' is longer than 107 bytes",
			       x->req->socket);
	(void)curl_easy_setopt(x->t.easy, CURLOPT_UNIX_SOCKET_PATH, x->req->socket);
	return true;
}

static bool fail(const struct exchange *x, CURLcode code, struct err *e)
{
	CLEANUP(free) char *url = transfer_show(x->req->url);
	CLEANUP(free)
	char *what =
		x->req->socket ? mem_printf("%s over '%s'", url, x->req->socket) : mem_dup(url);

	if (x->too_large)
		return err_set(e, ERR_TOO_LARGE, "%s: the answer is larger than %zu bytes", what,
			       x->max_bytes);
	if (code == CURLE_OPERATION_TIMEDOUT && x->req->timeout_ms > 0)
		return err_set(e, ERR_SYSTEM, "%s: no answer within %d ms", what,
			       x->req->timeout_ms);
	return transfer_fail(&x->t, code, what, e);
}

bool http_fetch(const struct http_request *req, struct http_response *ret, struct err *e)
{
	CLEANUP(exchange_done) struct exchange x = {.req = req, .ret = ret};
	CURLcode code = CURLE_OK;

	x.max_bytes = req->max_bytes ? req->max_bytes : MAX_BYTES;
	transfer_init(&x.t, req->url);
	if (!set_socket(&x, e))
		return false;
	set_method(&x);
	set_headers(&x);
	(void)curl_easy_setopt(x.t.easy, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
	(void)curl_easy_setopt(x.t.easy, CURLOPT_WRITEFUNCTION, take);
	(void)curl_easy_setopt(x.t.easy, CURLOPT_WRITEDATA, &x);
	if (!transfer_run(&x.t, req->cancelled, req->arg, &code))
		return err_set(e, ERR_CANCELLED, "the request was cancelled");
	if (code != CURLE_OK && !x.enough)
		return fail(&x, code, e);
	ret->status = status_of(&x);
	ret->len = x.body.len;
	ret->body = buf_steal(&x.body);
	return true;
}

void http_response_done(struct http_response *r)
{
	free(r->body);
	*r = (struct http_response){0};
}
