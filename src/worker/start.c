/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/http.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/worker_priv.h"

/* Between two questions for its health: short at first, for small models load in no time. */
#define ASK_FIRST_MS 10
#define ASK_LAST_MS 250
/* How long one that is healthy may take to say that it is ready, before we go by that. */
#define SAY_READY_MS 3000
#define STOP_MS 5000

/* Who waits for a start. */
struct waiter {
	struct worker *worker;
	void (*progress)(void *, double);
	bool (*cancelled)(void *);
	void *arg;
	double told;        /* the fraction it was told last */
	int64_t healthy_ms; /* since when it says that it is, 0: it doesn't */
	bool asked;         /* the main thread looks at its devices */
};

/* A copy of what is guarded. */
struct glance {
	enum worker_state state;
	bool over, said_ready;
	double fraction;
};

static struct glance look(struct worker *w)
{
	return (struct glance){atomic_load(&w->state), w->over, w->said_ready, w->fraction};
}

/* Returns when something has changed, or after so long. */
static struct glance wait_change(struct worker *w, struct glance last, int64_t ms)
{
	struct timespec until = clock_after(ms);
	struct glance now;
	int rc = 0;

	pthread_mutex_lock(&w->lock);
	now = look(w);
	while (rc == 0 && now.state == last.state && now.over == last.over &&
	       now.said_ready == last.said_ready && now.fraction <= last.fraction) {
		rc = pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &until);
		now = look(w);
	}
	pthread_mutex_unlock(&w->lock);
	return now;
}

static bool is_healthy(struct worker *w)
{
	CLEANUP(free) char *url = mem_printf("http://localhost%s", w->runtime->health);
	struct http_request ask = {.socket = w->socket, .url = url, .timeout_ms = 1000};
	CLEANUP(http_response_done) struct http_response answer = {0};
	struct err ignored = {0};

	return http_fetch(&ask, &answer, &ignored) && answer.status == 200;
}

static void tell(struct waiter *wa, double fraction)
{
	if (!wa->progress || fraction <= wa->told)
		return;
	wa->told = fraction;
	wa->progress(wa->arg, fraction);
}

static void ask_health(struct waiter *wa, const struct glance *now)
{
	if (wa->healthy_ms == 0 && is_healthy(wa->worker))
		wa->healthy_ms = clock_ms();
	if (wa->healthy_ms == 0 || wa->asked)
		return;
	if (now->said_ready || clock_ms() - wa->healthy_ms > SAY_READY_MS)
		wa->asked = supervisor_ask(wa->worker->sv, wa->worker, EV_READY);
}

static bool wait_ready(struct waiter *wa, struct err *e)
{
	struct worker *w = wa->worker;
	int64_t pause = ASK_FIRST_MS;
	struct glance now = {.state = WORKER_DOWN};

	while (true) {
		now = wait_change(w, now, pause);
		if (now.over) {
			*e = w->verdict; /* set before over, and never again */
			return false;
		}
		tell(wa, now.fraction);
		if (now.state == WORKER_RUNNING)
			return true;
		if (wa->cancelled && wa->cancelled(wa->arg))
			return err_set(e, ERR_CANCELLED, "cancelled while '%s' was loading",
				       w->model_id);
		if (now.state == WORKER_STARTING)
			ask_health(wa, &now);
		pause = pause * 2 < ASK_LAST_MS ? pause * 2 : ASK_LAST_MS;
	}
}

static struct worker *new_worker(struct supervisor *sv, const struct worker_spec *spec)
{
	struct worker *w = mem_alloc(sizeof(*w));

	atomic_init(&w->refs, 1);
	atomic_init(&w->state, WORKER_DOWN);
	w->sv = sv;
	w->model_id = mem_dup(spec->model_id);
	w->model_path = mem_dup(spec->model_path);
	w->environment = mem_dup(spec->environment);
	w->backend = mem_dup(spec->backend);
	w->device = mem_dup(spec->device);
	w->device_prefix = mem_dup(spec->device_prefix);
	w->mode = mem_dup(spec->mode ? spec->mode : "chat");
	w->runtime = spec->runtime;
	for (size_t i = 0; spec->command[i]; i++)
		strv_add(&w->command, spec->command[i]);
	for (size_t i = 0; spec->args && spec->args[i]; i++)
		strv_add(&w->args, spec->args[i]);
	for (size_t i = 0; spec->environ && spec->environ[i]; i++)
		strv_add(&w->environ, spec->environ[i]);
	/* Its presence makes llama-server speak to us on stdout and listen on stdin, which Python's
	 * launcher always does. */
	strv_add(&w->environ, "LLAMA_SERVER_ROUTER_PORT=1");
	w->slots = spec->slots > 0 ? spec->slots : 1;
	w->context.dir = mem_dup(spec->context_dir);
	w->context.key = mem_dup(spec->context_key ? spec->context_key : "");
	w->context.tokens = spec->context_tokens;
	w->folder_fd = w->input = w->lifeline = w->proc.pidfd = w->out.fd = w->out.log =
		w->dog.pulse.fd = -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	return w;
}

/* The id becomes a file name, the path is used from another folder. */
static bool check(const struct worker_spec *spec, struct err *e)
{
	if (spec->model_id[0] == '\0' || spec->model_id[0] == '.' || strchr(spec->model_id, '/'))
		return err_set(e, ERR_INVALID, "model id '%s' cannot name a log", spec->model_id);
	if (spec->model_path[0] != '/')
		return err_set(e, ERR_INVALID, "model '%s': its path '%s' is not absolute",
			       spec->model_id, spec->model_path);
	return true;
}

bool worker_start(struct supervisor *sv, const struct worker_spec *spec,
		  void (*progress)(void *, double), bool (*cancelled)(void *), void *arg,
		  struct worker **ret, struct err *e)
{
	CLEANUP(worker_unref) struct worker *w = NULL;
	struct waiter wa = {.progress = progress, .cancelled = cancelled, .arg = arg, .told = -1};

	if (!check(spec, e))
		return false;
	w = new_worker(sv, spec);
	wa.worker = w;
	if (!supervisor_ask(sv, w, EV_START))
		return err_set(e, ERR_UNAVAILABLE, "Shunt is stopping: '%s' is not started",
			       spec->model_id);
	if (!wait_ready(&wa, e)) {
		worker_stop(w);
		return false;
	}
	*ret = STEAL(w);
	return true;
}

void worker_stop(struct worker *w)
{
	struct timespec until = clock_after(STOP_MS);
	int rc = 0;

	/* One that is down may have outlived its supervisor. */
	pthread_mutex_lock(&w->lock);
	if (w->over) {
		pthread_mutex_unlock(&w->lock);
		return;
	}
	pthread_mutex_unlock(&w->lock);
	if (!supervisor_ask(w->sv, w, EV_STOP))
		return;
	pthread_mutex_lock(&w->lock);
	while (!w->over && rc == 0)
		rc = pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&w->lock);
	if (rc != 0)
		log_warn("worker does not end model=\"%s\" pid=%d, continuing", w->model_id,
			 worker_pid(w));
}
