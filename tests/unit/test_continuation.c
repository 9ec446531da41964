/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <jansson.h>

#include "gateway/continuation.h"

#define CHAT "/v1/chat/completions"
#define TAIL "\"created\":7,\"id\":\"chatcmpl-1\",\"model\":\"tiny\",\"object\":\"x\"}\n\n"
#define ROLE                                                                                       \
	"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":"             \
	"\"assistant\",\"content\":null}}]," TAIL
#define SAID(text)                                                                                 \
	"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\"" text   \
	"\"}}]," TAIL
#define TEXT(text)                                                                                 \
	"data: {\"choices\":[{\"text\":\"" text                                                    \
	"\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]," TAIL
#define BODY(more)                                                                                 \
	"{\"model\":\"tiny\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"        \
	"\"hi\"}]" more "}"

static struct continuation *make(const char *path, const char *body, const char *sent)
{
	struct continuation *c = continuation_new(path, body, strlen(body));

	assert_non_null(c);
	continuation_sent(c, sent, strlen(sent));
	return c;
}

/* The request for the rest; the caller frees. NULL: it can't move. */
static json_t *ask(struct continuation *c)
{
	CLEANUP(buf_done) struct buf body = {0};
	const char *why = NULL;
	json_t *json;

	if (!continuation_ask(c, &body, &why)) {
		assert_non_null(why);
		return NULL;
	}
	assert_null(why);
	json = json_loads(body.data, 0, NULL);
	assert_non_null(json);
	return json;
}

static void check(struct continuation *c, const char *expected)
{
	json_t *asked = ask(c), *wanted = json_loads(expected, 0, NULL);

	assert_non_null(wanted);
	assert_non_null(asked);
	if (!json_equal(asked, wanted))
		fail_msg("asked: %s", json_dumps(asked, 0));
	json_decref(asked);
	json_decref(wanted);
	continuation_free(c);
}

static void a_chat_goes_on_from_its_last_character(void **state)
{
	check(make(CHAT, BODY(",\"max_tokens\":10,\"temperature\":0"),
		   ROLE SAID("Two \\\"and\\\\") SAID(" two\\n") SAID(" \xe2\x82\xac")),
	      "{\"model\":\"tiny\",\"stream\":true,\"max_tokens\":7,\"temperature\":0,"
	      "\"add_generation_prompt\":false,\"continue_final_message\":true,\"messages\":["
	      "{\"role\":\"user\",\"content\":\"hi\"},"
	      "{\"role\":\"assistant\",\"content\":\"Two \\\"and\\\\ two\\n \\u20ac\"}]}");
}

static void a_completion_goes_on_behind_its_prompt(void **state)
{
	check(make("/v1/completions", "{\"model\":\"m\",\"prompt\":\"One \",\"n_predict\":9}",
		   TEXT("t") TEXT("wo")),
	      "{\"model\":\"m\",\"prompt\":\"One two\",\"n_predict\":7}");
	check(make("/v1/completions", "{\"model\":\"m\",\"prompt\":[5,6],\"max_tokens\":-1}",
		   TEXT("two")),
	      "{\"model\":\"m\",\"prompt\":[5,6,\"two\"],\"max_tokens\":-1}");
}

static void without_text_it_is_asked_the_same_again(void **state)
{
	static const char body[] = BODY(",\"seed\":1,\"tools\":[{}]");

	check(make(CHAT, body, ""), body);
	check(make(CHAT, body, ": ping\n\n"), body);
	check(make(CHAT, body, ROLE), body);
}

static void only_chats_and_completions_go_on(void **state)
{
	assert_null(continuation_new("/v1/embeddings", "{}", 2));
	assert_null(continuation_new("/infill", "{}", 2));
}

