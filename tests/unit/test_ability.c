/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/mem.h"
#include "make_gguf.h"
#include "model/ability.h"

static const char *write_model(void **state, const char *key, const char *text)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(buf_done) struct buf extra = {0};
	const char *path = test_path(*state, "model.gguf");

	put_key_text(&extra, key, text);
	put_small_model(&b, 1, &extra);
	test_write(path, b.data, b.len);
	return path;
}

static bool knows_tools(const char *path, const char *mode, const char *options)
{
	struct db_model m = {
		.path = (char *)path, .mode = (char *)mode, .options = (char *)options};
	struct ability can;

	ability_find(&m, ABILITY_TOOLS, &can);
	assert_string_equal(can.mode, mode);
	return can.tools;
}

static void the_template_says_whether_tools_are_known(void **state)
{
	const char *path = write_model(state, "general.description", "about tools");
	const char *key = "tokenizer.chat_template";

	assert_false(knows_tools(path, "chat", "{}"));
	assert_true(
		knows_tools(path, "chat", "{\"chat_template\":\"{% if tools %}x{% endif %}\"}"));
	path = write_model(state, key, "{% for t in tools %}{{ t }}{% endfor %}");
	assert_true(knows_tools(path, "chat", "{}"));
	assert_false(knows_tools(path, "embedding", "{}"));
	assert_false(knows_tools(path, "chat", "{\"chat_template\":\"chatml\"}"));
	path = write_model(state, "tokenizer.chat_template.tool_use", "{{ messages }}");
	assert_true(knows_tools(path, "chat", "{}"));
	assert_false(knows_tools("/gone.gguf", "chat", "{}"));
	assert_true(knows_tools(path, "chat", "{\"runtime\":\"server\"}"));
	assert_false(knows_tools(path, "chat", "{\"runtime\":\"python\"}"));
}

static void a_long_template_is_no_trouble(void **state)
{
	size_t size = (size_t)1 << 20;
	CLEANUP(free) char *text = mem_alloc(size + 1);
	CLEANUP(free) char *with = NULL;

	memset(text, 'x', size);
	with = mem_printf("tools%s", text);
	assert_false(
		knows_tools(write_model(state, "tokenizer.chat_template", text), "chat", "{}"));
	assert_true(knows_tools(write_model(state, "tokenizer.chat_template", with), "chat", "{}"));
}

static void files_are_read_for_what_is_wanted(void **state)
{
	CLEANUP(buf_done) struct buf b = {0};
	const char *path = test_path(*state, "mmproj.gguf");
	CLEANUP(free) char *options = mem_printf("{\"mmproj\":\"%s\"}", path);
	struct db_model m = {.mode = (char *)"chat", .options = options};
	struct ability can;

	put_header(&b, 3, 0, 2);
	put_key_text(&b, "general.architecture", "clip");
	put_text(&b, "clip.has_vision_encoder");
	put_u32(&b, GGUF_BOOL);
	buf_add(&b, "\1", 1);
	test_write(path, b.data, b.len);
	ability_find(&m, 0, &can);
	assert_string_equal(can.mode, "chat");
	assert_false(can.vision);
	ability_find(&m, ABILITY_MEDIA, &can);
	assert_true(can.vision);
	assert_false(can.audio);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_template_says_whether_tools_are_known),
		TEST(a_long_template_is_no_trouble),
		TEST(files_are_read_for_what_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
