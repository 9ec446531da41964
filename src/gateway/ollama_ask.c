/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of Ollama's clients as llama-server's. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/json.h"
#include "gateway/ollama.h"

/* --- options ------------------------------------------------------------ */

enum value { NUMBER, WHOLE, TEXTS };

/* Those not here are about loading (num_ctx, num_gpu …), which the model's own options decide, or
 * unknown to llama-server: ignored, as Ollama ignores what it doesn't know. */
static const struct {
	const char *name, *as;
	enum value value;
} options[] = {
	{"temperature", "temperature", NUMBER},
	{"top_p", "top_p", NUMBER},
	{"top_k", "top_k", WHOLE},
	{"min_p", "min_p", NUMBER},
	{"typical_p", "typical_p", NUMBER},
	{"num_predict", "max_tokens", WHOLE},
	{"num_keep", "n_keep", WHOLE},
	{"seed", "seed", WHOLE},
	{"stop", "stop", TEXTS},
	{"repeat_last_n", "repeat_last_n", WHOLE},
	{"repeat_penalty", "repeat_penalty", NUMBER},
	{"presence_penalty", "presence_penalty", NUMBER},
	{"frequency_penalty", "frequency_penalty", NUMBER},
	{"mirostat", "mirostat", WHOLE},
	{"mirostat_tau", "mirostat_tau", NUMBER},
	{"mirostat_eta", "mirostat_eta", NUMBER},
};

static bool all_texts(const json_t *v)
{
	const json_t *item;
	size_t i;

	json_array_foreach(v, i, item) {
		if (!json_is_string(item))
			return false;
	}
	return json_is_array(v) || json_is_string(v);
}

static bool fits(enum value value, const json_t *v)
{
	double n = json_number_value(v);

	if (value == TEXTS)
		return all_texts(v);
	/* Clients write 40.0, too. */
	return json_is_number(v) && (value == NUMBER || n == floor(n));
}

static bool bad(const char *name, const char *want, struct err *e)
{
	return err_set(e, ERR_INVALID, "field '%s' must be %s", name, want);
}

static bool add_option(json_t *to, const char *name, json_t *v, struct err *e)
{
	static const char *const wants[] = {
		[NUMBER] = "a number", [WHOLE] = "a whole number", [TEXTS] = "a list of strings"};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, name) != 0 || json_is_null(v))
			continue;
		if (!fits(options[i].value, v))
			return err_set(e, ERR_INVALID, "option '%s' must be %s", name,
				       wants[options[i].value]);
		if (strcmp(name, "num_predict") == 0 && json_number_value(v) < 0)
			continue; /* as long as it likes */
		json_object_set(to, options[i].as, v);
	}
	return true;
}

static bool add_options(json_t *to, const json_t *from, struct err *e)
{
	json_t *list = json_object_get(from, "options"), *v;
	const char *name;

	if (list && !json_is_null(list) && !json_is_object(list))
		return bad("options", "an object", e);
	json_object_foreach(list, name, v) {
		if (!add_option(to, name, v, e))
			return false;
	}
	return true;
}

/* --- what an answer looks like ------------------------------------------- */

static bool add_format(json_t *to, const json_t *from, struct err *e)
{
	json_t *format = json_object_get(from, "format");
	const char *text = json_string_value(format);

	if (!format || json_is_null(format) || (text && !text[0]))
		return true;
	if (text && strcmp(text, "json") == 0)
		json_object_set_new(to, "response_format",
				    json_pack("{s:s}", "type", "json_object"));
	else if (json_is_object(format))
		json_object_set_new(to, "response_format",
				    json_pack("{s:s, s:{s:s, s:b, s:O}}", "type", "json_schema",
					      "json_schema", "name", "format", "strict", 1,
					      "schema", format));
	else
		return bad("format", "\"json\" or a JSON schema", e);
	return true;
}

static void add_thinking(json_t *to, const json_t *from)
{
	const json_t *think = json_object_get(from, "think");

	if (json_is_boolean(think))
		json_object_set_new(to, "chat_template_kwargs",
				    json_pack("{s:b}", "enable_thinking", json_is_true(think)));
	else if (json_is_string(think))
		json_object_set_new(to, "chat_template_kwargs",
				    json_pack("{s:b, s:s}", "enable_thinking", 1,
					      "reasoning_effort", json_string_value(think)));
}

