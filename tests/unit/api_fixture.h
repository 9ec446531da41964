/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The real HTTP server on a free port and a Unix socket, with the real
 * database, tasks and catalogue; the switcher, environments, workers and
 * gateway behind it are the few functions here.
 */

#include "test.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/http.h"
#include "gateway/lane.h"
#include "model/catalog.h"
#include "model/pull.h"
#include "switch/bench.h"
#include "worker/counts.h"

#define WAIT_MS 20000 /* far longer than anything here takes */

/* --- what is not real --------------------------------------------------- */

struct switcher {
	struct db *db;
	struct tasks *tasks;
	atomic_int added, removed, switched;
	sem_t gate;         /* posted: loads end */
	atomic_bool broken; /* loads fail */
	atomic_bool loaded;
};
struct worker {
	int pid;
};

static struct worker the_worker = {.pid = 4711};

struct route *routes_find(struct routes *rs, const char *model_id)
{
	return (struct route *)model_id; /* by its id, always */
}

const char *route_model(const struct route *r)
{
	return (const char *)r;
}

void switcher_model_added(struct switcher *sw, const char *id)
{
	atomic_fetch_add(&sw->added, 1);
}

bool switcher_model_removed(struct switcher *sw, const char *id, struct err *e)
{
	atomic_fetch_add(&sw->removed, 1);
	return true;
}

static bool load_step(struct task *t, void *arg, struct err *e)
{
	struct switcher *sw = arg;

	task_log_line(t, "loading é");
	for (struct timespec until = clock_after(20);
	     sem_clockwait(&sw->gate, CLOCK_MONOTONIC, &until) < 0; until = clock_after(20))
		if (task_cancelled(t))
			return err_set(e, ERR_CANCELLED, "cancelled");
	(void)sem_post(&sw->gate); /* for the next too */
	if (atomic_load(&sw->broken)) {
		(void)err_set(e, ERR_WORKER, "the worker ran out of memory");
		return err_hint(e, "use fewer layers");
	}
	atomic_store(&sw->loaded, true);
	return true;
}

static const struct task_step load_step_list[] = {{"Loading", 1, load_step, NULL}};

bool switch_load(struct switcher *sw, const char *id, const struct env_wish *w,
		 char ret_task[static TASK_ID_SIZE], struct err *e)
{
	struct task_spec spec = {.kind = "load",
				 .model = id,
				 .message = "Loading",
				 .lane = TASK_CONTROL,
				 .steps = load_step_list,
				 .step_count = 1,
				 .arg = sw};

	if (strcmp(id, "no-backend") == 0) {
		(void)err_set(e, ERR_CONFLICT, "model '%s' has no backend yet", id);
		return err_hint(e, "shunt switch %s cpu", id);
	}
	return tasks_submit(sw->tasks, &spec, ret_task, e);
}

bool switch_unload(struct switcher *sw, const char *id, bool force, struct err *e)
{
	if (!force && atomic_load(&sw->broken))
		return err_set(e, ERR_BUSY, "2 requests still run");
	atomic_store(&sw->loaded, false);
	return true;
}

bool switch_backend(struct switcher *sw, const char *id, const char *backend, enum reload reload,
		    bool force, const struct env_wish *w, struct switch_answer *ret, struct err *e)
{
	const struct backend *b = NULL;

	if (!backend_require(backend, &b, e))
		return false;
	atomic_fetch_add(&sw->switched, 1);
	(void)snprintf(ret->task, sizeof(ret->task), "%s", "00000000000000ab");
	(void)snprintf(ret->message, sizeof(ret->message), "to %s reload %d force %d", b->name,
		       reload, force);
	ret->instant = true;
	ret->environment = mem_printf("llm_%s_%s", id, b->name);
	return true;
}

bool switch_create_environment(struct switcher *sw, const char *id, const char *backend,
			       const struct env_wish *w, struct switch_answer *ret, struct err *e)
{
	return switch_backend(sw, id, backend, RELOAD_NO, false, w, ret, e);
}

bool switch_rebuild(struct switcher *sw, const char *name, const char *backend, enum reload reload,
		    bool force, const struct env_wish *w, struct switch_answer *ret, struct err *e)
{
	if (strcmp(name, "llm_tiny_cpu") != 0)
		return err_set(e, ERR_NOT_FOUND, "there is no environment '%s'", name);
	return switch_backend(sw, "tiny", backend, reload, force, w, ret, e);
}

