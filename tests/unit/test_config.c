/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/config.h"

extern char **environ;

/* A folder that is also HOME and working directory; no SHUNT_ variable, no XDG_ folder. */
static int setup(void **state)
{
	CLEANUP(strv_done) struct strv names = {0};

	for (char **var = environ; *var != NULL; var++) {
		if (strncmp(*var, "SHUNT_", 6) == 0 || strncmp(*var, "XDG_", 4) == 0)
			strv_printf(&names, "%.*s", (int)strcspn(*var, "="), *var);
	}
	for (size_t i = 0; i < names.count; i++)
		assert_int_equal(unsetenv(names.items[i]), 0);
	*state = test_dir_new();
	assert_int_equal(setenv("HOME", *state, 1), 0);
	return chdir(*state);
}

static int teardown(void **state)
{
	assert_int_equal(chdir("/"), 0);
	return test_dir_teardown(state);
}

static const char *file_with(void **state, const char *text)
{
	const char *path = test_path(*state, "shunt.conf");

	test_write(path, text, strlen(text));
	return path;
}

static void load(void **state, const char *text, struct config *ret)
{
	struct err e = {0};

	if (!config_load(file_with(state, text), ret, &e))
		fail_msg("%s", e.msg);
}

/* The text is refused on that line, for that reason. */
static void refused(void **state, const char *text, int line, const char *reason)
{
	const char *path = file_with(state, text);
	struct config c = {0};
	struct err e = {0};
	char expected[600];

	assert_false(config_load(path, &c, &e));
	(void)snprintf(expected, sizeof(expected), "%s:%d: %s", path, line, reason);
	assert_string_equal(e.msg, expected);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_null(c.listen);
}

static void without_a_file_there_are_defaults(void **state)
{
	struct config c = {0};
	struct err e = {0};

	assert_true(config_load(NULL, &c, &e));
	assert_string_equal(c.listen, "127.0.0.1:7717");
	assert_int_equal(c.hold_timeout_ms, 120000);
	assert_int_equal(c.hold_limit, 512);
	assert_int_equal(c.hold_bytes, 256 << 20);
	assert_int_equal(c.drain_timeout_ms, 60000);
	assert_int_equal(c.idle_unload_ms, 0);
	assert_int_equal(c.build_jobs, 0);
	assert_string_equal(c.engine_cpu, "native");
	assert_string_equal(c.worker_env, "");
	assert_string_equal(c.allowed_hosts, "");
	assert_int_equal(c.state_dir[0], '/');
	assert_int_equal(c.socket[0], '/');
	config_done(&c);
}

