/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <jansson.h>

#include "base/mem.h"
#include "gateway/ollama.h"

static void expect_same(const char *got, const char *wanted)
{
	json_t *a = json_loads(got, JSON_ALLOW_NUL, NULL);
	json_t *b = json_loads(wanted, JSON_ALLOW_NUL, NULL);

	assert_non_null(b);
	if (!json_equal(a, b))
		fail_msg("%s, not %s", got, wanted);
	json_decref(a);
	json_decref(b);
}

static void expect_asked(enum ollama_kind kind, const char *body, const char *path,
			 const char *wanted)
{
	struct ollama_request r;
	struct err e = {0};

	if (!ollama_ask(kind, body, strlen(body), &r, &e))
		fail_msg("%s: %s", body, e.msg);
	if (path)
		assert_string_equal(r.path, path);
	else
		assert_null(r.path);
	if (wanted)
		expect_same(r.body.data, wanted);
	buf_done(&r.body);
}

#define CHAT "/v1/chat/completions"
#define PLAIN "\"model\":\"this\",\"stream\":false"

static void options_have_other_names(void **state)
{
	expect_asked(OLLAMA_CHAT,
		     "{\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
		     "\"options\":{\"num_predict\":5,\"temperature\":0.5,\"top_k\":40.0,"
		     "\"stop\":[\"a\"],\"seed\":7,\"num_ctx\":2048,\"num_keep\":1,\"x\":{},"
		     "\"top_p\":null}}",
		     CHAT,
		     "{" PLAIN ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
		     "\"max_tokens\":5,\"temperature\":0.5,\"top_k\":40.0,\"stop\":[\"a\"],"
		     "\"seed\":7,\"n_keep\":1}");
	expect_asked(OLLAMA_GENERATE,
		     "{\"prompt\":\"hi\",\"options\":{\"num_predict\":-1},\"think\":false}", CHAT,
		     "{\"model\":\"this\",\"stream\":true,\"stream_options\":{\"include_usage\":"
		     "true},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
		     "\"chat_template_kwargs\":{\"enable_thinking\":false}}");
}

static void formats_become_schemas(void **state)
{
	expect_asked(OLLAMA_GENERATE, "{\"prompt\":\"x\",\"stream\":false,\"format\":\"json\"}",
		     CHAT,
		     "{" PLAIN ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
		     "\"response_format\":{\"type\":\"json_object\"}}");
	expect_asked(OLLAMA_GENERATE,
		     "{\"prompt\":\"x\",\"raw\":true,\"stream\":false,\"format\":{\"type\":"
		     "\"object\"}}",
		     "/v1/completions",
		     "{" PLAIN ",\"prompt\":\"x\",\"response_format\":{\"type\":\"json_schema\","
		     "\"json_schema\":{\"name\":\"format\",\"strict\":true,\"schema\":{\"type\":"
		     "\"object\"}}}}");
}

static void images_calls_and_results_are_parts_of_messages(void **state)
{
	expect_asked(
		OLLAMA_CHAT,
		"{\"stream\":false,\"tools\":[{\"type\":\"function\"}],\"messages\":["
		"{\"role\":\"user\",\"content\":\"look\",\"images\":[\"QUJD\"]},"
		"{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\",\"tool_calls\":["
		"{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}},"
		"{\"function\":{\"name\":\"g\"}}]},"
		"{\"role\":\"tool\",\"content\":\"1\",\"tool_name\":\"f\"},"
		"{\"role\":\"tool\",\"content\":\"2\"}]}",
		CHAT,
		"{" PLAIN ",\"tools\":[{\"type\":\"function\"}],\"messages\":["
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},"
		"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,QUJD\"}}]},"
		"{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"hm\","
		"\"tool_calls\":[{\"id\":\"call_0\",\"type\":\"function\",\"function\":{\"name\":"
		"\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},{\"id\":\"call_1\",\"type\":\"function\","
		"\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
		"{\"role\":\"tool\",\"content\":\"1\",\"tool_call_id\":\"call_0\"},"
		"{\"role\":\"tool\",\"content\":\"2\",\"tool_call_id\":\"call_1\"}]}");
}

static void without_a_question_nothing_is_asked(void **state)
{
	expect_asked(OLLAMA_CHAT, "{}", NULL, NULL);
	expect_asked(OLLAMA_CHAT, "{\"messages\":[]}", NULL, NULL);
	expect_asked(OLLAMA_GENERATE, "{\"prompt\":\"\"}", NULL, NULL);
	expect_asked(OLLAMA_EMBED, "{\"input\":[\"a\"]}", "/v1/embeddings",
		     "{\"model\":\"this\",\"input\":[\"a\"],\"encoding_format\":\"float\"}");
}

/* The lines, without their times. */
static void expect_lines(const struct buf *lines, const char *const *wanted)
{
	const char *at = lines->data ? lines->data : "";

	for (; *wanted; wanted++) {
		json_t *j = json_loads(at, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL);
		char *text;

		assert_non_null(j);
		json_object_del(j, "created_at");
		json_object_del(j, "total_duration");
		json_object_del(j, "load_duration");
		text = json_dumps(j, 0);
		expect_same(text, *wanted);
		free(text);
		json_decref(j);
		at = strchr(at, '\n') + 1;
	}
	assert_string_equal(at, "");
}

#define EVENT(choice) "data: {\"choices\":[{" choice "}]}\n\n"
#define M "\"model\":\"m\",\"message\":{\"role\":\"assistant\","

static void feed(struct ollama *o, const char *data, size_t len, struct buf *ret)
{
	struct err e = {0};

	if (!ollama_feed(o, data, len, ret, &e))
		fail_msg("%s", e.msg);
}

