/* SPDX-License-Identifier: Apache-2.0 */
#include "api/guard.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

static bool in_list(const char *const *list, const char *text)
{
	for (; list && *list; list++)
		if (strcasecmp(*list, text) == 0)
			return true;
	return false;
}

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits >= 1 && digits <= 5 && text[digits] == '\0';
}

/* The name of "name", "name:port", "[v6]", "[v6]:port" without brackets; NULL: none of these.
 * Caller frees. */
static char *host_name(const char *host, bool *ret_v6)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : strchrnul(host, ':');
	const char *rest = end && host[0] == '[' ? end + 1 : end;

	*ret_v6 = host[0] == '[';
	if (!end || (rest[0] && (rest[0] != ':' || !is_port(rest + 1))))
		return NULL;
	host += *ret_v6;
	return end > host ? mem_ndup(host, (size_t)(end - host)) : NULL;
}

static bool is_literal(const char *name, bool v6)
{
	unsigned char address[16];

	return inet_pton(v6 ? AF_INET6 : AF_INET, name, address) == 1;
}

static bool check_host(const struct guard *g, const struct guard_facts *f, struct err *e)
{
	CLEANUP(free) char *name = NULL;
	bool v6 = false;

	if (!f->host || !f->host[0])
		(void)err_set(e, ERR_FORBIDDEN, "the request has no Host header");
	else if (f->host_count > 1)
		(void)err_set(e, ERR_FORBIDDEN, "the request has more than one Host header");
	else if (!(name = host_name(f->host, &v6)))
		(void)err_set(e, ERR_FORBIDDEN, "the Host header '%.100s' is not a host", f->host);
	else if (is_literal(name, v6) || strcasecmp(name, "localhost") == 0 ||
		 in_list(g->hosts, name) || in_list(g->hosts, f->host))
		return true;
	else
		(void)err_set(e, ERR_FORBIDDEN, "the Host '%.100s' is not one of ours", name);
	return err_hint(e, "use an IP address, localhost, or a name in allowed_hosts");
}

bool guard_origin_allowed(const struct guard *g, const char *origin)
{
	return origin && in_list(g->origins, origin);
}

/* "http://localhost:7717" for the Host "localhost:7717": our own pages. */
static bool is_own_origin(const char *origin, const char *host)
{
	const char *after = strstr(origin, "://");

	return after && strncasecmp(origin, "http", 4) == 0 && strcasecmp(after + 3, host) == 0;
}

static bool check_origin(const struct guard *g, const struct guard_facts *f, struct err *e)
{
	bool allowed = guard_origin_allowed(g, f->origin);

	if (f->origin && !allowed && !is_own_origin(f->origin, f->host)) {
		(void)err_set(e, ERR_FORBIDDEN, "the Origin '%.100s' is a page that may not call",
			      f->origin);
		return err_hint(e, "add the origin to allowed_origins");
	}
	if (f->fetch_site && !allowed && strcasecmp(f->fetch_site, "cross-site") == 0) {
		(void)err_set(e, ERR_FORBIDDEN,
			      "a page of another site sent this request (Sec-Fetch-Site)");
		return err_hint(e, "open the address directly, or add the site's origin to "
				   "allowed_origins");
	}
	return true;
}

static bool same_key(const char *given, const char *key)
{
	size_t len = strlen(key);
	bool same_length = strlen(given) == len;

	/* The time must not tell how much of it was right. */
	return CRYPTO_memcmp(same_length ? given : key, key, len) == 0 && same_length;
}

static bool check_key(const struct guard *g, const struct guard_facts *f, struct err *e)
{
	const char *given = f->api_key;

	if (!g->key)
		return true;
	if (f->authorization && strncasecmp(f->authorization, "Bearer ", 7) == 0)
		given = f->authorization + 7 + strspn(f->authorization + 7, " ");
	if (given && same_key(given, g->key))
		return true;
	(void)err_set(e, ERR_UNAUTHORIZED,
		      given ? "the API key is wrong" : "this address needs an API key");
	return err_hint(e, "send 'Authorization: Bearer KEY' or 'X-Api-Key: KEY' with the key in "
			   "api_key_file, or use the Unix socket");
}

static bool is_mutation(const char *method)
{
	return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
	       strcmp(method, "OPTIONS") != 0;
}

static bool is_type(const char *given, const char *type)
{
	size_t len = strcspn(given, "; \t");

	return len == strlen(type) && strncasecmp(given, type, len) == 0;
}

static bool check_type(const struct guard_facts *f, struct err *e)
{
	const char *wanted = f->is_form ? "multipart/form-data" : "application/json";
	const char *type = f->content_type ? f->content_type : "";

	if (!f->has_body || !is_mutation(f->method) || is_type(type, wanted))
		return true;
	if (type[0])
		(void)err_set(e, ERR_INVALID, "the body's Content-Type is '%.100s', not %s", type,
			      wanted);
	else
		(void)err_set(e, ERR_INVALID, "the request has a body but no Content-Type");
	return err_hint(e, "send 'Content-Type: %s'", wanted);
}

bool guard_is_preflight(const struct guard_facts *f)
{
	return strcmp(f->method, "OPTIONS") == 0 && f->origin && f->preflight;
}

bool guard_check(const struct guard *g, const struct guard_facts *f, struct err *e)
{
	if (!check_host(g, f, e) || !check_origin(g, f, e))
		return false;
	return guard_is_preflight(f) || (check_key(g, f, e) && check_type(f, e));
}
