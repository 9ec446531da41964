/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>
#include <sys/un.h>

#include "api_fixture.h"

static void it_answers_on_both_sockets(void **state)
{
	struct fixture *f = *state;
	json_t *answer = ask(f, "GET", "/health", NULL, 200);
	struct stat st;

	assert_true(json_is_true(json_object_get(answer, "success")));
	json_decref(answer);
	check_raw(f, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "\"status\":\"ok\"");
	check_raw(f, "HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200,
		  "application/json");
	assert_int_equal(stat(f->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(test_path(f->dir, "run"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void strangers_are_refused_and_told_why(void **state)
{
	struct fixture *f = *state;

	check_raw(f, "GET /health HTTP/1.1\r\n\r\n", 403, "no Host");
	check_raw(f, "GET /health HTTP/1.1\r\nHost:\r\n\r\n", 403, "no Host");
	check_raw(f, "GET /health HTTP/1.0\r\n\r\n", 403, "no Host");
	check_raw(f, "GET /health HTTP/1.1\r\nHost: evil.example.org\r\n\r\n", 403, "Host");
	check_raw(f, "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: x\r\n\r\n", 403,
		  "more than one");
	check_raw(f,
		  "POST /llm/api/models/tiny/unload HTTP/1.1\r\nHost: localhost\r\n"
		  "Origin: https://evil.example.org\r\n\r\n",
		  403, "Origin");
	check_raw(f,
		  "GET /health HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: "
		  "cross-site\r\n\r\n",
		  403, "Sec-Fetch-Site");
	check_raw(f,
		  "POST /llm/api/models/tiny/unload HTTP/1.1\r\nHost: localhost\r\n"
		  "Content-Length: 2\r\n\r\n{}",
		  400, "Content-Type");
	check_raw(f,
		  "POST /llm/api/models/tiny/unload HTTP/1.1\r\nHost: localhost\r\n"
		  "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
		  400, "text/plain");
	check_raw(f, "POST /llm/api/models/tiny/unload HTTP/1.1\r\nHost: localhost\r\n\r\n", 200,
		  "\"model\"");
	check_raw(f,
		  "POST /v1/chat/completions HTTP/1.1\r\nHost: evil.org\r\n"
		  "Content-Length: 0\r\n\r\n",
		  403, "\"openai\":true");
}

static void allowed_origins_may_read(void **state)
{
	struct fixture *f = *state;

	check_raw(f,
		  "OPTIONS /llm/api/models HTTP/1.1\r\nHost: localhost\r\n"
		  "Origin: https://chat.example.org\r\nSec-Fetch-Site: cross-site\r\n"
		  "Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n",
		  204, "Access-Control-Allow-Origin: https://chat.example.org");
	check_raw(f,
		  "GET /health HTTP/1.1\r\nHost: localhost\r\n"
		  "Origin: https://chat.example.org\r\nSec-Fetch-Site: cross-site\r\n\r\n",
		  200, "Access-Control-Allow-Origin: https://chat.example.org");
}

static void wrong_paths_and_methods(void **state)
{
	struct fixture *f = *state;

	ask_wrong(f, "GET", "/nothing", NULL, 404, "docs/api.md");
	ask_wrong(f, "GET", "/llm/api/models/", NULL, 404, "leave the '/'");
	ask_wrong(f, "PUT", "/llm/api/models", "{}", 405, "GET");
	check_raw(f, "DELETE /llm/api/models HTTP/1.1\r\nHost: localhost\r\n\r\n", 405,
		  "Allow: GET, HEAD, POST");
	ask_wrong(f, "POST", "/llm/api/models/tiny/benchmark", "{\"x\":1}", 400, "'x'");
	ask_wrong(f, "POST", "/llm/api/venv/llm_tiny_cpu/rebuild", "{}", 400, "gpu_backend");
	ask_wrong(f, "POST", "/llm/api/venv/..%2Fx/rebuild", "{\"gpu_backend\":\"cpu\"}", 404,
		  "../x");
	ask_wrong(f, "GET", "/llm/api/models?state=loaded", NULL, 400, "'state'");
	ask_wrong(f, "GET", "/tasks?limit=1&limit=2", NULL, 400, "twice");
}

static void ids_that_are_none(void **state)
{
	struct fixture *f = *state;
	char longest[512] = "/llm/api/models/";

	ask_wrong(f, "GET", "/llm/api/models/a%2Fb", NULL, 400, "not a model id");
	ask_wrong(f, "GET", "/llm/api/models/%2E%2E", NULL, 400, "not a model id");
	ask_wrong(f, "GET", "/llm/api/models/a%00b", NULL, 400, "escape");
	ask_wrong(f, "GET", "/llm/api/models/a%2", NULL, 400, "escape");
	ask_wrong(f, "GET", "/llm/api/models/%ff", NULL, 400, "not a model id");
	ask_wrong(f, "DELETE", "/llm/api/models/loaded", NULL, 400, "reserved");
	ask_wrong(f, "GET", "/llm/api/models/-x", NULL, 400, "not a model id");
	memset(longest + strlen(longest), 'x', 300);
	ask_wrong(f, "GET", longest, NULL, 400, "1 to 200");
	ask_wrong(f, "GET", "/llm/api/models/nobody", NULL, 404, "nobody");
	json_decref(ask(f, "GET", "/llm/api/models/t%69ny", NULL, 200));
	ask_wrong(f, "GET", "/llm/api/environments/none", NULL, 404, "none");
	ask_wrong(f, "GET", "/llm/api/toolkit/check/quantum", NULL, 400, "vulkan");
	ask_wrong(f, "GET", "/tasks/0123456789abcdef", NULL, 404, "0123456789abcdef");
	ask_wrong(f, "GET", "/tasks/..%2F..%2Fetc%2Fpasswd/log", NULL, 404, "16 hexadecimal");
}

static void bodies_that_are_none(void **state)
{
	static const struct {
		const char *path, *body, *says;
	} rows[] = {
		{"/llm/api/models", "{", "not JSON"},
		{"/llm/api/models", "[]", "object"},
		{"/llm/api/models", "{\"path\":1}", "'path' must be a string"},
		{"/llm/api/models", "{\"path\":\"/x\",\"colour\":1}", "'colour'"},
		{"/llm/api/models", "{\"path\":\"/x\\u0000y\"}", "JSON"},
		{"/llm/api/models", "{\"path\":\"/x\",\"path\":\"/y\"}", "duplicate"},
		{"/llm/api/models", "{\"path\":\"x\"}", "absolute"},
		{"/llm/api/models", "{\"path\":\"/x\",\"pull\":\"y\"}", "both"},
		{"/llm/api/models", "{}", "neither"},
		{"/llm/api/models", "{\"path\":\"/x\",\"id\":\"\"}", "not a model id"},
		{"/llm/api/models", "{\"path\":\"/x\",\"gpu_backend\":\"quantum\"}", "quantum"},
		{"/llm/api/models/tiny/switch-backend", "{}", "'gpu_backend' is missing"},
		{"/llm/api/models/tiny/switch-backend", "{\"gpu_backend\":\"quantum\"}", "quantum"},
		{"/llm/api/models/tiny/switch-backend",
		 "{\"gpu_backend\":\"cpu\",\"reload\":\"maybe\"}", "reload"},
		{"/llm/api/models/tiny/switch-backend", "{\"gpu_backend\":\"cpu\",\"force\":1}",
		 "force"},
		{"/llm/api/models/tiny/load", "{\"n_ctx\":\"many\"}", "n_ctx"},
		{"/llm/api/models/tiny/load?wait=perhaps", "{}", "wait"},
		{"/llm/api/environments/gc", "{\"dry\":true}", "'dry'"},
	};
	struct fixture *f = *state;
	struct buf deep = {0};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ask_wrong(f, "POST", rows[i].path, rows[i].body, 400, rows[i].says);
	for (int i = 0; i < 100000; i++)
		buf_str(&deep, "[");
	ask_wrong(f, "POST", "/llm/api/models", deep.data, 400, "deeper than 64");
	buf_done(&deep);
}

static void bodies_that_are_too_large(void **state)
{
	struct fixture *f = *state;
	struct buf body = {0};
	json_t *answer;

	buf_str(&body, "{\"path\":\"");
	for (int i = 0; i < 2 << 16; i++)
		buf_str(&body, "xxxxxxxxxxxxxxxx");
	buf_str(&body, "\"}");
	ask_wrong(f, "POST", "/llm/api/models", body.data, 413, "at most 1048576");
	answer = ask(f, "POST", "/v1/chat/completions", body.data, 200);
	assert_int_equal(json_integer_value(json_object_get(answer, "got")), body.len);
	json_decref(answer);
	buf_done(&body);
	check_raw(f,
		  "POST /llm/api/models HTTP/1.1\r\nHost: localhost\r\n"
		  "Content-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n",
		  413, "1000000000000");
	check_raw(f,
		  "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
		  "Content-Type: application/json\r\nContent-Length: 67108865\r\n\r\n",
		  413, "\"openai\":true");
}

static void chunked_bodies_are_counted_too(void **state)
{
	struct fixture *f = *state;
	struct buf request = {0};

	buf_str(&request, "POST /llm/api/models HTTP/1.1\r\nHost: localhost\r\n"
			  "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 300; i++)
		buf_printf(&request, "1000\r\n%04096d\r\n", 0);
	buf_str(&request, "0\r\n\r\n");
	check_raw(f, request.data, 413, "too large");
	buf_done(&request);
}

static void headers_are_bounded(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *answer = NULL;
	CLEANUP(free)
	char *request =
		mem_printf("GET /health HTTP/1.1\r\nHost: localhost\r\nX: %070000d\r\n\r\n", 0);

	answer = ask_raw(f, request);
	assert_null(strstr(answer, " 200 "));
	json_decref(ask(f, "GET", "/health", NULL, 200));
}

static void models_are_shown_changed_and_forgotten(void **state)
{
	struct fixture *f = *state;
	json_t *answer = ask(f, "GET", "/llm/api/models", NULL, 200);
	const json_t *model = json_array_get(json_object_get(answer, "models"), 1);

	assert_int_equal(json_array_size(json_object_get(answer, "models")), 2);
	assert_string_equal(text_at(model, "id", NULL), "tiny");
	assert_string_equal(text_at(model, "state", NULL), "unloaded");
	assert_true(json_is_null(json_object_get(model, "worker")));
	assert_true(json_is_null(json_object_get(model, "gpu_backend")));
	json_decref(answer);

	answer = ask(f, "PATCH", "/llm/api/models/tiny", "{\"n_ctx\":1024}", 200);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(answer, "needs_reload"), 0)),
		"n_ctx");
	model = json_object_get(json_object_get(answer, "model"), "options");
	assert_int_equal(json_integer_value(json_object_get(model, "n_ctx")), 1024);
	json_decref(answer);
	ask_wrong(f, "PATCH", "/llm/api/models/tiny", "{\"gpu_backend\":\"cpu\"}", 400,
		  "gpu_backend");
	ask_wrong(f, "PATCH", "/llm/api/models/tiny", "{\"n_ctx\":-5}", 400, "n_ctx");

	answer = ask(f, "GET", "/v1/models", NULL, 200);
	assert_string_equal(text_at(answer, "object", NULL), "list");
	assert_int_equal(json_array_size(json_object_get(answer, "data")), 2);
	json_decref(answer);

	answer = ask(f, "DELETE", "/llm/api/models/tiny?delete_file=true", NULL, 200);
	assert_true(json_is_false(json_object_get(answer, "file_deleted")));
	json_decref(answer);
	assert_int_equal(atomic_load(&f->switcher.removed), 1);
	ask_wrong(f, "GET", "/llm/api/models/tiny", NULL, 404, "tiny");
}

static void a_file_is_added_with_options_and_backend(void **state)
{
	struct fixture *f = *state;
	json_t *answer, *options;

	answer =
		ask(f, "POST", "/llm/api/models",
		    "{\"path\":\"/m/New Model.gguf\",\"gpu_backend\":\"cpu\",\"n_ctx\":2048}", 201);
	options = json_object_get(json_object_get(answer, "model"), "options");
	assert_string_equal(text_at(answer, "model", "id"), "New-Model");
	assert_int_equal(json_integer_value(json_object_get(options, "n_ctx")), 2048);
	assert_string_equal(text_at(answer, "task_id", NULL), "00000000000000ab");
	json_decref(answer);
	assert_int_equal(atomic_load(&f->switcher.added), 1);
	assert_int_equal(atomic_load(&f->switcher.switched), 1);

	/* What cannot be built is said before anything is added. */
	ask_wrong(f, "POST", "/llm/api/models",
		  "{\"path\":\"/m/other.gguf\",\"gpu_backend\":\"vulkan\"}", 424, "glslc");
	ask_wrong(f, "GET", "/llm/api/models/other", NULL, 404, "other");
}

static void a_pull_ends_with_options_and_backend(void **state)
{
	struct fixture *f = *state;
	int64_t deadline = clock_ms() + WAIT_MS;
	struct db_model m = {0};
	struct err e = {0};
	json_t *answer;

	ask_wrong(f, "POST", "/llm/api/models", "{\"pull\":\"unknown\"}", 404, "unknown");
	answer =
		ask(f, "POST", "/llm/api/models",
		    "{\"pull\":\"known\",\"id\":\"pulled\",\"gpu_backend\":\"cpu\",\"n_ctx\":2048}",
		    202);
	assert_int_equal(strlen(text_at(answer, "task_id", NULL)), TASK_ID_SIZE - 1);
	json_decref(answer);
	while (atomic_load(&f->switcher.switched) == 0)
		assert_true(clock_ms() < deadline);
	must(db_model_get(f->settings.db, "pulled", &m, &e), &e);
	assert_non_null(strstr(m.options, "2048"));
	db_model_done(&m);
}

static void a_switch_answers_as_the_document_says(void **state)
{
	struct fixture *f = *state;
	json_t *answer = ask(f, "POST", "/llm/api/models/tiny/switch-backend",
			     "{\"gpu_backend\":\"CPU\",\"reload\":false,\"force\":true}", 202);

	assert_string_equal(text_at(answer, "task_id", NULL), "00000000000000ab");
	assert_true(json_is_true(json_object_get(answer, "instant_switch")));
	assert_string_equal(text_at(answer, "message", NULL), "to cpu reload 1 force 1");
	assert_string_equal(text_at(answer, "environment", NULL), "llm_tiny_cpu");
	json_decref(answer);
	ask_wrong(f, "POST", "/llm/api/models/nobody/switch-backend", "{\"gpu_backend\":\"cpu\"}",
		  404, "nobody");
}

static void environments_backends_and_numbers(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *metrics = NULL;
	json_t *answer;

	answer = ask(f, "GET", "/llm/api/models/tiny/environment-status", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(answer, "environments")), 4);
	json_decref(answer);
	answer = ask(f, "GET", "/llm/api/toolkit/check/vk", NULL, 200);
	assert_non_null(strstr(text_at(answer, "toolkit", "install"), "glslc-package"));
	json_decref(answer);
	answer = ask(f, "GET", "/llm/api/backends", NULL, 200);
	assert_int_equal(json_array_size(json_object_get(answer, "backends")), 4);
	json_decref(answer);
	json_decref(ask(f, "POST", "/llm/api/backends/refresh", NULL, 200));
	answer = ask(f, "GET", "/llm/api/hardware/detect", NULL, 200);
	assert_true(json_integer_value(json_object_get(json_object_get(answer, "cpu"), "cores")) >
		    0);
	json_decref(answer);
	answer = ask(f, "POST", "/llm/api/environments/gc", "{\"dry_run\":true}", 200);
	assert_int_equal(json_array_size(json_object_get(answer, "removed")), 0);
	json_decref(answer);
	ask_wrong(f, "DELETE", "/llm/api/models/tiny/delete-environment", NULL, 400, "gpu_backend");
	json_decref(ask(f, "DELETE", "/llm/api/models/tiny/delete-environment?gpu_backend=cuda",
			NULL, 200));
	metrics = ask_raw(f, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_non_null(strstr(metrics, "shunt_requests_running{model=\"tiny\"} 3"));
	assert_non_null(strstr(metrics, "shunt_context_moves_total{result=\"carried\"} 2\n"));
	assert_non_null(strstr(metrics, "shunt_context_tokens_total 5000\n"));
	assert_non_null(strstr(metrics, "shunt_context_spared_seconds 1.500\n"));
	assert_non_null(strstr(metrics, "shunt_models{state=\"unloaded\"} 2"));
}

static void an_environment_in_use_stays(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct db_env env = {.name = (char *)"llm_tiny_cpu",
			     .backend = (char *)"cpu",
			     .state = (char *)"ready",
			     .device = (char *)"none",
			     .size_bytes = 77,
			     .verified = 1700000000000};
	json_t *answer;

	must(db_env_put(f->settings.db, &env, &e), &e);
	answer = ask(f, "DELETE", "/llm/api/environments/llm_tiny_cpu", NULL, 200);
	assert_string_equal(text_at(answer, "name", NULL), "llm_tiny_cpu");
	json_decref(answer);
	must(db_model_associate(f->settings.db, "tiny", "cpu", "llm_tiny_cpu", &e), &e);
	ask_wrong(f, "DELETE", "/llm/api/models/tiny/delete-environment?gpu_backend=cpu", NULL, 409,
		  "in use by 'tiny'");
	ask_wrong(f, "DELETE", "/llm/api/environments/llm_tiny_cpu", NULL, 409, "in use by 'tiny'");
	answer = ask(f, "GET", "/llm/api/environments/llm_tiny_cpu", NULL, 200);
	assert_string_equal(text_at(answer, "environment", "state"), "ready");
	assert_string_equal(
		text_at(json_object_get(answer, "environment"), "verification", "device"), "none");
	assert_string_equal(text_at(json_object_get(answer, "environment"), "python", "why_not"),
			    "there is no python3 in PATH");
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(answer, "environment"), "models")),
		1);
	json_decref(answer);
}