static void a_stream_becomes_lines_wherever_it_is_cut(void **state)
{
	/* clang-format off */
	static const char stream[] =
		EVENT("\"delta\":{\"role\":\"assistant\",\"content\":null}")
		": a comment\n\n"
		EVENT("\"delta\":{\"reasoning_content\":\"hm\"}")
		EVENT("\"delta\":{\"content\":\"h\\u00e9\"}")
		EVENT("\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":"
		      "{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}")
		EVENT("\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":"
		      "{\"arguments\":\":1}\"}}]}")
		EVENT("\"delta\":{},\"finish_reason\":\"length\"")
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4},"
		"\"timings\":{\"prompt_ms\":1.5,\"predicted_ms\":2}}\n\n"
		"data: [DONE]\n\n"
		"data: [DONE]\n\n";
	/* clang-format on */
	static const char *const wanted[] = {
		"{" M "\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}",
		"{" M "\"content\":\"h\\u00e9\"},\"done\":false}",
		"{" M "\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
		"\"arguments\":{\"a\":1}}}]},\"done\":false}",
		"{" M "\"content\":\"\"},\"done\":true,\"done_reason\":\"length\","
		"\"prompt_eval_count\":3,\"eval_count\":4,\"prompt_eval_duration\":1500000,"
		"\"eval_duration\":2000000}",
		NULL,
	};

	for (size_t step = 1; step < sizeof(stream); step += step < 20 ? 1 : 97) {
		CLEANUP(ollama_free) struct ollama *o = ollama_new(OLLAMA_CHAT, "m");
		CLEANUP(buf_done) struct buf lines = {0};

		for (size_t at = 0; at < sizeof(stream) - 1; at += step) {
			size_t left = sizeof(stream) - 1 - at;

			feed(o, stream + at, left < step ? left : step, &lines);
		}
		expect_lines(&lines, wanted);
	}
}

static void an_error_in_a_stream_is_its_last_line(void **state)
{
	static const char stream[] = EVENT("\"text\":\"a\"") "data: {\"error\":{\"message\":"
							     "\"it broke\"}}\n\ndata: [DONE]\n\n";
	static const char *const wanted[] = {
		"{\"model\":\"m\",\"response\":\"a\",\"done\":false}",
		"{\"error\":\"it broke\"}",
		NULL,
	};
	CLEANUP(ollama_free) struct ollama *o = ollama_new(OLLAMA_GENERATE, "m");
	CLEANUP(buf_done) struct buf lines = {0};

	feed(o, stream, sizeof(stream) - 1, &lines);
	expect_lines(&lines, wanted);
}

static void an_event_without_end_is_an_error(void **state)
{
	CLEANUP(ollama_free) struct ollama *o = ollama_new(OLLAMA_GENERATE, "m");
	CLEANUP(buf_done) struct buf lines = {0};
	static char piece[(size_t)1 << 20];
	struct err e = {0};

	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < 16; i++)
		feed(o, piece, sizeof(piece), &lines);
	assert_false(ollama_feed(o, piece, 1, &lines, &e));
	assert_int_equal(e.kind, ERR_WORKER);
	assert_non_null(strstr(e.msg, "16 MiB"));
	assert_int_equal(lines.len, 0);
}

static void a_nul_is_a_letter(void **state)
{
	static const char stream[] = EVENT("\"text\":\"a\\u0000b\"");
	static const char whole[] =
		"{\"choices\":[{\"message\":{\"content\":\"a\\u0000b\",\"tool_calls\":[{"
		"\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\\\"\\\\u0000\\\"}\"}"
		"}]}}]}";
	static const char *const wanted[] = {
		"{\"model\":\"m\",\"response\":\"a\\u0000b\",\"done\":false}", NULL};
	CLEANUP(ollama_free) struct ollama *piecewise = ollama_new(OLLAMA_GENERATE, "m");
	CLEANUP(ollama_free) struct ollama *o = ollama_new(OLLAMA_CHAT, "m");
	CLEANUP(buf_done) struct buf lines = {0};
	CLEANUP(buf_done) struct buf answer = {0};
	struct err e = {0};

	feed(piecewise, stream, sizeof(stream) - 1, &lines);
	expect_lines(&lines, wanted);
	assert_true(ollama_whole(o, whole, sizeof(whole) - 1, &answer, &e));
	assert_non_null(strstr(answer.data, "\"content\":\"a\\u0000b\""));
	assert_non_null(strstr(answer.data, "\"arguments\":{\"x\":\"\\u0000\"}"));
}

static void answers_that_are_none_are_errors(void **state)
{
	static const char *const table[] = {
		"", "[]", "{}", "{\"choices\":[]}", "{\"data\":[]}", "{\"data\":[{}]}", "nonsense"};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		for (int kind = OLLAMA_CHAT; kind <= OLLAMA_EMBEDDINGS; kind++) {
			CLEANUP(ollama_free)
			struct ollama *o = ollama_new((enum ollama_kind)kind, "m");
			CLEANUP(buf_done) struct buf answer = {0};
			struct err e = {0};

			assert_false(ollama_whole(o, table[i], strlen(table[i]), &answer, &e));
			assert_int_equal(e.kind, ERR_WORKER);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_have_other_names),
		cmocka_unit_test(formats_become_schemas),
		cmocka_unit_test(images_calls_and_results_are_parts_of_messages),
		cmocka_unit_test(without_a_question_nothing_is_asked),
		cmocka_unit_test(a_stream_becomes_lines_wherever_it_is_cut),
		cmocka_unit_test(an_error_in_a_stream_is_its_last_line),
		cmocka_unit_test(an_event_without_end_is_an_error),
		cmocka_unit_test(a_nul_is_a_letter),
		cmocka_unit_test(answers_that_are_none_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