static void what_asks_for_more_than_text_stays(void **state)
{
	static const char *const table[] = {
		",\"seed\":1",
		",\"n\":2",
		",\"tools\":[{\"type\":\"function\"}]",
		",\"functions\":[{}]",
		",\"grammar\":\"root ::= x\"",
		",\"json_schema\":{\"type\":\"object\"}",
		",\"response_format\":{\"type\":\"json_object\"}",
		",\"logprobs\":true",
		",\"n_probs\":3",
		",\"mirostat\":1",
		",\"chat_template_kwargs\":{\"enable_thinking\":false}",
		",\"continue_final_message\":true",
		",\"max_tokens\":12.5",
		",\"something_new\":1",
		(",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
		 "{\"role\":\"assistant\",\"content\":\"b\"}]"),
		",\"messages\":[]",
	};
	char body[512];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct continuation *c;

		(void)snprintf(body, sizeof(body), BODY("%s"), table[i]);
		c = make(CHAT, body, ROLE SAID("a"));
		if (ask(c))
			fail_msg("moved: %s", body);
		continuation_free(c);
	}
}

static void fields_that_ask_for_nothing_do_not_hold_it(void **state)
{
	static const char *const table[] = {
		",\"seed\":null",    ",\"n\":1",
		",\"tools\":[]",     ",\"response_format\":{\"type\":\"text\"}",
		",\"grammar\":\"\"", ",\"logprobs\":false",
		",\"stop\":null",    ",\"max_tokens\":null",
	};
	char body[512];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct continuation *c;
		json_t *asked;

		(void)snprintf(body, sizeof(body), BODY("%s"), table[i]);
		c = make(CHAT, body, ROLE SAID("a"));
		asked = ask(c);
		if (!asked)
			fail_msg("stays: %s", body);
		json_decref(asked);
		continuation_free(c);
	}
}

static void an_answer_with_more_than_text_stays(void **state)
{
	static const char *const table[] = {
		ROLE "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":"
		     "{\"reasoning_content\":\"hm\"}}]," TAIL SAID("a"),
		ROLE "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":"
		     "{\"tool_calls\":[]}}]," TAIL,
		ROLE "data: {\"choices\":[{\"finish_reason\":null,\"index\":1,\"delta\":"
		     "{\"content\":\"a\"}}]," TAIL,
		ROLE "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"logprobs\":{},"
		     "\"delta\":{\"content\":\"a\"}}]," TAIL,
		ROLE SAID("a") "data: {\"error\":{\"message\":\"no\"}}\n\n",
		ROLE SAID("a") "data: {broken\n\n",
		ROLE SAID("a") "event: x\n\n",
		ROLE SAID("a") SAID("\\ufffd"),
		ROLE SAID("a") SAID("\xEF\xBF\xBD"),
		/* over */
		ROLE SAID("a") "data: {\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,"
			       "\"delta\":{}}]," TAIL,
		ROLE SAID("a") "data: [DONE]\n\n",
		ROLE "data: {\"choices\":[]," TAIL,
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct continuation *c = make(CHAT, BODY(""), table[i]);

		if (ask(c))
			fail_msg("moved: %s", table[i]);
		continuation_free(c);
	}
}

static void at_the_last_token_it_stays(void **state)
{
	struct continuation *c = make(CHAT, BODY(",\"max_tokens\":2"), ROLE SAID("a") SAID("b"));

	assert_null(ask(c));
	continuation_free(c);
}

static void at_what_may_be_a_stop_string_it_stays(void **state)
{
	static const struct {
		const char *stop, *said;
		bool stays;
	} table[] = {
		{"\"END\"", "the EN", true},   {"[\"x\",\"END\"]", "E", true},
		{"\"END\"", "the ENd", false}, {"\"\\n\\n\"", "a\\n", true},
		{"\"END\"", "", false},        {"[]", "E", false},
	};
	char body[512], sent[512];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct continuation *c;
		json_t *asked;

		(void)snprintf(body, sizeof(body), BODY(",\"stop\":%s"), table[i].stop);
		(void)snprintf(sent, sizeof(sent), ROLE SAID("%s"), table[i].said);
		c = make(CHAT, body, sent);
		asked = ask(c);
		assert_int_equal(asked == NULL, table[i].stays);
		json_decref(asked);
		continuation_free(c);
	}
}

