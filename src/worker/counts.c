/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/http.h"
#include "base/mem.h"

/* The number of a row; 0: there is none. */
static double value_of(const char *text, const char *name)
{
	CLEANUP(free) char *row = mem_printf("\nllamacpp:%s ", name);
	const char *at = strstr(text, row);
	char *end = NULL;
	double value;

	if (!at)
		return 0;
	at += strlen(row);
	errno = 0;
	value = strtod(at, &end);
	return end == at || errno != 0 || !(value > 0) || value > 1e15 ? 0 : value;
}

bool worker_counts(const struct worker *w, int timeout_ms, struct worker_counts *ret)
{
	struct http_request ask = {.socket = worker_socket(w),
				   .url = "http://localhost/metrics",
				   .timeout_ms = timeout_ms};
	CLEANUP(http_response_done) struct http_response answer = {0};
	struct err ignored = {0};

	if (!worker_runtime(w)->metrics || !http_fetch(&ask, &answer, &ignored) ||
	    answer.status != 200 || !answer.body)
		return false;
	ret->prompt_tokens = value_of(answer.body, "prompt_tokens_total");
	ret->prompt_seconds = value_of(answer.body, "prompt_seconds_total");
	ret->answer_tokens = value_of(answer.body, "tokens_predicted_total");
	ret->answer_seconds = value_of(answer.body, "tokens_predicted_seconds_total");
	return true;
}
