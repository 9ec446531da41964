/* SPDX-License-Identifier: Apache-2.0 */
/* The request for the rest of an answer. */

#include <stdlib.h>
#include <string.h>

#include "gateway/continuation_priv.h"

#define NO_CHARACTER "\xEF\xBF\xBD" /* U+FFFD: what the server says instead */

/* --- what may be in a request whose answer goes on elsewhere ------------- */

static bool any(const json_t *v)
{
	return v != NULL;
}

static bool nothing(const json_t *v)
{
	return json_is_null(v) || json_is_false(v) ||
	       (json_is_integer(v) && json_integer_value(v) == 0) ||
	       (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0) ||
	       (json_is_object(v) && json_object_size(v) == 0);
}

static bool null(const json_t *v)
{
	return json_is_null(v);
}

static bool one(const json_t *v)
{
	return json_is_null(v) || json_integer_value(v) == 1;
}

static bool whole_number(const json_t *v)
{
	return json_is_null(v) || json_is_integer(v);
}

static bool plain_text(const json_t *v)
{
	const char *type = json_string_value(json_object_get(v, "type"));

	return nothing(v) || (type && strcmp(type, "text") == 0);
}

/* Not a beginning of the client's own. */
static bool someone_elses_turn(const json_t *v)
{
	const json_t *last = json_array_get(v, json_array_size(v) - 1);
	const char *role = json_string_value(json_object_get(last, "role"));

	return role && strcmp(role, "assistant") != 0;
}

static bool text_or_tokens(const json_t *v)
{
	if (json_is_string(v))
		return true;
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!json_is_integer(json_array_get(v, i)))
			return false;
	return json_array_size(v) > 0;
}

/* A field that is not here may mean anything: the answer ends where it is. So do those that keep a
 * state of their own between two tokens (seed, grammar, mirostat), or tell of the past (echo). */
static const struct field {
	const char *name;
	bool (*may_be)(const json_t *);
} fields[] = {
	{"model", any},
	{"messages", someone_elses_turn},
	{"prompt", text_or_tokens},
	{"stream", any},
	{"stream_options", any},
	{"max_tokens", whole_number},
	{"max_completion_tokens", whole_number},
	{"n_predict", whole_number},
	{"n", one},
	{"stop", any},
	{"temperature", any},
	{"top_k", any},
	{"top_p", any},
	{"min_p", any},
	{"typical_p", any},
	{"top_n_sigma", any},
	{"xtc_probability", any},
	{"xtc_threshold", any},
	{"dynatemp_range", any},
	{"dynatemp_exponent", any},
	{"min_keep", any},
	{"samplers", any},
	{"repeat_last_n", any},
	{"repeat_penalty", any},
	{"presence_penalty", any},
	{"frequency_penalty", any},
	{"dry_multiplier", any},
	{"dry_base", any},
	{"dry_allowed_length", any},
	{"dry_penalty_last_n", any},
	{"dry_sequence_breakers", any},
	{"logit_bias", any},
	{"ignore_eos", any},
	{"cache_prompt", any},
	{"sse_ping_interval", any},
	{"user", any},
	{"keep_alive", any},
	{"metadata", any},
	{"store", any},
	{"service_tier", any},
	{"tool_choice", any},
	{"parallel_tool_calls", any},
	{"tools", nothing},
	{"functions", nothing},
	{"function_call", nothing},
	{"response_format", plain_text},
	{"grammar", nothing},
	{"json_schema", nothing},
	{"logprobs", nothing},
	{"top_logprobs", nothing},
	{"n_probs", nothing},
	{"seed", null},
	{"echo", nothing},
	{"suffix", nothing},
};

static bool may_stand(const char *name, const json_t *value)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].may_be(value);
	return false;
}

/* --- stop strings -------------------------------------------------------- */

/* Does the text end with the beginning of that? What follows might be the rest of it. */
static bool begun(const json_t *text, const json_t *stop)
{
	const char *end = json_string_value(text) + json_string_length(text);
	size_t most = json_string_length(stop);

	if (most > json_string_length(text) + 1)
		most = json_string_length(text) + 1;
	for (size_t len = 1; len < most; len++)
		if (memcmp(end - len, json_string_value(stop), len) == 0)
			return true;
	return false;
}