/* --- many at once ------------------------------------------------------- */

static void *change_options(void *arg)
{
	struct fixture *f = arg;

	for (int i = 1; i <= 10; i++) {
		char body[64];

		(void)snprintf(body, sizeof(body), "{\"n_ctx\":%d}", i * 256);
		json_decref(ask(f, "PATCH", "/llm/api/models/tiny", body, 200));
		json_decref(ask(f, "GET", "/llm/api/models", NULL, 200));
	}
	return NULL;
}

static void ten_clients_at_once(void **state)
{
	pthread_t threads[10];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, change_options, *state), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		(void)pthread_join(threads[i], NULL);
}

/* --- starting ----------------------------------------------------------- */

static void check_start(struct fixture *f, const char *listen, const char *socket, const char *key,
			enum err_kind kind, const char *says)
{
	struct api_settings s = f->settings;
	struct api *second = NULL;
	struct err e = {0};
	bool ok;

	s.listen = listen;
	s.socket = socket;
	s.api_key = key;
	ok = api_start(&s, &second, &e);
	api_free(second);
	if (ok != (kind == ERR_NONE) || e.kind != kind || !strstr(e.msg, says))
		fail_msg("%s %s: %s (%s)", listen ? listen : "", socket ? socket : "", e.msg,
			 e.hint);
}

