/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "gateway/media.h"
#include "gateway/scan.h"

#define CHAT(part) "{\"messages\":[{\"role\":\"user\",\"content\":[" part "]}]}"
#define MESSAGES(part) CHAT("{\"type\":\"tool_result\",\"content\":[" part "]}")
#define INPUT(part) "{\"input\":[{\"role\":\"user\",\"content\":[" part "]}]}"
#define OUTPUT(part) "{\"input\":[{\"type\":\"function_call_output\",\"output\":[" part "]}]}"
#define IMAGE(url) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"
#define INPUT_IMAGE(url) "{\"type\":\"input_image\",\"image_url\":\"" url "\"}"
#define SOURCE(url) "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"" url "\"}}"
#define SOUND(field, url) "{\"type\":\"input_audio\",\"input_audio\":{\"" field "\":\"" url "\"}}"
#define VIDEO(type, url) "{\"type\":\"" type "\",\"" type "\":{\"url\":\"" url "\"}}"

/* As the gateway asks: only when the scan says so. */
static bool find(const char *body, bool fetch, unsigned *ret, struct err *e)
{
	struct scan s;

	*ret = 0;
	if (!scan_request(body, strlen(body), &s, e))
		fail_msg("%s: %s", body, e->msg);
	return !s.media || media_find(body, strlen(body), fetch, ret, e);
}

static void what_is_in_the_request_is_found(void **state)
{
	static const struct {
		const char *body;
		unsigned media;
	} table[] = {
		{CHAT(IMAGE("data:image/png;base64,aGk=")), MEDIA_IMAGE},
		{CHAT(IMAGE("aGk=")), MEDIA_IMAGE},
		{CHAT("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"aGk=\"}}"),
		 MEDIA_IMAGE},
		{MESSAGES("{\"type\":\"image\"}"), MEDIA_IMAGE},
		{INPUT(INPUT_IMAGE("data:image/png;base64,aGk=")), MEDIA_IMAGE},
		{OUTPUT(INPUT_IMAGE("data:image/png;base64,aGk=")), MEDIA_IMAGE},
		{"{\"input\":{\"content\":[" IMAGE("aGk=") "]}}", MEDIA_IMAGE},
		{"{\"content\":[{\"content\":[" IMAGE("aGk=") "]}]}", MEDIA_IMAGE},
		{CHAT(SOUND("data", "aGk=")) "  ", MEDIA_AUDIO},
		{CHAT(VIDEO("video_url", "aGk=") "," IMAGE("aGk=")), MEDIA_VIDEO | MEDIA_IMAGE},
		{CHAT("{\"type\":\"im\\u0061ge_url\"}"), MEDIA_IMAGE},
		{CHAT("{\"type\":\"image\\u005furl\"}"), MEDIA_IMAGE},
		{"{\"n\":123456789012345678901234567890,\"messages\":[{\"content\":[" IMAGE(
			 "aGk=") "]}]}",
		 MEDIA_IMAGE},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		unsigned media;

		if (!find(table[i].body, false, &media, &e))
			fail_msg("%s: %s", table[i].body, e.msg);
		if (media != table[i].media)
			fail_msg("%s: %u", table[i].body, media);
	}
}

static void what_is_text_is_text(void **state)
{
	static const char *const table[] = {
		"{\"messages\":[{\"content\":\"http://a/b.png\"}]}",
		"{\"messages\":[{\"content\":\"image_url\"}],\"x\":\"image\"}",
		CHAT("{\"type\":\"text\",\"text\":\"{\\\"type\\\":\\\"image_url\\\"} http://a\"}"),
		CHAT("{\"type\":\"text\",\"text\":\"image_url\",\"image_url\":\"http://a\"}"),
		"{\"prompt\":\"image\",\"image_url\":{\"url\":\"http://a\"}}",
		"{\"messages\":[],\"tools\":[{\"type\":\"image_url\",\"image_url\":\"http://a\"}]}",
		CHAT("{\"type\":\"tool_use\",\"input\":" IMAGE("http://a") "}"),
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err e = {0};
		unsigned media;

		if (!find(table[i], false, &media, &e))
			fail_msg("%s: %s", table[i], e.msg);
		assert_int_equal(media, 0);
	}
}

static void addresses_are_refused(void **state)
{
	static const struct {
		const char *body;
		bool web;
	} table[] = {
		{CHAT(IMAGE("http://a/b")), true},
		{CHAT(IMAGE("https://a/b")), true},
		{CHAT(IMAGE("http:\\/\\/a\\/b")), true},
		{CHAT(IMAGE("\\u0068ttp://a/b")), true},
		{"{\"messages\":[{\"content\":[{\"typ\\u0065\":\"im\\u0061ge_url\",\"image\\u005f"
		 "url\":{\"url\":\"http://a/b\"}}]}]}",
		 true},
		{CHAT("{\"type\":\"image_url\",\"image_url\":\"http://a\"}"), true},
		{CHAT(SOURCE("http://a/b")), true},
		{MESSAGES(SOURCE("http://a/b")), true},
		{INPUT(INPUT_IMAGE("http://a/b")), true},
		{INPUT(IMAGE("http://a/b")), true},
		{OUTPUT(INPUT_IMAGE("http://a/b")), true},
		{"{\"input\":[{\"content\":[" IMAGE("http://a") "]}]}", true},
		{"{\"content\":{\"content\":[" IMAGE("http://a") "]}}", true},
		{CHAT(SOUND("data", "http://a/b")), true},
		{CHAT(SOUND("url", "http://a/b")), true},
		{CHAT(VIDEO("input_video", "http://a/b")), true},
		{CHAT(VIDEO("video_url", "http://a/b")), true},
		{CHAT(IMAGE("data:image/png;base64,aGk=") "," IMAGE("http://a/b")), true},
		{"{\"n\":123456789012345678901234567890,\"messages\":[{\"content\":[" IMAGE(
			 "http://a") "]}]}",
		 true},
		{CHAT(IMAGE("HTTP://a/b")), false},
		{CHAT(IMAGE("httpx")), false},
		{CHAT(IMAGE(" http://a/b")), false},
		{CHAT(IMAGE("\\u0000http://a/b")), false},
		{CHAT(IMAGE("file:///etc/passwd")), false},
		{CHAT(IMAGE("ftp://a/b")), false},
		{CHAT(IMAGE("http://a/b") "," IMAGE("file:///etc/passwd")), false},
		{"{\"a\\u0000b\":1,\"messages\":[{\"content\":[" IMAGE("http://a") "]}]}", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		unsigned media;

		for (int fetch = 0; fetch < 2; fetch++) {
			struct err e = {0};
			bool ok = find(table[i].body, fetch, &media, &e);

			if (ok != (fetch && table[i].web))
				fail_msg("%s, fetch %d: %d", table[i].body, fetch, ok);
			assert_int_equal(e.kind, ok ? ERR_NONE : ERR_INVALID);
		}
	}
}

static void the_error_says_what_to_do(void **state)
{
	struct err e = {0};
	unsigned media;

	assert_false(find(CHAT(IMAGE("http://a/b")), false, &media, &e));
	assert_string_equal(e.msg, "'http://a/b' is not fetched: the request only names its media");
	assert_non_null(strstr(e.hint, "fetch_media"));
	err_clear(&e);
	assert_false(find(CHAT(IMAGE("file:///a")), true, &media, &e));
	assert_null(strstr(e.hint, "fetch_media"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_the_request_is_found),
		cmocka_unit_test(what_is_text_is_text),
		cmocka_unit_test(addresses_are_refused),
		cmocka_unit_test(the_error_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
