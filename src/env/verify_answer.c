/* SPDX-License-Identifier: Apache-2.0 */
#include "env/verify_answer.h"

#include <jansson.h>
#include <math.h>

#include "base/mem.h"

static void decref_p(json_t **j)
{
	json_decref(*j);
}

/* One {"id": token, "logprob": number}. */
static bool read_token(const json_t *entry, struct verify_answer *a, bool *seen, struct err *e)
{
	const json_t *id = json_object_get(entry, "id");
	const json_t *logprob = json_object_get(entry, "logprob");
	json_int_t token = json_is_integer(id) ? json_integer_value(id) : -1;

	if (token < 0 || token >= TEST_MODEL_VOCABULARY || seen[token])
		return err_set(e, ERR_VERIFY,
			       "its answer has a token twice, or one it cannot know");
	/* JSON has no NaN: llama-server writes null. */
	if (!json_is_number(logprob) || !isfinite(json_number_value(logprob)))
		return err_set(e, ERR_VERIFY, "its log-probabilities are not numbers (NaN)");
	seen[token] = true;
	a->logprob[token] = json_number_value(logprob);
	return true;
}

static bool judge_sum(const struct verify_answer *a, struct err *e)
{
	double sum = 0;

	for (int i = 0; i < TEST_MODEL_VOCABULARY; i++)
		sum += exp(a->logprob[i]);
	return fabs(sum - 1) < 1e-3 ||
	       err_set(e, ERR_VERIFY, "its probabilities add up to %.6g, not 1", sum);
}

bool verify_answer_read(const char *json, size_t len, struct verify_answer *ret, struct err *e)
{
	bool seen[TEST_MODEL_VOCABULARY] = {0};
	json_error_t why;
	/* It repeats the prompt, and that has a NUL. */
	CLEANUP(decref) json_t *root = json_loadb(json, len, JSON_ALLOW_NUL, &why);
	const json_t *tokens = json_object_get(root, "completion_probabilities");
	struct verify_answer a = {0};

	if (!root)
		return err_set(e, ERR_VERIFY, "its answer is not JSON: %s", why.text);
	tokens = json_object_get(json_array_get(tokens, 0), "top_logprobs");
	if (json_array_size(tokens) != TEST_MODEL_VOCABULARY)
		return err_set(e, ERR_VERIFY, "its answer has %zu log-probabilities instead of %d",
			       json_array_size(tokens), TEST_MODEL_VOCABULARY);
	for (size_t i = 0; i < TEST_MODEL_VOCABULARY; i++) {
		if (!read_token(json_array_get(tokens, i), &a, seen, e))
			return false;
	}
	if (!judge_sum(&a, e))
		return false;
	*ret = a;
	return true;
}

double verify_answer_distance(const struct verify_answer *a, const struct verify_answer *b,
			      double *ret_max)
{
	double squares = 0, max = 0;

	for (int i = 0; i < TEST_MODEL_VOCABULARY; i++) {
		double d = a->logprob[i] - b->logprob[i];

		squares += d * d;
		max = fmax(max, fabs(d));
	}
	if (ret_max)
		*ret_max = max;
	return sqrt(squares / TEST_MODEL_VOCABULARY);
}