static void what_cannot_be_listened_on_is_said(void **state)
{
	struct fixture *f = *state;
	char taken[32], longest[200];

	(void)snprintf(taken, sizeof(taken), "127.0.0.1:%d", api_port(f->api));
	check_start(f, taken, NULL, NULL, ERR_CONFLICT, taken);
	check_start(f, NULL, f->socket, NULL, ERR_CONFLICT, "another daemon");
	check_start(f, "127.0.0.1", NULL, NULL, ERR_INVALID, "not an address");
	check_start(f, "127.0.0.1:x", NULL, NULL, ERR_INVALID, "not an address");
	check_start(f, "127.0.0.1:70000", NULL, NULL, ERR_INVALID, "not an address");
	check_start(f, ":7717", NULL, NULL, ERR_INVALID, "not an address");
	check_start(f, "[::1:7717", NULL, NULL, ERR_INVALID, "not an address");
	check_start(f, "example.org:80", NULL, NULL, ERR_INVALID, "not an address");
	check_start(f, "0.0.0.0:0", NULL, NULL, ERR_INVALID, "api_key_file");
	check_start(f, "0.0.0.0:0", NULL, "0123456789abcdef", ERR_NONE, "");
	check_start(f, "localhost:0", NULL, NULL, ERR_NONE, "");
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	check_start(f, NULL, longest, NULL, ERR_INVALID, "longer than");
	test_write(test_path(f->dir, "file"), "x", 1);
	check_start(f, NULL, test_path(f->dir, "file"), NULL, ERR_CONFLICT, "not a socket");
	check_start(f, NULL, NULL, NULL, ERR_NONE, "");
}

