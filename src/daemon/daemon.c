/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "backend/gpu_watch.h"
#include "backend/sysfs.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/part.h"
#include "daemon/data_dir.h"
#include "daemon/leave.h"
#include "daemon/manager.h"
#include "model/option.h"
#include "model/pull.h"
#include "switch/context.h"

#define ORPHAN_MS 5000

struct daemon {
	const struct config *config;
	int lock;    /* of the state folder */
	int signals; /* signalfd */
	int news;    /* epoll: signals, and the manager's clock */
	struct manager manager;
	struct leave *leave; /* NULL: not yet */
	char *owner;         /* names our roots in the store */
	char *api_key;
	char *self;
	struct gpu_watch *gpus;
	char *models_dir;
	struct pull_settings pull;
	char *envs_dir;
	struct strv worker_env, hosts, origins;
	struct db *db;
	struct store *store;
	struct engine *engine;
	struct tasks *tasks;
	struct envs *envs;
	struct supervisor *supervisor;
	struct routes *routes;
	struct contexts *contexts;
	struct switcher *switcher;
	struct gateway *gateway;
	struct api *api;
};

static bool is_dead(pid_t pid)
{
	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/* One daemon per state folder. One that was killed while it forked leaves a child that holds the
 * lock until it is the program it shall be: that is waited for. */
static bool lock_state(struct daemon *d, struct err *e)
{
	CLEANUP(free) char *path = fs_join(d->config->state_dir, "daemon.lock");
	const struct timespec pause = {.tv_nsec = 20000000};
	int64_t until = clock_ms() + ORPHAN_MS;

	if (!fs_lock(path, FS_LOCK_TRY, &d->lock, e))
		return false;
	while (d->lock < 0 && is_dead(fs_lock_holder(path)) && clock_ms() < until) {
		(void)nanosleep(&pause, NULL);
		if (!fs_lock(path, FS_LOCK_TRY, &d->lock, e))
			return false;
	}
	if (d->lock < 0) {
		err_set(e, ERR_CONFLICT,
			"state folder '%s' is held by another shunt daemon (pid %d)",
			d->config->state_dir, (int)fs_lock_holder(path));
		return err_hint(e, "stop that one, or give this one another state_dir");
	}
	return true;
}

/* 16 hex digits made once: our name among daemons that share a store. */
static bool read_owner(struct daemon *d, struct err *e)
{
	CLEANUP(free) char *path = fs_join(d->config->state_dir, "owner");
	unsigned char random[8];
	char text[17];

	if (fs_exists(path))
		return fs_read(path, 64, &d->owner, NULL, e);
	if (RAND_bytes(random, sizeof(random)) != 1)
		return err_set(e, ERR_SYSTEM, "no random bytes for the daemon's name");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(text + 2 * i, 3, "%02x", random[i]);
	d->owner = mem_dup(text);
	return fs_replace(path, text, 16, 0600, e);
}

static bool read_key(struct daemon *d, struct err *e)
{
	const char *file = d->config->api_key_file;

	if (!file[0])
		return true;
	if (!fs_read(file, 4096, &d->api_key, NULL, e))
		return err_wrap(e, "api_key_file");
	d->api_key[strcspn(d->api_key, "\r\n")] = '\0';
	if (strlen(d->api_key) < 16) {
		err_set(e, ERR_INVALID, "api_key_file '%s': the key has fewer than 16 characters",
			file);
		return err_hint(e, "openssl rand -hex 24 > %s", file);
	}
	return true;
}

static bool open_folders(struct daemon *d, struct err *e)
{
	static const char *const folders[] = {"",      "envs", "models", "logs",
					      "cache", "run",  "tasks"};

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		CLEANUP(free) char *path = fs_join(d->config->state_dir, folders[i]);

		if (!fs_mkdirs(path, 0700, e))
			return err_hint(e, "choose a folder that you may write with --state-dir");
	}
	d->models_dir = fs_join(d->config->state_dir, "models");
	d->envs_dir = fs_join(d->config->state_dir, "envs");
	d->pull = (struct pull_settings){.models_dir = d->models_dir,
					 .hf_endpoint = d->config->hf_endpoint,
					 .hf_token_file = d->config->hf_token_file,
					 .offline = strcmp(d->config->offline, "yes") == 0};
	return true;
}

static void sweep(const char *folder)
{
	int64_t bytes = part_sweep(folder, PULL_PART_AGE_S);

	if (bytes > 0)
		log_info("abandoned downloads removed folder=\"%s\" bytes=%" PRId64, folder, bytes);
}