static bool add_stream(json_t *to, const json_t *from, bool *ret, struct err *e)
{
	const json_t *stream = json_object_get(from, "stream");

	if (stream && !json_is_boolean(stream) && !json_is_null(stream))
		return bad("stream", "true or false", e);
	*ret = !json_is_false(stream);
	json_object_set_new(to, "stream", json_boolean(*ret));
	if (*ret)
		json_object_set_new(to, "stream_options", json_pack("{s:b}", "include_usage", 1));
	return true;
}

/* --- messages ------------------------------------------------------------- */

/* Text and base64 images as the parts of one content. NULL: images that are none. */
static json_t *content_of(const char *text, const json_t *images)
{
	json_t *parts = json_array();
	const json_t *image;
	size_t i;

	if (text[0])
		json_array_append_new(parts, json_pack("{s:s, s:s}", "type", "text", "text", text));
	json_array_foreach(images, i, image) {
		if (!json_is_string(image)) {
			json_decref(parts);
			return NULL;
		}
		json_array_append_new(parts, json_pack("{s:s, s:{s:o}}", "type", "image_url",
						       "image_url", "url",
						       json_sprintf("data:image/png;base64,%s",
								    json_string_value(image))));
	}
	return parts;
}

static bool set_content(json_t *message, const json_t *from, const char *field, struct err *e)
{
	const json_t *text = json_object_get(from, field);
	const json_t *images = json_object_get(from, "images");
	json_t *content;

	if (text && !json_is_null(text) && !json_is_string(text))
		return bad(field, "a string", e);
	if (images && !json_is_null(images) && !json_is_array(images))
		return bad("images", "a list of base64 strings", e);
	if (json_array_size(images) == 0) {
		json_object_set_new(message, "content",
				    json_string(text ? json_string_value(text) : ""));
		return true;
	}
	content = content_of(json_is_string(text) ? json_string_value(text) : "", images);
	if (!content)
		return bad("images", "a list of base64 strings", e);
	json_object_set_new(message, "content", content);
	return true;
}

/* Calls and their results have no ids here: they belong together in their order. */
struct calls {
	int made, answered;
};

static json_t *call_of(const json_t *call, int number)
{
	const json_t *function = json_object_get(call, "function");
	const char *name = json_string_value(json_object_get(function, "name"));
	json_t *arguments = json_object_get(function, "arguments");
	CLEANUP(free) char *text = arguments ? json_dumps(arguments, JSON_COMPACT) : NULL;

	if (!name)
		return NULL;
	return json_pack("{s:o, s:s, s:{s:s, s:s}}", "id", json_sprintf("call_%d", number), "type",
			 "function", "function", "name", name, "arguments", text ? text : "{}");
}

static bool add_calls(json_t *message, const json_t *from, struct calls *calls, struct err *e)
{
	const json_t *list = json_object_get(from, "tool_calls"), *call;
	json_t *made = json_array();
	size_t i;

	json_array_foreach(list, i, call) {
		json_t *one = call_of(call, calls->made);

		if (!one) {
			json_decref(made);
			return bad("tool_calls", "a list of calls with a function's name", e);
		}
		calls->made++;
		json_array_append_new(made, one);
	}
	if (json_array_size(made) > 0)
		json_object_set(message, "tool_calls", made);
	json_decref(made);
	return true;
}

static bool add_message(json_t *messages, const json_t *from, struct calls *calls, struct err *e)
{
	const char *role = json_string_value(json_object_get(from, "role"));
	json_t *thinking = json_object_get(from, "thinking");
	CLEANUP(json_decref) json_t *message = NULL;

	if (!role)
		return err_set(e, ERR_INVALID, "a message has no role");
	message = json_pack("{s:s}", "role", role);
	if (!set_content(message, from, "content", e) || !add_calls(message, from, calls, e))
		return false;
	if (json_is_string(thinking))
		json_object_set(message, "reasoning_content", thinking);
	if (strcmp(role, "tool") == 0)
		json_object_set_new(message, "tool_call_id",
				    json_sprintf("call_%d", calls->answered++));
	json_array_append(messages, message);
	return true;
}