/* However the bytes are cut, and although it looks only now and then. */
static void a_stream_in_pieces_is_the_same(void **state)
{
	static const char one[] = SAID("a\\\"b\\\\") "data: {\"choices\": [{\"index\":0, \"delta\":"
						     "{\"content\":\"c\"}}]}\n\n: ping\n\n";
	for (size_t size = 1; size < 700; size += 97) {
		struct continuation *c = make(CHAT, BODY(",\"max_tokens\":1000"), ROLE);
		CLEANUP(buf_done) struct buf all = {0};
		CLEANUP(buf_done) struct buf text = {0};
		json_t *asked;

		for (int i = 0; i < 300; i++) {
			buf_str(&all, one);
			buf_str(&text, "a\"b\\c");
		}
		for (size_t at = 0; at < all.len; at += size)
			continuation_sent(c, all.data + at,
					  all.len - at < size ? all.len - at : size);
		assert_true(continuation_may_pause(c));
		asked = ask(c);
		assert_string_equal(
			json_string_value(json_object_get(
				json_array_get(json_object_get(asked, "messages"), 1), "content")),
			text.data);
		assert_int_equal(json_integer_value(json_object_get(asked, "max_tokens")), 400);
		json_decref(asked);
		continuation_free(c);
	}
}

static void after_a_space_it_does_not_pause(void **state)
{
	struct continuation *c = make(CHAT, BODY(""), ROLE SAID("a"));

	assert_true(continuation_may_pause(c));
	continuation_sent(c, SAID(" "), sizeof(SAID(" ")) - 1);
	assert_false(continuation_may_pause(c));
	continuation_sent(c, SAID("\\n"), sizeof(SAID("\\n")) - 1);
	assert_false(continuation_may_pause(c));
	continuation_sent(c, SAID("b"), sizeof(SAID("b")) - 1);
	assert_true(continuation_may_pause(c));
	continuation_free(c);
}

static void in_the_middle_of_an_event_it_does_not_pause(void **state)
{
	struct continuation *c = make(CHAT, BODY(""), "");

	assert_true(continuation_may_pause(c));
	continuation_sent(c, "data: {\"cho", 11);
	assert_false(continuation_may_pause(c));
	continuation_sent(c, "ices\":[]}\n", 10);
	assert_false(continuation_may_pause(c));
	continuation_sent(c, "\n", 1);
	assert_true(continuation_may_pause(c));
	continuation_free(c);
}

static void only_the_worker_can_count_some_characters(void **state)
{
	struct continuation *plain = make(CHAT, BODY(""), ROLE SAID("fox"));
	struct continuation *c = make(CHAT, BODY(",\"max_tokens\":9"),
				      ROLE SAID("a") SAID("\xf0\x9f\xa6\x8a") SAID("\\ud83e"
										   "\\udd8a"));
	CLEANUP(buf_done) struct buf body = {0};
	json_t *asked;

	assert_false(continuation_count(plain, &body));
	continuation_free(plain);
	json_decref(ask(c));
	assert_true(continuation_count(c, &body));
	assert_string_equal(body.data, "{\"content\":\"a\xf0\x9f\xa6\x8a\\ud83e\\udd8a\"}");
	continuation_counted(c, "{\"tokens\":[1,2,3,4,5,6,7]}", 26);
	asked = ask(c);
	assert_int_equal(json_integer_value(json_object_get(asked, "max_tokens")), 2);
	json_decref(asked);
	continuation_counted(c, "{\"tokens\":[1,2,3,4,5,6,7,8,9]}", 30); /* it was at its end */
	asked = ask(c);
	assert_int_equal(json_integer_value(json_object_get(asked, "max_tokens")), 1);
	json_decref(asked);
	continuation_free(c);
}

#define OTHER ",\"created\":9,\"id\":\"chatcmpl-2\",\"model\":\"other\",\"object\":\"x\"}\n\n"