static void the_xdg_folders_are_the_places(void **state)
{
	struct config c = {0};
	struct err e = {0};

	assert_int_equal(setenv("XDG_DATA_HOME", "/data", 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
	assert_true(config_load(NULL, &c, &e));
	assert_string_equal(c.state_dir, "/data/shunt");
	assert_string_equal(c.socket, "/run/user/7/shunt/shunt.sock");
	config_done(&c);
}

static void the_users_file_is_found_and_may_be_absent(void **state)
{
	struct config c = {0};
	struct err e = {0};

	assert_int_equal(mkdir(test_path(*state, ".config"), 0700), 0);
	assert_int_equal(mkdir(test_path(*state, ".config/shunt"), 0700), 0);
	test_write(test_path(*state, ".config/shunt/shunt.conf"), "hold_limit=3\n", 13);
	assert_true(config_load(NULL, &c, &e));
	assert_int_equal(c.hold_limit, 3);
	config_done(&c);

	assert_int_equal(setenv("XDG_CONFIG_HOME", test_path(*state, "other"), 1), 0);
	assert_true(config_load(NULL, &c, &e));
	assert_int_equal(c.hold_limit, 512);
	config_done(&c);
}

static void a_named_file_must_be_there(void **state)
{
	struct config c = {0};
	struct err e = {0};

	assert_false(config_load(test_path(*state, "absent.conf"), &c, &e));
	assert_non_null(strstr(e.msg, "absent.conf"));
	assert_non_null(strstr(e.msg, "No such file"));
	err_clear(&e);
	assert_false(config_load(*state, &c, &e)); /* a folder */
	assert_non_null(strstr(e.msg, *state));
}

static void later_wins_default_file_environment_flag(void **state)
{
	const char *path = file_with(state, "hold_limit = 1\nbuild_jobs = 1\nlisten = [::1]:1\n");
	struct config c = {0};
	struct err e = {0};

	assert_int_equal(setenv("SHUNT_HOLD_LIMIT", "2", 1), 0);
	assert_int_equal(setenv("SHUNT_BUILD_JOBS", "2", 1), 0);
	assert_true(config_load(path, &c, &e));
	assert_true(config_set(&c, "build-jobs", "3", &e));
	assert_string_equal(c.listen, "[::1]:1");
	assert_int_equal(c.hold_limit, 2);
	assert_int_equal(c.build_jobs, 3);
	config_done(&c);
}

/* Each key of `config show` with a value of its own, set in each of the three ways. */
static const struct {
	const char *key, *flag, *variable, *value;
} each_key[] = {
	{"listen", "listen", "SHUNT_LISTEN", "0.0.0.0:80"},
	{"socket", "socket", "SHUNT_SOCKET", "/a/s.sock"},
	{"state_dir", "state-dir", "SHUNT_STATE_DIR", "/a/state"},
	{"store_dir", "store-dir", "SHUNT_STORE_DIR", "/a/my store"},
	{"api_key_file", "api-key-file", "SHUNT_API_KEY_FILE", "/a/key"},
	{"allowed_hosts", "allowed-hosts", "SHUNT_ALLOWED_HOSTS", "box, box.lan"},
	{"allowed_origins", "allowed-origins", "SHUNT_ALLOWED_ORIGINS", "https://a.example:1"},
	{"hold_timeout", "hold-timeout", "SHUNT_HOLD_TIMEOUT", "1500ms"},
	{"idle_unload", "idle-unload", "SHUNT_IDLE_UNLOAD", "5min"},
	{"hold_limit", "hold-limit", "SHUNT_HOLD_LIMIT", "7"},
	{"hold_bytes", "hold-bytes", "SHUNT_HOLD_BYTES", "3GB"},
	{"drain_timeout", "drain-timeout", "SHUNT_DRAIN_TIMEOUT", "2h"},
	{"stall_timeout", "stall-timeout", "SHUNT_STALL_TIMEOUT", "5min"},
	{"worker_growth", "worker-growth", "SHUNT_WORKER_GROWTH", "2GB"},
	{"context_bytes", "context-bytes", "SHUNT_CONTEXT_BYTES", "5GB"},
	{"memory_limit", "memory-limit", "SHUNT_MEMORY_LIMIT", "20GB"},
	{"build_jobs", "build-jobs", "SHUNT_BUILD_JOBS", "12"},
	{"build_priority", "build-priority", "SHUNT_BUILD_PRIORITY", "normal"},
	{"engine_source", "engine-source", "SHUNT_ENGINE_SOURCE", "https://h/x;y#sha256=0 ;z"},
	{"engine_cpu", "engine-cpu", "SHUNT_ENGINE_CPU", "native"},
	{"toolkit_provision", "toolkit-provision", "SHUNT_TOOLKIT_PROVISION", "never"},
	{"worker_env", "worker-env", "SHUNT_WORKER_ENV", "A=1,2 B=\"x y\""},
	{"hf_endpoint", "hf-endpoint", "SHUNT_HF_ENDPOINT", "http://mirror:8080"},
	{"hf_token_file", "hf-token-file", "SHUNT_HF_TOKEN_FILE", "/t"},
	{"offline", "offline", "SHUNT_OFFLINE", "yes"},
	{"fetch_media", "fetch-media", "SHUNT_FETCH_MEDIA", "yes"},
	{"log_level", "log-level", "SHUNT_LOG_LEVEL", "debug"},
};

static char *show(const struct config *c)
{
	struct buf out = {0};

	config_show(c, &out);
	return buf_steal(&out);
}

/* config show has the line "key = value". */
static void shows(const struct config *c, const char *key, const char *value)
{
	CLEANUP(free) char *text = show(c);
	CLEANUP(free) char *line = mem_printf("\n%s = %s\n", key, value);

	if (strstr(text, line) == NULL)
		fail_msg("no '%s = %s' in:\n%s", key, value, text);
}

static void every_key_is_a_line_a_variable_and_a_flag(void **state)
{
	struct config c = {0};
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(each_key); i++) {
		CLEANUP(free)
		char *line = mem_printf("%s = %s\n", each_key[i].key, each_key[i].value);

		load(state, line, &c);
		shows(&c, each_key[i].key, each_key[i].value);
		config_done(&c);

		assert_int_equal(setenv(each_key[i].variable, each_key[i].value, 1), 0);
		assert_true(config_load(NULL, &c, &e));
		shows(&c, each_key[i].key, each_key[i].value);
		config_done(&c);
		assert_int_equal(unsetenv(each_key[i].variable), 0);

		assert_true(config_has(each_key[i].flag));
		assert_true(config_load(NULL, &c, &e));
		assert_true(config_set(&c, each_key[i].flag, each_key[i].value, &e));
		shows(&c, each_key[i].key, each_key[i].value);
		config_done(&c);
	}
	assert_false(config_has("config"));
	assert_false(config_has("state"));
	assert_false(config_has("state_dirs"));
	assert_false(config_has(""));
}

/* Nothing in the tables above is forgotten when a key is added. */
static void the_list_of_this_test_has_every_key(void **state)
{
	struct config c = {0};
	CLEANUP(free) char *text = NULL;
	size_t lines = 0;

	load(state, "", &c);
	text = show(&c);
	for (const char *p = text; (p = strstr(p, " = ")) != NULL; p++)
		lines++;
	assert_int_equal(lines, ARRAY_LEN(each_key));
	config_done(&c);
}

static void what_is_shown_is_read_again_unchanged(void **state)
{
	static const char *const odd[] = {
		"",    "a b",     "a ;b",        "a #b",  "a\"b",    "\"a",
		"a\"", "\" a \"", "\"a\" \"b\"", "a=b=c", "[shunt]", "a\tb=c",
		"#a",  ";",       "ü",           "\"\"",
	};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct config c = {0};
		struct config again = {0};
		struct err e = {0};
		CLEANUP(free) char *first = NULL;
		CLEANUP(free) char *second = NULL;

		assert_true(config_load(NULL, &c, &e));
		assert_true(config_set(&c, "engine_source", odd[i], &e));
		assert_true(config_set(&c, "listen", odd[i], &e));
		assert_true(config_set(&c, "hold_bytes", i % 2 ? "1025" : "0", &e));
		assert_true(config_set(&c, "hold_timeout", i % 2 ? "61s" : "0", &e));
		first = show(&c);
		load(state, first, &again);
		second = show(&again);
		assert_string_equal(first, second);
		assert_string_equal(c.engine_source, again.engine_source);
		assert_int_equal(c.hold_bytes, again.hold_bytes);
		assert_int_equal(c.hold_timeout_ms, again.hold_timeout_ms);
		config_done(&c);
		config_done(&again);
	}
}

