/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "api/guard.h"
#include "base/mem.h"

static const char *const hosts[] = {"gpu.example.org", "box:8080", NULL};
static const char *const origins[] = {"https://chat.example.org", NULL};
static const struct guard open_guard = {.hosts = hosts, .origins = origins};
static const struct guard key_guard = {
	.key = "0123456789abcdef", .hosts = hosts, .origins = origins};

static void check(const struct guard *g, struct guard_facts f, enum err_kind kind, const char *says)
{
	struct err e = {0};
	bool ok;

	if (!f.method)
		f.method = "GET";
	f.host_count += f.host != NULL;
	ok = guard_check(g, &f, &e);
	if (ok != (kind == ERR_NONE) || e.kind != kind || !strstr(e.msg, says))
		fail_msg("host '%s' origin '%s': %s '%s'", f.host ? f.host : "(none)",
			 f.origin ? f.origin : "(none)", err_name(e.kind), e.msg);
	if (!ok)
		assert_string_not_equal(e.hint, "");
}

static void a_host_is_an_address_localhost_or_configured(void **state)
{
	static const char *const good[] = {
		"127.0.0.1",       "127.0.0.1:7717", "192.168.1.7:80",  "[::1]",
		"[::1]:7717",      "localhost",      "LocalHost:7717",  "gpu.example.org",
		"GPU.example.org", "box:8080",       "[fe80::1]:65535", "gpu.example.org:443",
	};
	static const char *const bad[] = {
		"evil.example.org",
		"localhost.evil.org",
		"127.0.0.1.evil.org",
		"::1",
		"[::1",
		"[::1]x",
		"[]",
		"localhost:",
		"localhost:abc",
		"localhost:123456",
		":80",
		"127.0.0.1:80:80",
		"[127.0.0.1]",
		"box:81",
		"localhost ",
		"1.2.3",
		"user@localhost",
		"localhost/",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		check(&open_guard, (struct guard_facts){.host = good[i]}, ERR_NONE, "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check(&open_guard, (struct guard_facts){.host = bad[i]}, ERR_FORBIDDEN, "");
	check(&open_guard, (struct guard_facts){0}, ERR_FORBIDDEN, "no Host");
	check(&open_guard, (struct guard_facts){.host = ""}, ERR_FORBIDDEN, "no Host");
	check(&open_guard, (struct guard_facts){.host = "localhost", .host_count = 1},
	      ERR_FORBIDDEN, "more than one");
}

static void pages_of_others_may_not_call(void **state)
{
	const struct {
		const char *host, *origin, *site;
		bool ok;
	} rows[] = {
		{"localhost:7717", "http://localhost:7717", "same-origin", true},
		{"localhost:7717", "http://localhost:7717", NULL, true},
		{"gpu.example.org", "https://gpu.example.org", "same-origin", true},
		{"localhost:7717", NULL, "none", true},
		{"localhost:7717", NULL, "same-origin", true},
		{"localhost:7717", NULL, NULL, true},
		{"localhost:7717", "https://chat.example.org", "cross-site", true},
		{"localhost:7717", "https://chat.example.org", NULL, true},
		{"localhost:7717", NULL, "cross-site", false},
		{"localhost:7717", NULL, "Cross-Site", false},
		{"localhost:7717", "http://localhost:7717", "cross-site", false},
		{"localhost:7717", "http://localhost:3000", "same-site", false},
		{"localhost:7717", "http://127.0.0.1:7717", NULL, false},
		{"localhost:7717", "https://evil.example.org", NULL, false},
		{"localhost:7717", "http://chat.example.org", NULL, false},
		{"localhost:7717", "https://chat.example.org.evil.org", NULL, false},
		{"localhost:7717", "null", NULL, false},
		{"localhost:7717", "", NULL, false},
		{"localhost:7717", "file://localhost:7717", NULL, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(&open_guard,
		      (struct guard_facts){.host = rows[i].host,
					   .origin = rows[i].origin,
					   .fetch_site = rows[i].site},
		      rows[i].ok ? ERR_NONE : ERR_FORBIDDEN, "");
}

static void a_key_is_asked_for_where_there_is_one(void **state)
{
	const struct {
		const char *authorization, *api_key;
		bool ok;
		const char *says;
	} rows[] = {
		{"Bearer 0123456789abcdef", NULL, true, ""},
		{"bearer 0123456789abcdef", NULL, true, ""},
		{NULL, "0123456789abcdef", true, ""},
		{NULL, NULL, false, "needs an API key"},
		{"Basic 0123456789abcdef", NULL, false, "needs an API key"},
		{"Bearer ", NULL, false, "wrong"},
		{"Bearer 0123456789abcdeF", NULL, false, "wrong"},
		{"Bearer 0123456789abcde", NULL, false, "wrong"},
		{"Bearer 0123456789abcdef0", NULL, false, "wrong"},
		{NULL, "", false, "wrong"},
		{NULL, "x", false, "wrong"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct guard_facts f = {.host = "10.0.0.1",
					.authorization = rows[i].authorization,
					.api_key = rows[i].api_key};

		check(&key_guard, f, rows[i].ok ? ERR_NONE : ERR_UNAUTHORIZED, rows[i].says);
		check(&open_guard, f, ERR_NONE, "");
	}
}

static void a_preflight_needs_an_allowed_origin_but_no_key(void **state)
{
	struct guard_facts f = {.method = "OPTIONS",
				.host = "10.0.0.1",
				.origin = "https://chat.example.org",
				.fetch_site = "cross-site",
				.preflight = "POST"};

	assert_true(guard_is_preflight(&f));
	check(&key_guard, f, ERR_NONE, "");
	f.origin = "https://evil.example.org";
	check(&key_guard, f, ERR_FORBIDDEN, "evil");
	f.origin = "https://chat.example.org";
	f.preflight = NULL;
	assert_false(guard_is_preflight(&f));
	check(&key_guard, f, ERR_UNAUTHORIZED, "");
}

static void a_mutation_with_a_body_says_that_it_is_json(void **state)
{
	const struct {
		const char *method, *type;
		bool has_body, ok;
	} rows[] = {
		{"POST", "application/json", true, true},
		{"POST", "Application/JSON; charset=utf-8", true, true},
		{"PATCH", "application/json", true, true},
		{"POST", NULL, false, true},
		{"POST", "text/plain", false, true},
		{"GET", "text/plain", true, true},
		{"POST", NULL, true, false},
		{"POST", "", true, false},
		{"POST", "text/plain", true, false},
		{"POST", "text/plain; application/json", true, false},
		{"POST", "application/jsonx", true, false},
		{"POST", "application/x-www-form-urlencoded", true, false},
		{"DELETE", "multipart/form-data; boundary=x", true, false},
		{"PATCH", NULL, true, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(&open_guard,
		      (struct guard_facts){.method = rows[i].method,
					   .host = "localhost",
					   .content_type = rows[i].type,
					   .has_body = rows[i].has_body},
		      rows[i].ok ? ERR_NONE : ERR_INVALID, rows[i].ok ? "" : "Content-Type");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_an_address_localhost_or_configured),
		cmocka_unit_test(pages_of_others_may_not_call),
		cmocka_unit_test(a_key_is_asked_for_where_there_is_one),
		cmocka_unit_test(a_preflight_needs_an_allowed_origin_but_no_key),
		cmocka_unit_test(a_mutation_with_a_body_says_that_it_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