static bool stop_begun(const json_t *text, const json_t *stop)
{
	if (json_is_string(stop))
		return begun(text, stop);
	for (size_t i = 0; i < json_array_size(stop); i++)
		if (json_is_string(json_array_get(stop, i)) && begun(text, json_array_get(stop, i)))
			return true;
	return false;
}

/* --- the request --------------------------------------------------------- */

/* NULL: all is well. */
static const char *refuse_fields(json_t *request)
{
	const char *name;
	json_t *value;

	json_object_foreach(request, name, value)
		if (!may_stand(name, value))
			return "of what its request asks for";
	return NULL;
}

/* The tokens that are left of each limit. */
static const char *lower_limits(json_t *request, int64_t spent, bool counted)
{
	static const char *const limits[] = {"max_tokens", "max_completion_tokens", "n_predict"};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		json_int_t limit = json_integer_value(json_object_get(request, limits[i]));

		if (limit <= 0)
			continue;
		if (limit <= spent && !counted)
			return "it is at its last token";
		json_object_set_new(request, limits[i],
				    json_integer(limit > spent ? limit - spent : 1));
	}
	return NULL;
}

/* Takes the text. */
static void append(json_t *request, bool chat, json_t *text)
{
	json_t *prompt = json_object_get(request, "prompt");

	if (chat) {
		json_array_append_new(
			json_object_get(request, "messages"),
			json_pack("{s:s, s:o}", "role", "assistant", "content", text));
		json_object_set_new(request, "add_generation_prompt", json_false());
		json_object_set_new(request, "continue_final_message", json_true());
	} else if (json_is_string(prompt)) {
		json_object_set_new(
			request, "prompt",
			json_sprintf("%s%s", json_string_value(prompt), json_string_value(text)));
		json_decref(text);
	} else {
		json_array_append_new(prompt, text);
	}
}

static const char *make(const struct continuation *c, struct buf *ret)
{
	CLEANUP(json_decref) json_t *request = json_loadb(c->body, c->len, 0, NULL);
	CLEANUP(json_decref) json_t *text = continuation_text(c);
	CLEANUP(free) char *body = NULL;
	const char *why;

	if (!request || !text)
		return "its request or its text is unusual JSON";
	why = refuse_fields(request);
	if (!why && stop_begun(text, json_object_get(request, "stop")))
		why = "it may be at its stop string";
	if (!why && strstr(json_string_value(text), NO_CHARACTER))
		why = "its tokens made bytes that are no character, which cannot be said again";
	if (!why)
		why = lower_limits(request, c->tokens, c->counted);
	if (why)
		return why;
	append(request, c->chat, STEAL(text));
	body = json_dumps(request, JSON_COMPACT);
	if (!body)
		return "its request or its text is unusual JSON";
	buf_str(ret, body);
	return NULL;
}

bool continuation_ask(struct continuation *c, struct buf *ret_body, const char **ret_why)
{
	continuation_look(c);
	*ret_why = c->problem;
	if (!*ret_why && c->over)
		*ret_why = "it is at its end";
	if (!*ret_why && c->text.len == 0)
		buf_add(ret_body, c->body, c->len); /* nothing to repeat */
	else if (!*ret_why)
		*ret_why = make(c, ret_body);
	if (*ret_why)
		return false;
	c->spent = c->tokens;
	buf_done(&c->tail);
	return true;
}

bool continuation_count(const struct continuation *c, struct buf *ret_body)
{
	const char *text = c->text.data ? c->text.data : "";
	bool plain = strstr(text, "\\u") == NULL;

	for (size_t i = 0; text[i] && plain; i++)
		plain = (unsigned char)text[i] < 0x80;
	if (plain)
		return false;
	buf_str(ret_body, "{\"content\":\"");
	buf_add(ret_body, c->text.data, c->text.len);
	buf_str(ret_body, "\"}");
	return true;
}

void continuation_counted(struct continuation *c, const char *answer, size_t len)
{
	CLEANUP(json_decref) json_t *json = json_loadb(answer, len, 0, NULL);
	int64_t count = (int64_t)json_array_size(json_object_get(json, "tokens"));

	c->counted = true;
	if (count > c->tokens)
		c->tokens = count;
}