static void a_dead_daemons_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.90s/dead", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)close(fd);
	check_start(f, NULL, a.sun_path, NULL, ERR_NONE, "");
	assert_int_equal(access(a.sun_path, F_OK), -1); /* removed at its end */
}

static void a_key_is_asked_for_on_tcp_only(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	api_free(f->api);
	f->settings.listen = "0.0.0.0:0";
	f->settings.api_key = "0123456789abcdef";
	must(api_start(&f->settings, &f->api, &e), &e);
	check_raw(f, "GET /health HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", 401, "needs an API key");
	check_raw(f, "GET /health HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Api-Key: x\r\n\r\n", 401,
		  "wrong");
	check_raw(f,
		  "GET /health HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Api-Key: "
		  "0123456789abcdef\r\n\r\n",
		  200, "ok");
	json_decref(ask(f, "GET", "/health", NULL, 200));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_answers_on_both_sockets),
		TEST(strangers_are_refused_and_told_why),
		TEST(allowed_origins_may_read),
		TEST(wrong_paths_and_methods),
		TEST(ids_that_are_none),
		TEST(bodies_that_are_none),
		TEST(bodies_that_are_too_large),
		TEST(chunked_bodies_are_counted_too),
		TEST(headers_are_bounded),
		TEST(models_are_shown_changed_and_forgotten),
		TEST(a_file_is_added_with_options_and_backend),
		TEST(a_pull_ends_with_options_and_backend),
		TEST(a_switch_answers_as_the_document_says),
		TEST(environments_backends_and_numbers),
		TEST(an_environment_in_use_stays),
		TEST(ten_clients_at_once),
		TEST(what_cannot_be_listened_on_is_said),
		TEST(a_dead_daemons_socket_is_replaced),
		TEST(a_key_is_asked_for_on_tcp_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