static bool open_state(struct daemon *d, struct err *e)
{
	const struct config *c = d->config;
	CLEANUP(free) char *db = fs_join(c->state_dir, "shunt.db");
	CLEANUP(free) char *log_dir = fs_join(c->state_dir, "tasks");
	CLEANUP(free) char *store = config_store_dir(c);
	CLEANUP(free) char *cache = fs_join(c->state_dir, "cache");
	CLEANUP(free) char *data = data_dir();
	struct engine_settings es = {.data_dir = data,
				     .source = c->engine_source,
				     .cpu = c->engine_cpu,
				     .jobs = (int)c->build_jobs,
				     .hurry = strcmp(c->build_priority, "normal") == 0,
				     .offline = d->pull.offline,
				     .no_provision = strcmp(c->toolkit_provision, "never") == 0,
				     .cache_dir = cache};

	if (!db_open(db, &d->db, e) || !tasks_open(d->db, log_dir, &d->tasks, e) ||
	    !store_open(store, d->owner, &d->store, e) || !engine_open(&es, &d->engine, e))
		return false;
	sweep(d->models_dir);
	sweep(cache);
	if (!config_variables(c->worker_env, &d->worker_env, e))
		return err_wrap(e, "worker_env");
	struct envs_settings ns = {.db = d->db,
				   .store = d->store,
				   .engine = d->engine,
				   .envs_dir = d->envs_dir,
				   .cache_dir = cache,
				   .worker_env = strv_items(&d->worker_env),
				   .self = d->self,
				   .provision = strcmp(c->toolkit_provision, "auto") == 0};
	return envs_open(&ns, &d->envs, e);
}

static bool keeps_context(void *arg, const char *model_id)
{
	struct db_model m = {0};
	struct err ignored = {0};
	bool keeps = db_model_get(arg, model_id, &m, &ignored) &&
		     option_flag(m.options, "keep_context", false);

	db_model_done(&m);
	return keeps;
}

/* What a switch has left, and what nobody wants to keep any more, goes. */
static bool open_contexts(struct daemon *d, struct err *e)
{
	CLEANUP(free) char *dir = fs_join(d->config->state_dir, "context");

	if (!contexts_open(dir, d->config->context_bytes, &d->contexts, e))
		return false;
	contexts_sweep(d->contexts, keeps_context, d->db);
	return true;
}

static bool open_serving(struct daemon *d, struct err *e)
{
	const struct config *c = d->config;
	CLEANUP(free) char *run_dir = fs_join(c->state_dir, "run");
	CLEANUP(free) char *log_dir = fs_join(c->state_dir, "logs");
	struct route_limits limits = {.hold_timeout_ms = c->hold_timeout_ms,
				      .hold_limit = (int)c->hold_limit,
				      .hold_bytes = c->hold_bytes};
	struct switcher_settings ss = {.db = d->db,
				       .tasks = d->tasks,
				       .envs = d->envs,
				       .gpus = d->gpus,
				       .drain_timeout_ms = c->drain_timeout_ms,
				       .idle_unload_ms = c->idle_unload_ms,
				       .memory_limit = c->memory_limit,
				       .self = d->self};
	struct watch_limits watch = {.stall_ms = c->stall_timeout_ms,
				     .growth_bytes = c->worker_growth};

	/* After the supervisor: workers that outlived another daemon are gone. */
	if (!supervisor_open(run_dir, log_dir, &d->supervisor, e) || !open_contexts(d, e))
		return false;
	d->routes = routes_new(&limits);
	ss.supervisor = d->supervisor;
	ss.routes = d->routes;
	ss.contexts = d->contexts;
	if (!switcher_open(&ss, &d->switcher, e))
		return false;
	supervisor_set_limits(d->supervisor, &watch);
	supervisor_on_crash(d->supervisor, switcher_worker_crashed, d->switcher);
	supervisor_on_ailing(d->supervisor, switcher_worker_ailing, d->switcher);
	d->gateway = gateway_new(d->routes, d->switcher);
	gateway_set_fetch_media(d->gateway, strcmp(d->config->fetch_media, "yes") == 0);
	return true;
}

static bool open_api(struct daemon *d, struct err *e)
{
	config_words(d->config->allowed_hosts, &d->hosts);
	config_words(d->config->allowed_origins, &d->origins);
	struct api_settings as = {
		.listen = d->config->listen,
		.socket = d->config->socket,
		.api_key = d->api_key,
		.allowed_hosts = strv_items(&d->hosts),
		.allowed_origins = strv_items(&d->origins),
		.pull = &d->pull,
		.self = d->self,
		.worker_env = strv_items(&d->worker_env),
		.gpus = d->gpus,
		.envs_dir = d->envs_dir,
		.db = d->db,
		.store = d->store,
		.engine = d->engine,
		.envs = d->envs,
		.tasks = d->tasks,
		.switcher = d->switcher,
		.supervisor = d->supervisor,
		.routes = d->routes,
		.gateway = d->gateway,
	};

	return api_start(&as, &d->api, e);
}