static bool chat(const json_t *from, json_t *to, struct ollama_request *ret, struct err *e)
{
	json_t *list = json_object_get(from, "messages"), *messages, *tools;
	struct calls calls = {0};
	const json_t *one;
	size_t i;

	if (list && !json_is_null(list) && !json_is_array(list))
		return bad("messages", "a list", e);
	if (json_array_size(list) > 0)
		ret->path = "/v1/chat/completions";
	messages = json_array();
	json_object_set_new(to, "messages", messages);
	json_array_foreach(list, i, one) {
		if (!add_message(messages, one, &calls, e))
			return false;
	}
	tools = json_object_get(from, "tools");
	if (json_array_size(tools) > 0)
		json_object_set(to, "tools", tools);
	add_thinking(to, from);
	return add_format(to, from, e);
}

/* --- generate -------------------------------------------------------------- */

static bool is_given(const json_t *v)
{
	return (json_is_string(v) && json_string_length(v) > 0) || json_array_size(v) > 0;
}

/* What would change the answer, and can't be done here. */
static bool check_generate(const json_t *from, struct err *e)
{
	static const struct {
		const char *name, *instead;
	} others[] = {
		{"suffix", "POST /infill fills in"},
		{"template", "shunt set MODEL chat_template=… changes the template"},
		{"context", "POST /api/chat carries a conversation"},
	};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (!is_given(json_object_get(from, others[i].name)))
			continue;
		err_set(e, ERR_INVALID, "field '%s' is not supported", others[i].name);
		return err_hint(e, "%s", others[i].instead);
	}
	return true;
}

static bool generate(const json_t *from, json_t *to, struct ollama_request *ret, struct err *e)
{
	const json_t *prompt = json_object_get(from, "prompt");
	const char *system = json_string_value(json_object_get(from, "system"));
	CLEANUP(json_decref) json_t *message = json_pack("{s:s}", "role", "user");
	json_t *messages;

	if (!check_generate(from, e) || !set_content(message, from, "prompt", e))
		return false;
	if (is_given(prompt) || is_given(json_object_get(from, "images")))
		ret->path = json_is_true(json_object_get(from, "raw")) ? "/v1/completions"
								       : "/v1/chat/completions";
	if (json_is_true(json_object_get(from, "raw"))) {
		json_object_set_new(to, "prompt",
				    json_string(prompt ? json_string_value(prompt) : ""));
	} else {
		messages = json_array();
		if (system && system[0])
			json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system",
								  "content", system));
		json_array_append(messages, message);
		json_object_set_new(to, "messages", messages);
		add_thinking(to, from);
	}
	return add_format(to, from, e);
}

/* --- embed ------------------------------------------------------------------ */

static bool embed(const json_t *from, json_t *to, const char *field, struct err *e)
{
	json_t *input = json_object_get(from, field);
	const json_t *dimensions = json_object_get(from, "dimensions");

	if (!input || !all_texts(input))
		return bad(field, "a string, or a list of strings", e);
	if (json_is_number(dimensions) && json_number_value(dimensions) > 0)
		return err_set(e, ERR_INVALID, "field 'dimensions' is not supported");
	json_object_set(to, "input", input);
	json_object_set_new(to, "encoding_format", json_string("float"));
	return true;
}

/* ----------------------------------------------------------------------------- */

static bool make(enum ollama_kind kind, const json_t *from, json_t *to, struct ollama_request *ret,
		 struct err *e)
{
	bool embeds = kind == OLLAMA_EMBED || kind == OLLAMA_EMBEDDINGS;

	if (embeds)
		ret->path = "/v1/embeddings";
	if (embeds)
		return embed(from, to, kind == OLLAMA_EMBED ? "input" : "prompt", e);
	return (kind == OLLAMA_CHAT ? chat(from, to, ret, e) : generate(from, to, ret, e)) &&
	       add_stream(to, from, &ret->stream, e) && add_options(to, from, e);
}

bool ollama_ask(enum ollama_kind kind, const char *body, size_t len, struct ollama_request *ret,
		struct err *e)
{
	CLEANUP(json_decref) json_t *from = json_loadb(body, len, 0, NULL);
	CLEANUP(json_decref) json_t *to = json_object();
	CLEANUP(free) char *text = NULL;

	*ret = (struct ollama_request){0};
	if (!from) /* \u0000, or a number that no computer holds */
		return err_set(e, ERR_INVALID, "the body is unusual JSON");
	json_object_set_new(to, "model", json_string("this")); /* the worker has one */
	if (!make(kind, from, to, ret, e))
		return false;
	text = json_dumps(to, JSON_COMPACT);
	buf_str(&ret->body, text);
	return true;
}