char *switch_environment(const struct db_model *m, const struct backend *b)
{
	return env_name(m->id, b->name);
}

bool switch_benchmark(struct switcher *sw, const char *id, const char *const *backends,
		      char ret_task[static TASK_ID_SIZE], struct err *e)
{
	(void)snprintf(ret_task, TASK_ID_SIZE, "%s", "00000000000000ac");
	return true;
}

bool switch_forecast(struct switcher *sw, const struct db_model *m, const char *backend,
		     struct forecast *ret, struct err *e)
{
	*ret = (struct forecast){.backend = backend_find("cpu")};
	return true;
}

const char *fit_by_name(enum fit_by by)
{
	return "estimated";
}

char *bench_stale(struct switcher *sw, const struct db_model *m, const struct db_bench *b)
{
	return NULL;
}

double bench_seconds(const struct db_bench *b)
{
	return 1;
}

bool switcher_uses_piece(void *switcher, const char *digest)
{
	return false;
}

const char *model_state_name(enum model_state s)
{
	return s == MODEL_LOADED ? "loaded" : "unloaded";
}

void switcher_live(struct switcher *sw, const char *id, struct model_live *ret)
{
	bool loaded = atomic_load(&sw->loaded);

	*ret = (struct model_live){.state = loaded ? MODEL_LOADED : MODEL_UNLOADED,
				   .worker = loaded ? &the_worker : NULL,
				   .requests = {.running = 3, .waiting = 2, .total = 40}};
}

void switcher_context_totals(struct switcher *sw, struct context_totals *ret)
{
	*ret = (struct context_totals){.carried = 2, .tokens = 5000, .spared_ms = 1500};
}

void model_live_done(struct model_live *l)
{
	l->worker = NULL;
}

enum worker_state worker_state(const struct worker *w)
{
	return WORKER_RUNNING;
}

bool worker_counts(const struct worker *w, int timeout_ms, struct worker_counts *ret)
{
	*ret = (struct worker_counts){.answer_tokens = 50, .answer_seconds = 2};
	return true;
}

const char *worker_state_name(enum worker_state s)
{
	return "running";
}

int worker_pid(const struct worker *w)
{
	return w->pid;
}

const char *worker_backend(const struct worker *w)
{
	return "cpu";
}

const char *worker_environment(const struct worker *w)
{
	return "llm_tiny_cpu";
}

const char *worker_device(const struct worker *w)
{
	return "none";
}

int worker_slots(const struct worker *w)
{
	return 4;
}

int64_t worker_started(const struct worker *w)
{
	return 1700000000000;
}

void worker_took(const struct worker *w, struct worker_took *ret)
{
	*ret = (struct worker_took){0};
}

int64_t worker_memory_bytes(const struct worker *w)
{
	return 1 << 20;
}

char *supervisor_log_path(const struct supervisor *sv, const char *model_id)
{
	return mem_dup("/dev/null");
}

void engine_base_needs(const struct engine *en, int64_t *ret_disk, int64_t *ret_memory)
{
	*ret_disk = 0;
	*ret_memory = 0;
}

void engine_ask(struct engine *en, char compiler[static ENGINE_COMPILER], struct toolkit_ask *ret)
{
}

const char *engine_release(const struct engine *en)
{
	return "b1234";
}

bool envs_drop_roots(struct envs *es, bool (*used)(void *arg, const char *digest), void *arg,
		     struct err *e)
{
	return true;
}

bool envs_ready(struct envs *es, const char *name, const struct backend *b, struct db_env *ret)
{
	return strcmp(b->name, "cpu") == 0;
}

const char *envs_python_why_not(struct envs *es, const struct db_env *row)
{
	return row->python_digest ? NULL : "there is no python3 in PATH";
}

void envs_check(struct envs *es, const struct backend *b, const char *arch, struct toolkit *ret)
{
	*ret = (struct toolkit){0};
	ret->count = 1;
	(void)snprintf(ret->items[0].name, sizeof(ret->items[0].name), "glslc");
	(void)snprintf(ret->items[0].packages, sizeof(ret->items[0].packages), "glslc-package");
}

bool envs_toolkit(struct envs *es, const char *name, const struct backend *b,
		  const struct env_wish *w, struct toolkit *ret, struct err *e)
{
	envs_check(es, b, NULL, ret);
	return err_set(e, ERR_TOOLKIT, "%s needs glslc", b->name);
}