/* The first ends it in time, the second at once. */
static void on_signal(struct daemon *d)
{
	struct leave_plan plan = {.api = d->api,
				  .gateway = d->gateway,
				  .engine = d->engine,
				  .tasks = d->tasks,
				  .switcher = d->switcher,
				  .supervisor = d->supervisor,
				  .notify = &d->manager.notify,
				  .drain_timeout_ms = d->config->drain_timeout_ms};
	struct signalfd_siginfo info;
	struct err e = {0};

	if (read(d->signals, &info, sizeof(info)) != sizeof(info))
		return;
	log_info("stopping signal=%u%s", info.ssi_signo, d->leave ? " at once" : "");
	if (d->leave) {
		leave_hurry(d->leave);
	} else if (!leave_start(&plan, &d->leave, &e)) {
		log_warn("requests are cut reason=\"%s\", continuing", e.msg);
		supervisor_quit(d->supervisor);
	}
}

static void on_news(void *arg)
{
	struct daemon *d = arg;

	on_signal(d);
	manager_tick(&d->manager, d->leave ? NULL : d->switcher);
}

/* SIGTERM and SIGINT come through a file descriptor, in every thread blocked; a broken pipe is an
 * error code. */
static bool block_signals(struct daemon *d, struct err *e)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signals >= 0 || err_sys(e, errno, "signalfd");
}

/* One descriptor for the main thread's loop. */
static bool gather_news(struct daemon *d, struct err *e)
{
	const int from[] = {d->signals, d->manager.clock};

	d->news = epoll_create1(EPOLL_CLOEXEC);
	if (d->news < 0)
		return err_sys(e, errno, "epoll");
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		struct epoll_event event = {.events = EPOLLIN};

		if (from[i] >= 0 && epoll_ctl(d->news, EPOLL_CTL_ADD, from[i], &event) < 0)
			return err_sys(e, errno, "epoll");
	}
	return true;
}

/* Requests in flight end first (their workers are gone), then what they used. */
static void take_down(struct daemon *d)
{
	leave_free(d->leave);
	if (d->api)
		api_stop(d->api);
	if (d->switcher)
		switcher_leave(d->switcher); /* its thread makes tasks */
	engine_stop(d->engine);              /* builds are interrupted, not cancelled */
	tasks_free(d->tasks);
	api_free(d->api);
	gateway_free(d->gateway);
	switcher_free(d->switcher);
	contexts_free(d->contexts);
	routes_free(d->routes);
	supervisor_free(d->supervisor);
	envs_free(d->envs);
	engine_free(d->engine);
	store_free(d->store);
	db_free(d->db);
	strv_done(&d->worker_env);
	strv_done(&d->hosts);
	strv_done(&d->origins);
	free(d->owner);
	if (d->api_key)
		explicit_bzero(d->api_key, strlen(d->api_key));
	free(d->api_key);
	gpu_watch_free(d->gpus);
	free(d->self);
	free(d->models_dir);
	free(d->envs_dir);
	manager_done(&d->manager);
	close_p(&d->news);
	close_p(&d->signals);
	close_p(&d->lock);
}

bool daemon_run(const struct config *c, struct err *e)
{
	struct daemon d = {.config = c, .lock = -1, .signals = -1, .news = -1};
	bool ok;

	umask(0077);
	d.self = fs_real("/proc/self/exe");
	d.gpus = gpu_watch_new(d.self, sysfs_root());
	manager_open(&d.manager);
	ok = block_signals(&d, e) && gather_news(&d, e) && open_folders(&d, e) &&
	     lock_state(&d, e) && read_owner(&d, e) && read_key(&d, e) && open_state(&d, e) &&
	     open_serving(&d, e) && open_api(&d, e);
	if (ok) {
		log_info("ready version=%s engine=%s port=%d socket=%s state=%s", SHUNT_VERSION,
			 engine_release(d.engine), api_port(d.api), c->socket, c->state_dir);
		manager_ready(&d.manager);
		switcher_start(d.switcher);
		supervisor_run(d.supervisor, d.news, on_news, &d);
	}
	take_down(&d);
	return ok;
}
