/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/death.h"
#include "worker/worker_priv.h"

/* The first reason stays: what follows from our own killing is none. */
static void judge(struct worker *w, const struct err *why)
{
	pthread_mutex_lock(&w->lock);
	if (w->verdict.kind == ERR_NONE)
		w->verdict = *why;
	pthread_mutex_unlock(&w->lock);
}

void worker_refuse(struct worker *w, const struct err *why)
{
	judge(w, why);
	spawn_clean(w);
	worker_set_state(w, WORKER_DOWN);
}

void worker_heard(struct worker *w)
{
	const struct load_facts *f = &w->out.facts;

	atomic_store(&w->output_bytes, w->out.bytes);
	pthread_mutex_lock(&w->lock);
	w->memory = f->memory;
	w->layers_on = f->layers_on;
	w->layers = f->layers;
	if (f->fraction > w->fraction || f->ready != w->said_ready)
		pthread_cond_broadcast(&w->changed);
	w->fraction = f->fraction;
	w->said_ready = f->ready;
	pthread_mutex_unlock(&w->lock);
}

/* Actions. */

static void spawn(struct worker *w)
{
	struct err e = {0};

	if (!spawn_server(w, &e)) {
		(void)err_wrap(&e, "starting its process");
		worker_refuse(w, &e);
		return;
	}
	w->deadline_ms = clock_ms() + watchdog_pause_ms(w);
	worker_set_state(w, WORKER_STARTING);
}

/* What ends it, harsher step by step. A stream that is open makes it deaf to all but the last; a
 * SIGTERM before it is ready ends it at once. */