bool envs_remove(struct envs *es, const char *name, const char *used_by, struct err *e)
{
	if (used_by)
		return err_set(e, ERR_CONFLICT, "'%s' is in use by '%s'", name, used_by);
	return true;
}

bool envs_devices(struct envs *es, const char *name, struct env_device **ret, size_t *ret_count,
		  struct err *e)
{
	return err_set(e, ERR_VERIFY, "no device");
}

static bool insert_row(struct db *db, const char *id, const char *options, struct err *e)
{
	struct db_model m = {.id = (char *)id,
			     .path = (char *)"/models/x.gguf",
			     .architecture = (char *)"llama",
			     .quantization = (char *)"Q8_0",
			     .mode = (char *)"chat",
			     .options = (char *)options};

	return db_model_insert(db, &m, e);
}

bool catalog_add(struct db *db, const char *path, const char *id, const char *options, bool pulled,
		 struct db_model *ret, struct err *e)
{
	return insert_row(db, id, options, e) && db_model_get(db, id, ret, e);
}

bool catalog_describe(const char *path, const char *id, const char *options, bool pulled,
		      struct db_model *ret, struct err *e)
{
	return err_set(e, ERR_INVALID, "'%s' is no model", path);
}

bool catalog_enter(struct db *db, const struct db_model *m, struct err *e)
{
	return db_model_insert(db, m, e);
}

bool catalog_remove_files(const struct db_model *m, struct err *e)
{
	return unlink(m->path) == 0 || err_sys(e, errno, "removing '%s'", m->path);
}

bool catalog_pull_known(const char *name, struct err *e)
{
	return strcmp(name, "known") == 0 || err_set(e, ERR_NOT_FOUND, "nothing named '%s'", name);
}

static bool pull_step(struct task *t, void *arg, struct err *e)
{
	task_result(t, "{\"model\":\"pulled\"}");
	return insert_row(arg, "pulled", "{}", e);
}

bool catalog_pull(struct tasks *ts, struct db *db, const struct pull_settings *settings,
		  const char *name, const char *id, const char *options,
		  char ret_task[static TASK_ID_SIZE], struct err *e)
{
	static const struct task_step steps[] = {{"Fetching", 1, pull_step, NULL}};
	struct task_spec spec = {.kind = "pull",
				 .message = "Fetching",
				 .lane = TASK_PULL,
				 .steps = steps,
				 .step_count = 1,
				 .arg = db};

	return tasks_submit(ts, &spec, ret_task, e);
}

bool gateway_owns(const char *path)
{
	return strcmp(path, "/v1/chat/completions") == 0;
}

enum MHD_Result gateway_handle(struct gateway *g, struct MHD_Connection *c, int client_fd,
			       const char *method, const char *path, const char *body,
			       size_t body_len)
{
	char *text = mem_printf("{\"got\":%zu}", body_len);
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result = MHD_queue_response(c, MHD_HTTP_OK, r);

	MHD_destroy_response(r);
	return result;
}

bool lane_start(struct gateway *g, const struct lane_door *doors, size_t count, struct lane **ret,
		struct err *e)
{
	return false; /* there is no gateway */
}

void lane_stop(struct lane *l)
{
}

void lane_refuse_new(struct lane *l)
{
}

int lane_running(const struct lane *l)
{
	return 0;
}

int lane_connections(const struct lane *l)
{
	return 0;
}

bool gateway_takes_form(const char *path)
{
	return false;
}

const char *gateway_path_at(size_t i, const char **ret_summary)
{
	return NULL;
}

struct MHD_Response *gateway_error(const char *path, const struct err *e)
{
	char *text = mem_printf("{\"error\":{\"message\":\"%s\",\"openai\":true}}", e->msg);

	return MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
}

/* --- the fixture -------------------------------------------------------- */

struct fixture {
	char *dir;
	char socket[108];
	struct switcher switcher;
	struct pull_settings pull;
	struct api_settings settings;
	struct api *api;
};

TEST_MAYBE static void must(bool ok, const struct err *e)
{
	if (!ok)
		fail_msg("%s (%s)", e->msg, e->hint);
}