static void the_client_sees_one_answer(void **state)
{
	static const char more[] =
		"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":"
		"\"assistant\",\"content\":null}}]" OTHER ": ping\n\n"
		"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":"
		"\" c\\u00e9\"}}]" OTHER "data: {\"choices\":[{\"finish_reason\":\"length\","
		"\"index\":0,\"delta\":{}}]" OTHER
		"data: {\"choices\":[],\"usage\":{\"completion_tokens\":1,\"prompt_tokens\":12,"
		"\"total_tokens\":13}" OTHER "data: [DONE]\n\n";
	static const char expected[] =
		": ping\n\n" SAID(" c\xc3\xa9") "data: {\"choices\":[{\"finish_reason\":\"length\","
						"\"index\":0,\"delta\":{}}]," TAIL "data: "
						"{\"choices\":[],\"usage\":{\"completion_tokens\":"
						"3,\"prompt_tokens\":10,"
						"\"total_tokens\":13}," TAIL "data: [DONE]\n\n";

	for (size_t size = 1; size < sizeof(more); size += 13) {
		struct continuation *c = make(CHAT, BODY(""), ROLE SAID("a") SAID(" b"));
		CLEANUP(buf_done) struct buf got = {0};

		json_decref(ask(c));
		for (size_t at = 0; at < sizeof(more) - 1; at += size)
			continuation_rewrite(
				c, more + at,
				sizeof(more) - 1 - at < size ? sizeof(more) - 1 - at : size, &got);
		assert_string_equal(got.data, expected);
		assert_true(continuation_may_pause(c));
		assert_null(ask(c)); /* it has ended */
		continuation_free(c);
	}
}

static void a_second_move_repeats_both_parts(void **state)
{
	static const char half[] =
		"data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":"
		"\" c\"}}]" OTHER "data: {\"choices\":[{\"fin";
	static const char usage[] =
		"data: {\"choices\":[],\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":13,"
		"\"total_tokens\":15}" OTHER;
	struct continuation *c = make(CHAT, BODY(",\"max_tokens\":9"), ROLE SAID("a") SAID(" b"));
	CLEANUP(buf_done) struct buf got = {0};
	json_t *asked;

	json_decref(ask(c));
	continuation_rewrite(c, half, sizeof(half) - 1, &got);
	assert_string_equal(got.data, SAID(" c"));
	asked = ask(c);
	assert_int_equal(json_integer_value(json_object_get(asked, "max_tokens")), 6);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(asked, "messages"), 1), "content")),
		"a b c");
	json_decref(asked);
	buf_done(&got);
	continuation_rewrite(c, usage, sizeof(usage) - 1, &got);
	assert_non_null(strstr(got.data, "\"completion_tokens\":5,\"prompt_tokens\":10,"));
	continuation_free(c);
}

static void what_was_never_begun_is_passed_as_it_comes(void **state)
{
	struct continuation *c = make(CHAT, BODY(""), "");
	CLEANUP(buf_done) struct buf got = {0};

	json_decref(ask(c));
	continuation_rewrite(c, ROLE SAID("a"), sizeof(ROLE SAID("a")) - 1, &got);
	assert_string_equal(got.data, ROLE SAID("a"));
	continuation_free(c);
}

static void a_very_long_answer_stays(void **state)
{
	struct continuation *c = make(CHAT, BODY(""), ROLE);
	CLEANUP(buf_done) struct buf event = {0};

	buf_str(&event, "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":"
			"{\"content\":\"");
	for (int i = 0; i < 1000; i++)
		buf_str(&event, "0123456789");
	buf_str(&event, "\"}}]," TAIL);
	for (int i = 0; i < 90; i++)
		continuation_sent(c, event.data, event.len);
	json_decref(ask(c));
	for (int i = 0; i < 20; i++)
		continuation_sent(c, event.data, event.len);
	assert_null(ask(c));
	continuation_free(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chat_goes_on_from_its_last_character),
		cmocka_unit_test(a_completion_goes_on_behind_its_prompt),
		cmocka_unit_test(without_text_it_is_asked_the_same_again),
		cmocka_unit_test(only_chats_and_completions_go_on),
		cmocka_unit_test(what_asks_for_more_than_text_stays),
		cmocka_unit_test(fields_that_ask_for_nothing_do_not_hold_it),
		cmocka_unit_test(an_answer_with_more_than_text_stays),
		cmocka_unit_test(at_the_last_token_it_stays),
		cmocka_unit_test(at_what_may_be_a_stop_string_it_stays),
		cmocka_unit_test(a_stream_in_pieces_is_the_same),
		cmocka_unit_test(after_a_space_it_does_not_pause),
		cmocka_unit_test(in_the_middle_of_an_event_it_does_not_pause),
		cmocka_unit_test(only_the_worker_can_count_some_characters),
		cmocka_unit_test(the_client_sees_one_answer),
		cmocka_unit_test(a_second_move_repeats_both_parts),
		cmocka_unit_test(what_was_never_begun_is_passed_as_it_comes),
		cmocka_unit_test(a_very_long_answer_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
