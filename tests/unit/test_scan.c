/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <jansson.h>

#include "base/mem.h"
#include "gateway/scan.h"

static bool scan(const char *body, struct scan *s, struct err *e)
{
	return scan_request(body, strlen(body), s, e);
}

static void the_top_level_model_is_found(void **state)
{
	static const struct {
		const char *body, *model;
	} table[] = {
		{"{\"model\":\"tiny\"}", "tiny"},
		{" \r\n\t{ \"model\" : \"tiny\" } \n", "tiny"},
		{"{\"messages\":[{\"model\":\"no\",\"content\":\"}{\"}],\"model\":\"tiny\"}",
		 "tiny"},
		{"{\"model\":\"tiny\",\"metadata\":{\"model\":\"no\"}}", "tiny"},
		{"{\"a\":\"\\\"model\\\":\\\"no\\\"\",\"model\":\"tiny\"}", "tiny"},
		{"{\"a\\\\\":1,\"model\":\"tiny\"}", "tiny"},
		{"{\"mod\\u0065l\":\"t\\u0069ny\"}", "tiny"},
		{"{\"model\":\"first\",\"model\":\"last\"}", "last"},
		{"{\"model\":\"no\",\"mod\\u0065l\":\"tiny\"}", "tiny"},
		{"{\"model \":\"no\",\"Model\":\"no\",\"models\":\"no\",\"model\":\"tiny\"}",
		 "tiny"},
		{"{\"modelmodelmodelmodelmodel\":\"no\",\"model\":\"tiny\"}", "tiny"},
		{"{\"model\":\"a\\/b\\n\\u00e9\\ud83d\\ude00\"}", "a/b\n\xc3\xa9\xf0\x9f\x98\x80"},
		{"{\"model\":\"\xc3\xa9\"}", "\xc3\xa9"},
		{"{\"x\":[1,-0.5e+3,[],{},[{}],true,false,null,\"\"],\"model\":\"tiny\"}", "tiny"},
		{"{\"model\":5,\"model\":\"tiny\"}", "tiny"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		struct scan s;

		assert_true(scan(table[i].body, &s, &e));
		assert_true(s.has_model);
		assert_string_equal(s.model, table[i].model);
	}
}

static void a_body_without_a_model_string_has_none(void **state)
{
	static const char *const table[] = {
		"{}",
		"{\"messages\":[{\"model\":\"no\"}]}",
		"{\"model\":null}",
		"{\"model\":{\"model\":\"no\"}}",
		"{\"model\":[\"no\"]}",
		"{\"model\":\"no\",\"model\":7}",
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		struct scan s;

		assert_true(scan(table[i], &s, &e));
		assert_false(s.has_model);
		assert_string_equal(s.model, "");
	}
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *body, *message;
	} table[] = {
		{"", "no object at byte 0"},
		{"[]", "no object at byte 0"},
		{"\"model\"", "no object at byte 0"},
		{"{", "a missing '\"' at byte 1"},
		{"{\"model\"}", "a missing ':' at byte 8"},
		{"{\"model\":}", "something that is no value at byte 9"},
		{"{\"model\":", "an end that comes too early at byte 9"},
		{"{\"model\":\"x\"", "a missing ',' or '}' at byte 12"},
		{"{\"model\":\"x\",}", "a missing '\"' at byte 13"},
		{"{\"model\":\"x\"}}", "something after the object at byte 13"},
		{"{\"model\":\"x\"}{", "something after the object at byte 13"},
		{"{'model':1}", "a missing '\"' at byte 1"},
		{"{\"a\":[1,]}", "something that is no value at byte 8"},
		{"{\"a\":[1 2]}", "a missing ',' or ']' at byte 8"},
		{"{\"a\":{\"b\":1]}", "a missing ',' or '}' at byte 11"},
		{"{\"a\":01}", "a missing ',' or '}' at byte 6"},
		{"{\"a\":-}", "a number without digits at byte 6"},
		{"{\"a\":1.}", "a number without digits at byte 7"},
		{"{\"a\":nul}", "something that is no value at byte 5"},
		{"{\"a\":NaN}", "something that is no value at byte 5"},
		{"{\"a\":\"\n\"}", "a control character in a string at byte 6"},
		{"{\"a\":\"\\x\"}", "an unknown escape at byte 7"},
		{"{\"a\":\"\\u12g4\"}",
		 "a \\u escape with a character that is no hex digit at byte 11"},
		{"{\"a\":\"\\ud800x\"}", "half a surrogate pair at byte 12"},
		{"{\"a\":\"\\udc00\"}", "half a surrogate pair at byte 12"},
		{"{\"a\":\"\xff\"}", "bytes that are not UTF-8 at byte 6"},
		{"{\"a\":\"\xc0\x80\"}", "bytes that are not UTF-8 at byte 6"},
		{"{\"a\":\"\xed\xa0\x80\"}", "bytes that are not UTF-8 at byte 6"},
		{"{\"a\":\"\xe2\x82", "bytes that are not UTF-8 at byte 6"},
		{"{\"a\":\"b", "a string that doesn't end at byte 7"},
		{"{\"a\":\"b\\", "a string that doesn't end at byte 8"},
		{"{\"model\":\"tiny\\u0000x\"}", "a NUL in the model's name at byte 22"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		struct scan s;
		char expected[200];

		(void)snprintf(expected, sizeof(expected), "the body is not a JSON object: %s",
			       table[i].message);
		assert_false(scan(table[i].body, &s, &e));
		assert_int_equal(e.kind, ERR_INVALID);
		assert_string_equal(e.msg, expected);
	}
}

static void nesting_is_bounded(void **state)
{
	char body[2048] = "{\"a\":";
	size_t at = strlen(body);
	struct err e = {0};
	struct scan s;

	memset(body + at, '[', 256);
	memset(body + at + 256, ']', 256);
	memcpy(body + at + 512, "}", 2);
	assert_true(scan(body, &s, &e));
	memset(body + at, '[', 1024);
	assert_false(scan_request(body, at + 1024, &s, &e));
	assert_string_equal(e.msg,
			    "the body is not a JSON object: nesting deeper than 256 at byte 262");
}

static void a_long_model_is_cut_and_a_long_key_is_not_taken_for_model(void **state)
{
	char body[2048];
	struct err e = {0};
	struct scan s;

	(void)snprintf(body, sizeof(body), "{\"model\":\"%0600d\"}", 0);
	assert_true(scan(body, &s, &e));
	assert_int_equal(strlen(s.model), SCAN_MODEL_MAX - 1);
}

static void stream_is_the_top_level_true(void **state)
{
	struct err e = {0};
	struct scan s;

	assert_true(scan("{\"stream\":true}", &s, &e) && s.stream);
	assert_true(scan("{\"stream\":false}", &s, &e) && !s.stream);
	assert_true(scan("{\"stream\":\"true\"}", &s, &e) && !s.stream);
	assert_true(scan("{\"a\":{\"stream\":true}}", &s, &e) && !s.stream);
	assert_true(scan("{\"stream\":true,\"stream\":false}", &s, &e) && !s.stream);
}

static void id_slot_is_blanked_wherever_it_stands(void **state)
{
	static const struct {
		const char *body, *rest; /* rest: without spaces */
	} table[] = {
		{"{\"id_slot\":1}", "{}"},
		{"{\"id_slot\":1,\"a\":2}", "{\"a\":2}"},
		{"{\"a\":2,\"id_slot\":1}", "{\"a\":2}"},
		{"{\"a\":2,\"id_slot\":[1,{\"x\":\"}\"}],\"b\":3}", "{\"a\":2,\"b\":3}"},
		{"{\"a\":2,\"id_slot\":1,\"id_slot\":2}", "{\"a\":2}"},
		{"{\"id_slot\":1,\"id_slot\":2,\"id_slot\":3}", "{}"},
		{"{\"a\":1,\"id_slot\":1,\"b\":2,\"id_\\u0073lot\":2}", "{\"a\":1,\"b\":2}"},
		{"{\"a\":{\"id_slot\":1}}", "{\"a\":{\"id_slot\":1}}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char *copy = strdup(table[i].body);
		char rest[200];
		size_t len = 0;
		struct err e = {0};
		struct scan s;

		assert_true(scan(copy, &s, &e));
		scan_blank_id_slot(copy, strlen(copy));
		for (const char *c = copy; *c; c++)
			if (*c != ' ')
				rest[len++] = *c;
		rest[len] = '\0';
		assert_string_equal(rest, table[i].rest);
		assert_true(scan(copy, &s, &e));
		assert_false(s.has_id_slot);
		free(copy);
	}
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

/* Bytes changed, doubled and dropped at random: both parsers say yes or no together, and mean the
 * same model. */
static void it_agrees_with_jansson_on_mutated_bodies(void **state)
{
	static const char seed_body[] =
		"{\"messages\":[{\"role\":\"user\",\"content\":\"a\\u00e9\\n\\\"{\"}],\"x\":-1.5e3,"
		"\"model\":\"tiny\",\"stream\":true,\"model\":\"t\\u0069\",\"n\":[true,null,{}]}";
	static const char spice[] = "{}[]\",:\\u0a1e.-+ \ntfn\xc3\xa9\x01";
	unsigned seed = 7;
	int valid = 0;

	for (int round = 0; round < 40000; round++) {
		char body[sizeof(seed_body) + 8];
		size_t len = sizeof(seed_body) - 1;
		struct err e = {0};
		struct scan s = {0};
		json_error_t why = {0};
		json_t *tree, *model;
		bool ok;

		memcpy(body, seed_body, len);
		for (unsigned n = 1 + next_random(&seed) % 3; n > 0; n--) {
			size_t at = next_random(&seed) % len;

			if (next_random(&seed) % 2)
				body[at] = spice[next_random(&seed) % (sizeof(spice) - 1)];
			else
				memmove(body + at, body + at + 1, --len - at);
		}
		ok = scan_request(body, len, &s, &e);
		tree = json_loadb(body, len, JSON_ALLOW_NUL, &why);
		if (ok && !tree) { /* the one thing that JSON allows and jansson refuses */
			assert_int_equal(json_error_code(&why), json_error_numeric_overflow);
			continue;
		}
		assert_true(ok == json_is_object(tree) || strstr(e.msg, "NUL"));
		model = json_object_get(tree, "model");
		if (ok && json_is_string(model)) {
			valid++;
			assert_string_equal(s.model, json_string_value(model));
		} else if (ok) {
			assert_false(s.has_model);
		}
		json_decref(tree);
	}
	assert_true(valid > 1000);
}

static void messages_and_keep_alive_are_seen(void **state)
{
	static const struct {
		const char *body, *keep_alive;
		bool messages, odd_model;
	} table[] = {
		{"{}", "", false, false},
		{"{\"messages\":[],\"keep_alive\":\"5m\"}", "\"5m\"", true, false},
		{"{\"messages\":{},\"keep_alive\": -1 ,\"model\":3}", "-1", false, true},
		{"{\"messages\":[],\"messages\":1,\"keep_alive\":null}", "", false, false},
		{"{\"x\":{\"messages\":[],\"keep_alive\":1},\"model\":null}", "", false, false},
		{"{\"keep_alive\":1,\"keep_alive\":[2]}", "[2]", false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		struct scan s;

		assert_true(scan(table[i].body, &s, &e));
		assert_int_equal(s.has_messages, table[i].messages);
		assert_int_equal(s.odd_model, table[i].odd_model);
		assert_int_equal(s.keep_alive != 0, table[i].keep_alive[0] != '\0');
		if (s.keep_alive) {
			assert_int_equal(s.keep_alive_len, strlen(table[i].keep_alive));
			assert_memory_equal(table[i].body + s.keep_alive, table[i].keep_alive,
					    s.keep_alive_len);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_top_level_model_is_found),
		cmocka_unit_test(a_body_without_a_model_string_has_none),
		cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_long_model_is_cut_and_a_long_key_is_not_taken_for_model),
		cmocka_unit_test(stream_is_the_top_level_true),
		cmocka_unit_test(id_slot_is_blanked_wherever_it_stands),
		cmocka_unit_test(messages_and_keep_alive_are_seen),
		cmocka_unit_test(it_agrees_with_jansson_on_mutated_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