static void the_store_lies_in_the_state_folder_unless_it_is_named(void **state)
{
	struct config c = {0};
	struct err e = {0};
	char *store = NULL;

	load(state, "state_dir = /a\n", &c);
	assert_true(config_set(&c, "state-dir", "/b", &e));
	store = config_store_dir(&c);
	assert_string_equal(store, "/b/store");
	shows(&c, "store_dir", "/b/store");
	free(store);
	assert_true(config_set(&c, "store-dir", "/c", &e));
	store = config_store_dir(&c);
	assert_string_equal(store, "/c");
	free(store);
	config_done(&c);
}

static void comments_quotes_space_and_line_ends(void **state)
{
	struct config c = {0};

	load(state,
	     "\xEF\xBB\xBF# one\r\n; two\r\n\r\n[shunt]\r\n"
	     "  listen=\"\"\r\n\tengine_source =  a ;b # c  \r\nhold-limit\t=\t9",
	     &c);
	assert_string_equal(c.listen, "");
	assert_string_equal(c.engine_source, "a ;b # c");
	assert_int_equal(c.hold_limit, 9);
	config_done(&c);
}

static void a_long_line_stays_whole(void **state)
{
	CLEANUP(buf_done) struct buf text = {0};
	struct config c = {0};

	buf_str(&text, "worker_env =");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, " VARIABLE_%d=%d", i, i);
	load(state, text.data, &c);
	assert_string_equal(c.worker_env, text.data + strlen("worker_env = "));
	config_done(&c);
}