TEST_MAYBE static void add_model(struct fixture *f, const char *id)
{
	struct err e = {0};

	must(insert_row(f->settings.db, id, "{}", &e), &e);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = {0};
	static const char *const origins[] = {"https://chat.example.org", NULL};

	assert_non_null(f);
	f->dir = test_dir_new();
	(void)snprintf(f->socket, sizeof(f->socket), "%s/run/api.sock", f->dir);
	f->pull.models_dir = f->dir;
	f->settings = (struct api_settings){.listen = "127.0.0.1:0",
					    .socket = f->socket,
					    .allowed_origins = origins,
					    .pull = &f->pull,
					    .self = "/bin/false",
					    .switcher = &f->switcher,
					    .routes = (struct routes *)f};
	must(db_open(test_path(f->dir, "db"), &f->settings.db, &e), &e);
	must(tasks_open(f->settings.db, test_path(f->dir, "tasks"), &f->settings.tasks, &e), &e);
	must(store_open(test_path(f->dir, "store"), "0123456789abcdef", &f->settings.store, &e),
	     &e);
	assert_int_equal(sem_init(&f->switcher.gate, 0, 0), 0);
	f->switcher.db = f->settings.db;
	f->switcher.tasks = f->settings.tasks;
	must(api_start(&f->settings, &f->api, &e), &e);
	add_model(f, "tiny");
	add_model(f, "no-backend");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	api_free(f->api);
	tasks_free(f->settings.tasks);
	store_free(f->settings.store);
	db_free(f->settings.db);
	test_dir_free(f->dir);
	free(f);
	return 0;
}

/* --- asking ------------------------------------------------------------- */

/* Over the Unix socket; the answer as JSON (NULL: it is none), the caller's. */
TEST_MAYBE static json_t *ask(struct fixture *f, const char *method, const char *path,
			      const char *body, int status)
{
	CLEANUP(http_response_done) struct http_response r = {0};
	CLEANUP(free) char *url = mem_printf("http://localhost%s", path);
	struct http_request q = {.socket = f->socket,
				 .method = method,
				 .url = url,
				 .body = body,
				 .timeout_ms = WAIT_MS};
	struct err e = {0};

	must(http_fetch(&q, &r, &e), &e);
	if (r.status != status)
		fail_msg("%s %s %s: %d %s", method, path, body ? body : "", r.status, r.body);
	return json_loadb(r.body, r.len, 0, NULL);
}

TEST_MAYBE static const char *text_at(const json_t *answer, const char *a, const char *b)
{
	const json_t *value = json_object_get(answer, a);
	const char *text;

	if (b)
		value = json_object_get(value, b);
	text = json_string_value(value);
	return text ? text : "";
}

/* An error of this status whose message or hint holds `says`. */
TEST_MAYBE static void ask_wrong(struct fixture *f, const char *method, const char *path,
				 const char *body, int status, const char *says)
{
	json_t *answer = ask(f, method, path, body, status);

	assert_true(json_is_false(json_object_get(answer, "success")));
	assert_string_not_equal(text_at(answer, "error", "type"), "");
	if (!strstr(text_at(answer, "error", "message"), says) &&
	    !strstr(text_at(answer, "error", "hint"), says))
		fail_msg("%s %s: '%s' is not said: %s", method, path, says,
			 text_at(answer, "error", "message"));
	json_decref(answer);
}

/* A TCP connection to the server. */
TEST_MAYBE static int dial(struct fixture *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)api_port(f->api)),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Until the server closes, or a whole answer with its length is there. Caller
 * frees. */
TEST_MAYBE static char *read_answer(int fd)
{
	struct buf b = {0};
	char piece[4096];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		const char *end, *length;

		buf_add(&b, piece, (size_t)n);
		end = strstr(b.data, "\r\n\r\n");
		length = end ? strcasestr(b.data, "\r\nContent-Length:") : NULL;
		if (length && strlen(end + 4) >= strtoul(length + 17, NULL, 10))
			break;
	}
	return buf_steal(&b);
}

/* Raw bytes to the server; its whole answer, the caller's. */
TEST_MAYBE static char *ask_raw(struct fixture *f, const char *request)
{
	int fd = dial(f);
	size_t len = strlen(request);
	char *answer;

	while (len > 0) {
		ssize_t n = send(fd, request, len, MSG_NOSIGNAL);

		if (n <= 0)
			break; /* it has closed: what it said counts */
		request += n;
		len -= (size_t)n;
	}
	answer = read_answer(fd);
	(void)close(fd);
	return answer;
}

TEST_MAYBE static void check_raw(struct fixture *f, const char *request, int status,
				 const char *says)
{
	CLEANUP(free) char *answer = ask_raw(f, request);
	char line[32];

	(void)snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	if (strncmp(answer, line, strlen(line)) != 0 || !strstr(answer, says))
		fail_msg("%.200s: not %d '%s' but '%s'", request, status, says, answer);
}
