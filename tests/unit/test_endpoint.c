/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "api/endpoint.h"

static const struct field fields[] = {
	{"gpu_backend", FIELD_TEXT, true},
	{"reload", FIELD_TEXT | FIELD_BOOL, false},
	{"force", FIELD_BOOL, false},
	{0},
};
static const struct endpoint table[] = {
	{.method = "GET", .path = "/models"},
	{.method = "POST", .path = "/models", .options = true},
	{.method = "GET", .path = "/models/loaded"},
	{.method = "GET", .path = "/models/{id}"},
	{.method = "DELETE", .path = "/models/{id}"},
	{.method = "POST", .path = "/models/{id}/switch", .fields = fields},
	{0},
};

static void check_found(const char *method, const char *path, int row, const char *part)
{
	CLEANUP(match_done) struct match m = {0};
	struct err e = {0};

	if (!endpoint_find(table, method, path, &m, &e))
		fail_msg("%s %s: %s", method, path, e.msg);
	assert_ptr_equal(m.row, &table[row]);
	if (part)
		assert_string_equal(m.part, part);
	else
		assert_null(m.part);
}

static void check_refused(const char *method, const char *path, enum err_kind kind,
			  const char *says, const char *allow)
{
	CLEANUP(match_done) struct match m = {0};
	struct err e = {0};

	assert_false(endpoint_find(table, method, path, &m, &e));
	if (e.kind != kind || (!strstr(e.msg, says) && !strstr(e.hint, says)))
		fail_msg("%s %s: %s '%s' (%s)", method, path, err_name(e.kind), e.msg, e.hint);
	if (allow)
		assert_string_equal(m.allow.data, allow);
	else
		assert_null(m.allow.data);
}

static void a_path_finds_its_row_and_its_part(void **state)
{
	check_found("GET", "/models", 0, NULL);
	check_found("HEAD", "/models", 0, NULL);
	check_found("POST", "/models", 1, NULL);
	check_found("GET", "/models/loaded", 2, NULL);
	check_found("GET", "/models/a.Q8_0", 3, "a.Q8_0");
	check_found("GET", "/models/a%2eb%40c", 3, "a.b@c");
	check_found("GET", "/models/a%2Fb", 3, "a/b");
	check_found("GET", "/models/..", 3, "..");
	check_found("GET", "/%6Dodels/x", 3, "x");
	check_found("DELETE", "/models/loaded", 4, "loaded");
	check_found("POST", "/models/a%25b/switch", 5, "a%b");
}

static void an_unknown_path_gets_a_hint(void **state)
{
	check_refused("GET", "/nothing", ERR_NOT_FOUND, "/nothing", NULL);
	check_refused("GET", "/", ERR_NOT_FOUND, "docs/api.md", NULL);
	check_refused("GET", "", ERR_NOT_FOUND, "nothing at", NULL);
	check_refused("GET", "/models/", ERR_NOT_FOUND, "leave the '/'", NULL);
	check_refused("GET", "/models/a/b", ERR_NOT_FOUND, "/models/a/b", NULL);
	check_refused("GET", "//models", ERR_NOT_FOUND, "//models", NULL);
	check_refused("GET", "/models/a/", ERR_NOT_FOUND, "leave the '/'", NULL);
	check_refused("GET", "/models//switch", ERR_NOT_FOUND, "", NULL);
	check_refused("GET", "/modelsx", ERR_NOT_FOUND, "", NULL);
}

static void a_method_that_a_path_has_not_is_told_which_it_has(void **state)
{
	check_refused("PUT", "/models", ERR_INVALID, "PUT", "GET, HEAD, POST");
	check_refused("POST", "/models/a", ERR_INVALID, "DELETE", "GET, HEAD, DELETE");
	check_refused("GET", "/models/a/switch", ERR_INVALID, "POST", "POST");
	check_refused("get", "/models/a/switch", ERR_INVALID, "get", "POST");
}