static void what_is_wrong_in_a_file_has_its_line(void **state)
{
	refused(state, "\n# x\nhold_limt = 5\n", 3, "unknown setting 'hold_limt'");
	refused(state, "listen = a\nnonsense\nhold_limt = 5\n", 2,
		"'nonsense' is not 'key = value'");
	refused(state, "= 5\n", 1, "'= 5' is not 'key = value'");
	refused(state, "[gateway]\nlisten = a\n", 1, "unknown section '[gateway]'");
	refused(state, "listen = a\nbuild_jobs = 4\n\nlisten = b\n", 4,
		"setting 'listen' stands on line 1 already");
	refused(state, "state_dir = ~/shunt\n", 1,
		"setting 'state_dir': '~/shunt' does not begin with '/'");
	refused(state, "state_dir = \"shunt\"\n", 1,
		"setting 'state_dir': 'shunt' does not begin with '/'");
	refused(state, "state_dir =\n", 1, "setting 'state_dir': must not be empty");
	refused(state, "build_priority = low\n", 1,
		"setting 'build_priority': 'low': expected idle or normal");
	refused(state, "offline = maybe\n", 1, "setting 'offline': 'maybe': expected yes or no");
	refused(state, "hf_endpoint = ftp://x\n", 1,
		"setting 'hf_endpoint': 'ftp://x' is not the address of a hub");
	refused(state, "hf_endpoint = https://x/?a\n", 1,
		"setting 'hf_endpoint': 'https://x/?a' is not the address of a hub");
	refused(state, "log_level = loud\n", 1,
		"setting 'log_level': 'loud': expected error, warn, info or debug");
	refused(state, "engine_cpu = z80\n", 1, "setting 'engine_cpu': unknown CPU 'z80'");
	refused(state, "listen = a\033[2Jb\n", 1,
		"setting 'listen': has a control character in it");
}

static void a_file_with_a_nul_is_refused(void **state)
{
	const char *path = test_path(*state, "nul.conf");
	struct config c = {0};
	struct err e = {0};

	test_write(path, "listen = a\n\0hold_limit = 3\n", 26);
	assert_false(config_load(path, &c, &e));
	assert_non_null(strstr(e.msg, "nul.conf' has a NUL byte"));
}

static void a_bad_variable_or_flag_is_named(void **state)
{
	struct config c = {0};
	struct err e = {0};

	assert_int_equal(setenv("SHUNT_HOLD_LIMIT", "many", 1), 0);
	assert_false(config_load(NULL, &c, &e));
	assert_string_equal(e.msg, "environment variable SHUNT_HOLD_LIMIT: setting 'hold_limit': "
				   "'many' is not a number from 0 to 100000");
	assert_string_equal(e.hint, "for example 512");
	assert_int_equal(unsetenv("SHUNT_HOLD_LIMIT"), 0);

	err_clear(&e);
	assert_true(config_load(NULL, &c, &e));
	assert_false(config_set(&c, "hold-lime", "5", &e));
	assert_string_equal(e.msg, "unknown setting 'hold-lime'");
	assert_non_null(strstr(e.hint, "listen, socket, state_dir"));
	config_done(&c);
}

static void paths_of_flags_are_made_absolute(void **state)
{
	CLEANUP(free) char *here = getcwd(NULL, 0);
	CLEANUP(free) char *expected = mem_printf("%s/x/y", here);
	struct config c = {0};
	struct err e = {0};

	assert_true(config_load(NULL, &c, &e));
	assert_true(config_set(&c, "state_dir", "x/y", &e));
	assert_string_equal(c.state_dir, expected);
	config_done(&c);
}

/* The value is taken and gives that number, or is refused: −1. */
static void number(const char *key, const char *value, int64_t expected)
{
	struct config c = {0};
	struct err e = {0};
	int64_t found = -1;

	assert_true(config_load(NULL, &c, &e));
	if (config_set(&c, key, value, &e))
		found = strcmp(key, "hold_timeout") == 0 ? c.hold_timeout_ms
			: strcmp(key, "hold_bytes") == 0 ? c.hold_bytes
							 : c.build_jobs;
	else
		assert_int_equal(e.kind, ERR_INVALID);
	if (found != expected)
		fail_msg("%s = '%s' gave %jd", key, value, (intmax_t)found);
	config_done(&c);
}

static void times_and_sizes_have_units(void **state)
{
	number("hold_timeout", "90", 90000);
	number("hold_timeout", "120 s", 120000);
	number("hold_timeout", "1500ms", 1500);
	number("hold_timeout", "2M", 120000);
	number("hold_timeout", "3 min", 180000);
	number("hold_timeout", "1h", 3600000);
	number("hold_bytes", "256 MB", 256 << 20);
	number("hold_bytes", "10kb", 10240);
	number("hold_bytes", "10KiB", 10240);
	number("hold_bytes", "2G", 2LL << 30);
	number("hold_bytes", "77", 77);
	number("build_jobs", " 4 ", 4);
	number("build_jobs", "\"4\"", 4);
}

