/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/http.h"
#include "base/mem.h"
#include "worker/worker_priv.h"

struct prover {
	struct worker *worker;
	bool (*cancelled)(void *);
	void *arg;
	struct activity activity;
	bool by_caller, hung;
};

/* Ends the exchange early; the first token on a new device may wait long for its kernels. */
static bool give_up(void *arg)
{
	struct prover *p = arg;
	struct worker *w = p->worker;
	int64_t limit = w->sv->limits.stall_ms, quiet;
	int pid = worker_pid(w);

	if (p->cancelled && p->cancelled(p->arg))
		return p->by_caller = true;
	if (pid == 0 || worker_state(w) != WORKER_RUNNING)
		return true;
	if (p->activity.checked_ms != 0 && clock_ms() - p->activity.checked_ms < 500)
		return false;
	quiet = activity_quiet_ms(&p->activity, pid, atomic_load(&w->output_bytes));
	p->hung = limit > 0 && quiet >= limit;
	return p->hung;
}

static bool is_number(const char *answer, const char *sign)
{
	const char *at = answer ? strstr(answer, sign) : NULL;

	if (!at)
		return false;
	at += strlen(sign);
	at += strspn(at, " [");
	return *at == '-' || (*at >= '0' && *at <= '9');
}

/* A worker that dies takes the connection along; its end is known a moment later. */
static bool explain(struct prover *p, struct err *e)
{
	struct worker *w = p->worker;
	struct timespec until = clock_after(2000);
	struct err why = *e;
	bool over;
	int rc = p->by_caller || p->hung ? 1 : 0;

	pthread_mutex_lock(&w->lock);
	while (!w->over && rc == 0)
		rc = pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &until);
	over = w->over;
	if (over && !p->by_caller)
		why = w->verdict;
	pthread_mutex_unlock(&w->lock);
	err_clear(e);
	if (p->by_caller)
		return err_set(e, ERR_CANCELLED, "cancelled while '%s' was tried", w->model_id);
	if (!p->hung && !over)
		return err_set(e, ERR_WORKER, "it broke off at the first token: %s", why.msg);
	if (!p->hung) {
		*e = why;
		return false;
	}
	(void)err_set(e, ERR_WORKER,
		      "it hung at the first token: for %lld s no computing, no output",
		      (long long)(w->sv->limits.stall_ms / 1000));
	return err_hint(e, "shunt logs %s", w->model_id);
}

bool worker_prove(struct worker *w, bool (*cancelled)(void *), void *arg, struct err *e)
{
	struct prover p = {.worker = w, .cancelled = cancelled, .arg = arg};
	CLEANUP(http_response_done) struct http_response answer = {0};
	const struct runtime_proof *proof = runtime_proof(w->runtime, w->mode);
	CLEANUP(free) char *url = mem_printf("http://localhost%s", proof->path);
	struct http_request ask = {.socket = w->socket,
				   .url = url,
				   .body = proof->body,
				   .cancelled = give_up,
				   .arg = &p};

	if (!http_fetch(&ask, &answer, e))
		return explain(&p, e);
	if (answer.status == 200 && is_number(answer.body, proof->sign)) {
		atomic_store(&w->continues, w->runtime->moves && strcmp(w->mode, "chat") == 0 &&
						    worker_find_continues(w));
		return true;
	}
	(void)err_set(e, ERR_WORKER, "it answered %d to a first question: %.160s", answer.status,
		      answer.body ? answer.body : "");
	return err_hint(e, "shunt logs %s", w->model_id);
}