static void a_bad_escape_is_refused(void **state)
{
	static const char *const bad[] = {"/models/a%00b", "/models/%",  "/models/%4",
					  "/models/%zz",   "/models/%4", "/models/% 1",
					  "/%00"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_refused("GET", bad[i], ERR_INVALID, "escape", NULL);
}

/* --- bodies ------------------------------------------------------------- */

static bool is_option(const char *name)
{
	return strcmp(name, "n_ctx") == 0;
}

static void check_body(int row, const char *text, const char *says)
{
	json_t *body = NULL;
	struct err e = {0};
	bool ok = body_parse(text, strlen(text), &body, &e) &&
		  body_check(&table[row], body, is_option, &e);

	if (ok != (says == NULL) || (says && (e.kind != ERR_INVALID || !strstr(e.msg, says))))
		fail_msg("%s: '%s' (%s)", text, e.msg, e.hint);
	json_decref(body);
}

static void a_body_holds_what_its_row_says(void **state)
{
	check_body(5, "{\"gpu_backend\":\"cpu\"}", NULL);
	check_body(5, "{\"gpu_backend\":\"cpu\",\"reload\":\"auto\",\"force\":true}", NULL);
	check_body(5, "{\"gpu_backend\":\"cpu\",\"reload\":false}", NULL);
	check_body(1, "", NULL);
	check_body(1, "{}", NULL);
	check_body(1, "{\"n_ctx\":[]}", NULL); /* the option table looks at values */
	check_body(5, "", "'gpu_backend' is missing");
	check_body(5, "{\"force\":true}", "'gpu_backend' is missing");
	check_body(5, "{\"gpu_backend\":null}", "'gpu_backend' must be a string");
	check_body(5, "{\"gpu_backend\":1}", "'gpu_backend' must be a string");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"force\":\"yes\"}",
		   "'force' must be true or false");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"force\":1}", "'force' must be true or false");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"reload\":1}",
		   "'reload' must be a string, true or false");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"gpu\":1}", "unknown field 'gpu'");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"n_ctx\":1}", "unknown field 'n_ctx'");
	check_body(1, "{\"nctx\":1}", "unknown field 'nctx'");
	check_body(0, "{\"a\":1}", "unknown field 'a'");
}

static void what_is_not_a_json_object_is_refused(void **state)
{
	static const char *const bad[] = {"{",
					  "[]",
					  "1",
					  "\"x\"",
					  "null",
					  "{\"a\":1,}",
					  "{a:1}",
					  "{\"a\":1}x",
					  "{\"a\":01}",
					  "{\"a\":\"\\u0000\"}",
					  "{\"a\":\"\xff\"}",
					  "{\"a\":1e999}",
					  "{\"a\":99999999999999999999}",
					  " ",
					  "{\"a\":1,\"a\":2}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *body = NULL;
		struct err e = {0};

		if (body_parse(bad[i], strlen(bad[i]), &body, &e))
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_non_null(strstr(e.msg, "JSON"));
	}
}

/* {"a":[[…]]} */
static bool nested(int depth)
{
	CLEANUP(buf_done) struct buf text = {0};
	struct err e = {0};
	json_t *body = NULL;
	bool ok;

	buf_str(&text, "{\"a\":");
	for (int i = 1; i < depth; i++)
		buf_str(&text, "[");
	buf_str(&text, "\"[[{{\\\"[\"");
	for (int i = 1; i < depth; i++)
		buf_str(&text, "]");
	buf_str(&text, "}");
	ok = body_parse(text.data, text.len, &body, &e);
	if (!ok)
		assert_non_null(strstr(e.msg, "deeper than 64"));
	json_decref(body);
	return ok;
}

static void depth_is_bounded(void **state)
{
	assert_true(nested(1));
	assert_true(nested(64));
	assert_false(nested(65));
	assert_false(nested(500000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_finds_its_row_and_its_part),
		cmocka_unit_test(an_unknown_path_gets_a_hint),
		cmocka_unit_test(a_method_that_a_path_has_not_is_told_which_it_has),
		cmocka_unit_test(a_bad_escape_is_refused),
		cmocka_unit_test(a_body_holds_what_its_row_says),
		cmocka_unit_test(what_is_not_a_json_object_is_refused),
		cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