static void exit_line(struct worker *w)
{
	static const char line[] = "cmd_router_to_child:exit\n";

	(void)send(w->input, line, sizeof(line) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void terminate(struct worker *w)
{
	proc_signal(&w->proc, SIGTERM);
}

static void close_input(struct worker *w)
{
	(void)shutdown(w->input, SHUT_WR);
}

static void cut_lifeline(struct worker *w)
{
	close_p(&w->lifeline);
	w->lifeline = -1;
}

static void kill_the_guard(struct worker *w)
{
	proc_signal(&w->proc, SIGKILL);
}

/* It hangs in the kernel, in a driver most likely. It will go when that lets it. */
static void abandon(struct worker *w)
{
	log_warn("worker does not end model=\"%s\" pid=%d, continuing", w->model_id,
		 w->proc.program);
	close_p(&w->proc.pidfd);
	w->proc = (struct proc){.pidfd = -1};
	worker_event(w, EV_EXIT);
}

static const struct {
	void (*act)(struct worker *w);
	int then_wait_ms;
} stop_steps[] = {
	{exit_line, 1200},    {terminate, 200},        {close_input, 200},
	{cut_lifeline, 1000}, {kill_the_guard, 10000}, {abandon, 0},
};

enum { STOP_AT_ONCE = 3 };

static void escalate(struct worker *w)
{
	int step = w->stop_step++;

	w->deadline_ms = clock_ms() + stop_steps[step].then_wait_ms;
	stop_steps[step].act(w);
}

static void ask_to_stop(struct worker *w)
{
	if (atomic_load(&w->state) == WORKER_STARTING)
		terminate(w);
	w->stop_step = 0;
	worker_set_state(w, WORKER_STOPPING);
	escalate(w);
}

static void kill_it(struct worker *w, const struct err *why)
{
	bool served = worker_state(w) == WORKER_RUNNING;

	judge(w, why);
	log_warn("worker is killed model=\"%s\" pid=%d reason=\"%s\", continuing", w->model_id,
		 w->proc.program, why->msg);
	w->stop_step = STOP_AT_ONCE;
	worker_set_state(w, served ? WORKER_FAILING : WORKER_STOPPING);
	escalate(w);
}

static void guard(struct worker *w)
{
	struct err why = {0};
	enum watchdog_verdict verdict = watchdog_look(w, &why);

	w->deadline_ms = clock_ms() + watchdog_pause_ms(w);
	if (verdict == WATCHDOG_KILL)
		kill_it(w, &why);
	if (verdict == WATCHDOG_REPLACE && w->sv->on_ailing)
		w->sv->on_ailing(w->sv->ailing_arg, w, why.msg);
}

/* Each device it was given is in use, and without a GPU none is. */
static bool right_devices(const struct worker *w, struct err *e)
{
	const struct load_facts *f = &w->out.facts;
	CLEANUP(free) char *names = mem_dup(w->device);
	char *rest = names;

	if (!w->device_prefix && f->devices[0])
		return err_set(e, ERR_WORKER, "it was to compute on the CPU but uses %.*s",
			       (int)strlen(f->devices) - 1, f->devices);
	for (char *name; w->device_prefix && (name = strsep(&rest, ","));)
		if (strncmp(name, w->device_prefix, strlen(w->device_prefix)) != 0 ||
		    !load_facts_uses(f, name)) {
			(void)err_set(e, ERR_WORKER, "it was to compute on %s but uses %s", name,
				      f->devices[0] ? f->devices : "the CPU alone");
			return err_hint(e, "shunt doctor %s", w->backend);
		}
	return true;
}

static void announce(struct worker *w)
{
	struct err e = {0};

	if (!right_devices(w, &e)) {
		kill_it(w, &e);
		return;
	}
	watchdog_ready(w);
	worker_set_state(w, WORKER_RUNNING);
	log_info("worker ready model=\"%s\" environment=%s pid=%d", w->model_id, w->environment,
		 w->proc.program);
}

static void classify(struct worker *w)
{
	struct death d = {.status = w->status,
			  .output = output_tail(&w->out),
			  .model = w->model_id,
			  .backend = w->backend,
			  .device = w->device};
	struct err why = {0};

	death_explain(&d, &why);
	judge(w, &why);
}

static void down(struct worker *w)
{
	w->deadline_ms = 0;
	spawn_clean(w);
	worker_set_state(w, WORKER_DOWN);
}

static void gave_up(struct worker *w)
{
	classify(w);
	down(w);
}

static void crashed(struct worker *w)
{
	int pid = atomic_load(&w->pid);

	classify(w);
	log_error("worker died model=\"%s\" environment=%s pid=%d reason=\"%s\"", w->model_id,
		  w->environment, pid, w->verdict.msg);
	down(w);
	if (w->sv->on_crash)
		w->sv->on_crash(w->sv->on_crash_arg, w);
}

static void stopped(struct worker *w)
{
	struct err asked = {0};

	(void)err_set(&asked, ERR_WORKER, "it was stopped");
	judge(w, &asked);
	log_info("worker stopped model=\"%s\" environment=%s pid=%d", w->model_id, w->environment,
		 atomic_load(&w->pid));
	down(w);
}

/* What a worker does about each event; where that leads is drawn in worker_state.c. An empty cell:
 * nothing, on purpose. */
typedef void action(struct worker *w);
static action *const on[WORKER_DOWN + 1][EV_COUNT] = {
	[WORKER_DOWN] = {[EV_START] = spawn},
	[WORKER_STARTING] = {[EV_READY] = announce,
			     [EV_STOP] = ask_to_stop,
			     [EV_EXIT] = gave_up,
			     [EV_TIMEOUT] = guard},
	[WORKER_RUNNING] = {[EV_STOP] = ask_to_stop, [EV_EXIT] = crashed, [EV_TIMEOUT] = guard},
	[WORKER_STOPPING] = {[EV_EXIT] = stopped, [EV_TIMEOUT] = escalate},
	[WORKER_FAILING] = {[EV_EXIT] = crashed, [EV_TIMEOUT] = escalate},
};

void worker_event(struct worker *w, enum worker_ask event)
{
	action *act = on[atomic_load(&w->state)][event];

	if (act)
		act(w);
}