static void numbers_have_bounds(void **state)
{
	static const char *const bad[] = {
		"",    "x",   "-1", "+1", "1.5", "0x10", "1 2", "5 apples", "99999999999999999999",
		"1e3", "1ss", "-0", "s",
	};
	static const char *const of[] = {"hold_timeout", "hold_bytes", "build_jobs"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (size_t k = 0; k < ARRAY_LEN(of); k++)
			number(of[k], bad[i], -1);
	}
	number("hold_timeout", "24h", 86400000);
	number("hold_timeout", "86401", -1);
	number("hold_timeout", "9223372036854775807h", -1);
	number("hold_bytes", "1024GB", 1LL << 40);
	number("hold_bytes", "1025GB", -1);
	number("hold_bytes", "9223372036854775807", -1);
	number("hold_bytes", "5s", -1);
	number("build_jobs", "1024", 1024);
	number("build_jobs", "1025", -1);
	number("build_jobs", "1KB", -1);
}

static void variables_are_words_with_commas_and_quotes(void **state)
{
	CLEANUP(strv_done) struct strv vars = {0};
	struct err e = {0};

	assert_true(config_variables("  A=0,1\tB= C_9=\"x  y\"z _D=a=b ", &vars, &e));
	assert_int_equal(vars.count, 4);
	assert_string_equal(vars.items[0], "A=0,1");
	assert_string_equal(vars.items[1], "B=");
	assert_string_equal(vars.items[2], "C_9=x  yz");
	assert_string_equal(vars.items[3], "_D=a=b");
}

static void malformed_variables_are_refused_by_name(void **state)
{
	static const struct {
		const char *value, *reason;
	} bad[] = {
		{"A=1 B", "'B' is not NAME=VALUE"},
		{"=1", "'=1' is not NAME=VALUE"},
		{"9A=1", "'9A=1' is not NAME=VALUE"},
		{"A-B=1", "'A-B=1' is not NAME=VALUE"},
		{"A=1, B=2 C", "'C' is not NAME=VALUE"},
		{"A=\"1", "a quote is open in 'A=\"1'"},
		{"A=1 B=2 A=3", "'A' is there twice"},
		{"GGML_BACKEND_PATH=/x", "'GGML_BACKEND_PATH' is set by Shunt itself"},
		{"A=1 \"\"", "'' is not NAME=VALUE"},
	};
	struct config c = {0};
	struct err e = {0};

	assert_true(config_load(NULL, &c, &e));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(free)
		char *expected = mem_printf("setting 'worker_env': %s", bad[i].reason);

		err_clear(&e);
		assert_false(config_set(&c, "worker_env", bad[i].value, &e));
		assert_string_equal(e.msg, expected);
		assert_string_equal(c.worker_env, "");
	}
	config_done(&c);
}

static void origins_are_scheme_and_host(void **state)
{
	static const char *const bad[] = {"example.org", "https://",     "https://a/",
					  "://a",        "https://a, b", "*"};
	struct config c = {0};
	struct err e = {0};

	assert_true(config_load(NULL, &c, &e));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err_clear(&e);
		assert_false(config_set(&c, "allowed_origins", bad[i], &e));
		assert_non_null(strstr(e.msg, "setting 'allowed_origins': '"));
		assert_non_null(strstr(e.hint, "https://"));
	}
	err_clear(&e);
	assert_true(config_set(&c, "allowed_origins", "http://a:80, https://b app://c", &e));
	config_done(&c);
}

static void a_list_is_its_words(void **state)
{
	CLEANUP(strv_done) struct strv words = {0};

	config_words(" ,a, b\tc,,", &words);
	assert_int_equal(words.count, 3);
	assert_string_equal(words.items[0], "a");
	assert_string_equal(words.items[1], "b");
	assert_string_equal(words.items[2], "c");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_file_there_are_defaults),
		TEST(the_xdg_folders_are_the_places),
		TEST(the_users_file_is_found_and_may_be_absent),
		TEST(a_named_file_must_be_there),
		TEST(later_wins_default_file_environment_flag),
		TEST(every_key_is_a_line_a_variable_and_a_flag),
		TEST(the_list_of_this_test_has_every_key),
		TEST(what_is_shown_is_read_again_unchanged),
		TEST(the_store_lies_in_the_state_folder_unless_it_is_named),
		TEST(comments_quotes_space_and_line_ends),
		TEST(a_long_line_stays_whole),
		TEST(what_is_wrong_in_a_file_has_its_line),
		TEST(a_file_with_a_nul_is_refused),
		TEST(a_bad_variable_or_flag_is_named),
		TEST(paths_of_flags_are_made_absolute),
		TEST(times_and_sizes_have_units),
		TEST(numbers_have_bounds),
		TEST(variables_are_words_with_commas_and_quotes),
		TEST(malformed_variables_are_refused_by_name),
		TEST(origins_are_scheme_and_host),
		TEST(a_list_is_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
