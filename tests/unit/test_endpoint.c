/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "api/endpoint.h"

static const struct field fields[] = {
	FIELD("gpu_backend", FIELD_TEXT, true, "where to", .form = FORM_BACKEND),
	FIELD("reload", FIELD_TEXT | FIELD_BOOL, false, "", .choices = "auto|now",
	      .fallback = "\"auto\""),
	FIELD("force", FIELD_BOOL, false, ""),
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
	check_refused("PUT", "/models/loaded", ERR_INVALID, "PUT", "GET, HEAD");
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
		   "'reload' must be \"auto\", \"now\", true or false");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"reload\":\"\"}", "'reload' must be");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"reload\":\"aut\"}", "'reload' must be");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"reload\":\"auto|now\"}", "'reload' must be");
	check_body(5, "{\"gpu_backend\":\"quantum\"}", "unknown backend 'quantum'");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"gpu\":1}", "unknown field 'gpu'");
	check_body(5, "{\"gpu_backend\":\"cpu\",\"n_ctx\":1}", "unknown field 'n_ctx'");
	check_body(1, "{\"nctx\":1}", "unknown field 'nctx'");
	check_body(0, "{\"a\":1}", "unknown field 'a'");
}

/* --- fields ------------------------------------------------------------- */

static const struct field values[] = {
	FIELD("text", FIELD_TEXT, false, "", .min = 2, .max = 3),
	FIELD("count", FIELD_INT, false, "", .min = -1, .max = 9, .fallback = "4"),
	FIELD("share", FIELD_NUMBER | FIELD_NULL, false, "", .min = 0, .max = 0.5),
	FIELD("names", FIELD_LIST | FIELD_TEXT, false, "", .form = FORM_ID),
	FIELD("file", FIELD_TEXT, false, "", .form = FORM_PATH),
	FIELD("X-Head", FIELD_TEXT, true, "", .header = true),
	{0},
};

static void check_value(const char *name, const char *json, const char *says)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	struct err e = {0};
	bool ok = field_check(field_find(values, name), "it", value, &e);

	if (ok != (says == NULL) || (says && !strstr(e.msg, says)))
		fail_msg("%s: %s: '%s'", name, json, e.msg);
	json_decref(value);
}

static void a_value_is_within_its_bounds(void **state)
{
	check_value("text", "\"ab\"", NULL);
	check_value("text", "\"äöü\"", NULL);
	check_value("text", "\"a\"", "it must be a string of 2 to 3 characters");
	check_value("text", "\"äöüß\"", "2 to 3 characters");
	check_value("count", "-1", NULL);
	check_value("count", "9", NULL);
	check_value("count", "10", "it must be a whole number from -1 to 9");
	check_value("count", "1.0", "a whole number");
	check_value("share", "0", NULL);
	check_value("share", "null", NULL);
	check_value("share", "0.51", "it must be a number or null from 0 to 0.5");
	check_value("names", "[]", NULL);
	check_value("names", "[\"a\",\"b\"]", NULL);
	check_value("names", "[\"a\",\"/\"]", "'/' is not a model id");
	check_value("names", "\"a\"", "it must be a list, each a string");
	check_value("names", "[1]", "it must be a list");
	check_value("file", "\"/a\"", NULL);
	check_value("file", "\"a\"", "path 'a' is not absolute");
}

static void check_query(const char *name, const char *text, const char *says)
{
	json_t *query = json_object();
	struct err e = {0};
	bool ok = field_take_query(values, name, text, query, &e);

	if (ok != (says == NULL) || (says && (e.kind != ERR_INVALID || !strstr(e.msg, says))))
		fail_msg("?%s=%s: '%s'", name, text, e.msg);
	json_decref(query);
}

static void a_query_has_types_too(void **state)
{
	static const char *const bad[] = {"",  "x",   "1x",  " 1",   "+1",
					  "-", "0x1", "1.0", "true", "99999999999999999999"};
	json_t *query = json_object();
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_query("count", bad[i], "?count=");
	check_query("text", "123", NULL);
	check_query("text", "\xff\xff", "not UTF-8");
	check_query("text", NULL, "bad escape");
	check_query("nothing", "1", "unknown query parameter 'nothing'");
	check_query("X-Head", "1", "unknown query parameter");
	assert_true(field_take_query(values, "count", "7", query, &e));
	assert_int_equal(json_integer_value(json_object_get(query, "count")), 7);
	assert_false(field_take_query(values, "count", "7", query, &e));
	assert_non_null(strstr(e.msg, "twice"));
	json_decref(query);
}

static void what_is_absent_means_its_fallback(void **state)
{
	json_t *query = json_object();
	struct err e = {0};

	assert_true(field_complete(values, "query parameter", query, &e));
	assert_int_equal(json_object_size(query), 1);
	assert_int_equal(json_integer_value(json_object_get(query, "count")), 4);
	json_decref(query);
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
		cmocka_unit_test(a_value_is_within_its_bounds),
		cmocka_unit_test(a_query_has_types_too),
		cmocka_unit_test(what_is_absent_means_its_fallback),
		cmocka_unit_test(what_is_not_a_json_object_is_refused),
		cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
