/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a model reads its prompt in an environment; and that it does so from the start. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/http.h"
#include "base/mem.h"
#include "switch/context_priv.h"
#include "worker/counts.h"

/* Fewer tokens say little about a speed. */
#define LIFE_TOKENS 256
/* A slow device gets a short prompt; one that was quick with it, a longer one, which tells more. */
#define PROBE_SHORT 16
#define PROBE_LONG 128
#define PROBE_LONG_MS 200
#define PROBE_MS 2000
/* A prompt that takes the kernels for many tokens, and then some for one token of each answer. */
#define WARM_TOKENS 64
#define WARM_ANSWER 4
#define WARM_MS 5000

/* Lock held. */
static struct context_speed *find(struct contexts *cs, const char *model_id,
				  const char *environment)
{
	struct context_speed *s = cs->speeds;

	while (s &&
	       (strcmp(s->model_id, model_id) != 0 || strcmp(s->environment, environment) != 0))
		s = s->next;
	return s;
}

double speed_known(struct contexts *cs, const char *model_id, const char *environment)
{
	const struct context_speed *s;
	double known;

	pthread_mutex_lock(&cs->lock);
	s = find(cs, model_id, environment);
	known = s ? s->tokens_per_s : 0;
	pthread_mutex_unlock(&cs->lock);
	return known;
}

static void remember(struct contexts *cs, const struct worker *w, double tokens_per_s)
{
	struct context_speed *s;

	pthread_mutex_lock(&cs->lock);
	s = find(cs, worker_model(w), worker_environment(w));
	if (!s) {
		s = mem_alloc(sizeof(*s));
		s->model_id = mem_dup(worker_model(w));
		s->environment = mem_dup(worker_environment(w));
		s->next = cs->speeds;
		cs->speeds = s;
	}
	s->tokens_per_s = tokens_per_s;
	pthread_mutex_unlock(&cs->lock);
}

/* The number after the first `name`; 0: none. */
static double value_after(const char *text, const char *name)
{
	const char *at = text ? strstr(text, name) : NULL;
	char *end = NULL;
	double value;

	if (!at)
		return 0;
	at += strlen(name);
	errno = 0;
	value = strtod(at, &end);
	return end == at || errno != 0 || !(value > 0) || value > 1e15 ? 0 : value;
}

void speed_learn(struct contexts *cs, struct worker *w)
{
	struct worker_counts n = {0};

	if (worker_counts(w, 2000, &n) && n.prompt_tokens >= LIFE_TOKENS && n.prompt_seconds > 0)
		remember(cs, w, n.prompt_tokens / n.prompt_seconds);
}

static void add_prompt(struct buf *b, int tokens) /* any will do */
{
	for (int i = 0; i < tokens; i++)
		buf_printf(b, i ? ",%d" : "[%d", 3 + i % 64);
	buf_str(b, "]");
}

/* Takes the body. */
static bool complete(struct worker *w, struct buf *body, const struct context_patience *p,
		     struct http_response *ret)
{
	struct http_request ask = {.socket = worker_socket(w),
				   .url = "http://localhost/completion",
				   .body = body->data,
				   .timeout_ms = p->timeout_ms,
				   .cancelled = p->cancelled,
				   .arg = p->arg};
	struct err ignored = {0};
	bool ok = http_fetch(&ask, ret, &ignored);

	buf_done(body);
	return ok;
}

/* Prefills so many tokens. Tokens a second, 0 when it would not, and when it takes too long at most
 * that. */
static double prefill(struct worker *w, int slot, int tokens, const struct context_patience *p)
{
	struct context_patience brief = {p->cancelled, p->arg, PROBE_MS};
	CLEANUP(http_response_done) struct http_response answer = {0};
	struct buf body = {0};
	int64_t began = clock_ms();

	buf_str(&body, "{\"prompt\":");
	add_prompt(&body, tokens);
	buf_printf(&body, ",\"n_predict\":1,\"cache_prompt\":false,\"id_slot\":%d}", slot);
	if (!complete(w, &body, &brief, &answer))
		return clock_ms() - began < PROBE_MS ? 0 : tokens * 1000.0 / PROBE_MS;
	return answer.status == 200 ? value_after(answer.body, "\"prompt_per_second\":") : 0;
}

void speed_warm_up(struct worker *w, int together, const struct context_patience *p)
{
	struct context_patience brief = {p->cancelled, p->arg, WARM_MS};
	CLEANUP(http_response_done) struct http_response ignored = {0};
	struct buf body = {0};

	for (int i = 0; i < together; i++) {
		buf_str(&body, i ? "," : "{\"prompt\":[");
		add_prompt(&body, WARM_TOKENS);
	}
	buf_printf(&body, "],\"n_predict\":%d,\"cache_prompt\":false}", WARM_ANSWER);
	(void)complete(w, &body, &brief, &ignored);
	for (int slot = 0; slot < worker_slots(w); slot++)
		slot_erase(w, slot);
}

void speed_probe(struct contexts *cs, struct worker *w, const struct context_patience *p)
{
	double speed, longer = 0;

	if (speed_known(cs, worker_model(w), worker_environment(w)) > 0)
		return;
	speed = prefill(w, 0, PROBE_SHORT, p);
	if (speed > PROBE_LONG * 1000.0 / PROBE_LONG_MS)
		longer = prefill(w, 0, PROBE_LONG, p);
	speed = longer > speed ? longer : speed;
	if (speed > 0)
		remember(cs, w, speed);
	slot_erase(w, 0);
}

void slot_touch(struct worker *w, int slot, const struct context_patience *p)
{
	(void)prefill(w, slot, 1, p);
}

void speeds_free(struct contexts *cs)
{
	struct context_speed *s;

	while ((s = cs->speeds)) {
		cs->speeds = s->next;
		free(s->model_id);
		free(s->environment);
		free(s);
	}
}
