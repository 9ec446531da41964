/* SPDX-License-Identifier: Apache-2.0 */
/* llama-server's answers as Ollama's clients read them. */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/continuation_priv.h"
#include "gateway/ollama.h"

#define TAIL_MAX ((size_t)16 << 20) /* one event */
#define MS_NS 1000000LL

struct ollama {
	enum ollama_kind kind;
	char *name;
	int64_t began, loaded; /* monotonic ms; loaded 0: not yet */
	struct buf tail;       /* of a stream: an event that is not whole yet */
	json_t *calls;         /* of tools, as their pieces came */
	const char *reason;    /* why it ended */
	int64_t prompt_tokens, tokens;
	double prompt_ms, ms;
	bool over;
};

struct ollama *ollama_new(enum ollama_kind kind, const char *name)
{
	struct ollama *o = mem_alloc(sizeof(*o));

	o->kind = kind;
	o->name = mem_dup(name);
	o->began = clock_ms();
	o->calls = json_array();
	o->reason = "stop";
	return o;
}

void ollama_free(struct ollama *o)
{
	if (!o)
		return;
	free(o->name);
	buf_done(&o->tail);
	json_decref(o->calls);
	free(o);
}

void ollama_loaded(struct ollama *o)
{
	if (!o->loaded)
		o->loaded = clock_ms();
}

/* --- what is said ---------------------------------------------------------- */

static json_t *begin(const struct ollama *o)
{
	char now[32];

	clock_iso(clock_wall_ms(), now);
	return json_pack("{s:s, s:s}", "model", o->name, "created_at", now);
}

static void add_durations(const struct ollama *o, json_t *j)
{
	int64_t now = clock_ms(), loaded = o->loaded ? o->loaded : now;

	json_object_set_new(j, "total_duration", json_integer((now - o->began) * MS_NS));
	json_object_set_new(j, "load_duration", json_integer((loaded - o->began) * MS_NS));
	json_object_set_new(j, "prompt_eval_count", json_integer(o->prompt_tokens));
}

static void add_end(const struct ollama *o, json_t *j)
{
	json_object_set_new(j, "done", json_true());
	json_object_set_new(j, "done_reason", json_string(o->reason));
	add_durations(o, j);
	json_object_set_new(j, "prompt_eval_duration",
			    json_integer((json_int_t)(o->prompt_ms * MS_NS)));
	json_object_set_new(j, "eval_count", json_integer(o->tokens));
	json_object_set_new(j, "eval_duration", json_integer((json_int_t)(o->ms * MS_NS)));
}

/* Of a chat a message, of a generation its fields. */
static void add_words(const struct ollama *o, json_t *j, const json_t *text, const json_t *thinking,
		      json_t *calls)
{
	json_t *to = j,
	       *said = json_is_string(text) ? json_incref((json_t *)text) : json_string("");

	if (o->kind == OLLAMA_CHAT) {
		to = json_pack("{s:s, s:o}", "role", "assistant", "content", said);
		json_object_set_new(j, "message", to);
	} else {
		json_object_set_new(j, "response", said);
	}
	if (json_string_length(thinking) > 0)
		json_object_set(to, "thinking", (json_t *)thinking);
	if (json_array_size(calls) > 0)
		json_object_set(to, "tool_calls", calls);
}

static void print(struct buf *ret, json_t *taken, const char *end)
{
	CLEANUP(json_decref) json_t *j = taken;
	CLEANUP(free) char *text = json_dumps(j, JSON_COMPACT);

	if (text)
		buf_str(ret, text);
	buf_str(ret, end);
}

/* --- what is read ------------------------------------------------------------ */

static const char *text_at(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

static void read_numbers(struct ollama *o, const json_t *answer)
{
	const json_t *usage = json_object_get(answer, "usage");
	const json_t *timings = json_object_get(answer, "timings");

	if (usage) {
		o->prompt_tokens = json_integer_value(json_object_get(usage, "prompt_tokens"));
		o->tokens = json_integer_value(json_object_get(usage, "completion_tokens"));
	}
	if (timings) {
		o->prompt_ms = json_number_value(json_object_get(timings, "prompt_ms"));
		o->ms = json_number_value(json_object_get(timings, "predicted_ms"));
	}
}

static void read_reason(struct ollama *o, const json_t *choice)
{
	const char *reason = json_string_value(json_object_get(choice, "finish_reason"));

	if (reason)
		o->reason = strcmp(reason, "length") == 0 ? "length" : "stop";
}

/* A piece of a call: its name comes once, its arguments bit by bit. */
static void read_call(struct ollama *o, const json_t *piece)
{
	const json_t *function = json_object_get(piece, "function");
	size_t index = (size_t)json_integer_value(json_object_get(piece, "index"));
	json_t *call;

	if (index > json_array_size(o->calls))
		return;
	if (index == json_array_size(o->calls))
		json_array_append_new(o->calls,
				      json_pack("{s:s, s:s}", "name", "", "arguments", ""));
	call = json_array_get(o->calls, index);
	if (text_at(function, "name")[0])
		json_object_set(call, "name", json_object_get(function, "name"));
	json_object_set_new(
		call, "arguments",
		json_sprintf("%s%s", text_at(call, "arguments"), text_at(function, "arguments")));
}

/* As Ollama has them: arguments are an object. */
static json_t *calls_of(const struct ollama *o)
{
	json_t *list = json_array();
	const json_t *call;
	size_t i;

	json_array_foreach(o->calls, i, call) {
		const char *text = text_at(call, "arguments");
		json_t *arguments = json_loads(text, JSON_ALLOW_NUL, NULL);

		if (!json_is_object(arguments)) {
			json_decref(arguments);
			arguments = json_object();
		}
		json_array_append_new(list,
				      json_pack("{s:{s:s, s:o}}", "function", "name",
						text_at(call, "name"), "arguments", arguments));
	}
	return list;
}

/* --- whole -------------------------------------------------------------------- */

static json_t *whole_words(struct ollama *o, const json_t *answer)
{
	const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0), *piece;
	const json_t *message = json_object_get(choice, "message");
	CLEANUP(json_decref) json_t *calls = NULL;
	json_t *j;
	size_t i;

	if (!choice)
		return NULL;
	json_array_foreach(json_object_get(message, "tool_calls"), i, piece) {
		json_t *numbered = json_copy((json_t *)piece);

		json_object_set_new(numbered, "index", json_integer((json_int_t)i));
		read_call(o, numbered);
		json_decref(numbered);
	}
	calls = calls_of(o);
	read_reason(o, choice);
	j = begin(o);
	add_words(o, j,
		  message ? json_object_get(message, "content") : json_object_get(choice, "text"),
		  json_object_get(message, "reasoning_content"), calls);
	add_end(o, j);
	return j;
}

static json_t *whole_vectors(const struct ollama *o, const json_t *answer)
{
	const json_t *data = json_object_get(answer, "data"), *one;
	json_t *list = json_array(), *j;
	size_t i;

	json_array_foreach(data, i, one)
		json_array_append(list, json_object_get(one, "embedding"));
	if (json_array_size(list) == 0 || json_array_size(list) != json_array_size(data)) {
		json_decref(list);
		return NULL;
	}
	if (o->kind == OLLAMA_EMBEDDINGS) {
		j = json_pack("{s:O}", "embedding", json_array_get(list, 0));
		json_decref(list);
		return j;
	}
	j = json_pack("{s:s, s:o}", "model", o->name, "embeddings", list);
	add_durations(o, j);
	return j;
}

bool ollama_whole(struct ollama *o, const char *answer, size_t len, struct buf *ret, struct err *e)
{
	CLEANUP(json_decref) json_t *json = json_loadb(answer, len, JSON_ALLOW_NUL, NULL);
	json_t *j;

	read_numbers(o, json);
	j = o->kind == OLLAMA_EMBED || o->kind == OLLAMA_EMBEDDINGS ? whole_vectors(o, json)
								    : whole_words(o, json);
	if (!j)
		return err_set(e, ERR_WORKER, "the worker's answer is not the one expected");
	print(ret, j, "");
	return true;
}

/* --- streams -------------------------------------------------------------------- */

static void say_piece(const struct ollama *o, const json_t *delta, struct buf *ret)
{
	const json_t *content = json_object_get(delta, "content");
	const json_t *text =
		o->kind == OLLAMA_CHAT || content ? content : json_object_get(delta, "text");
	const json_t *thinking = json_object_get(delta, "reasoning_content");
	json_t *j;

	if (json_string_length(text) == 0 && json_string_length(thinking) == 0)
		return;
	j = begin(o);
	add_words(o, j, text, thinking, NULL);
	json_object_set_new(j, "done", json_false());
	print(ret, j, "\n");
}

static void say_end(struct ollama *o, struct buf *ret)
{
	CLEANUP(json_decref) json_t *calls = calls_of(o);
	json_t *j;

	o->over = true;
	if (json_array_size(calls) > 0) {
		j = begin(o);
		add_words(o, j, NULL, NULL, calls);
		json_object_set_new(j, "done", json_false());
		print(ret, j, "\n");
	}
	j = begin(o);
	add_words(o, j, NULL, NULL, NULL);
	add_end(o, j);
	print(ret, j, "\n");
}

static void read_event(struct ollama *o, const char *event, size_t len, struct buf *ret)
{
	CLEANUP(json_decref) json_t *json = continuation_json(event, len);
	const json_t *choice = json_array_get(json_object_get(json, "choices"), 0), *piece;
	const json_t *delta = json_object_get(choice, "delta");
	const json_t *error = json_object_get(json, "error");
	size_t i;

	if (o->over)
		return;
	if (!json && memmem(event, len, "[DONE]", 6))
		say_end(o, ret);
	if (error) {
		o->over = true;
		print(ret, json_pack("{s:s}", "error", text_at(error, "message")), "\n");
	}
	if (!json || error)
		return;
	read_numbers(o, json);
	read_reason(o, choice);
	json_array_foreach(json_object_get(delta, "tool_calls"), i, piece)
		read_call(o, piece);
	if (choice)
		say_piece(o, delta ? delta : choice, ret);
}

bool ollama_feed(struct ollama *o, const char *data, size_t len, struct buf *ret, struct err *e)
{
	size_t at = 0, size;

	if (o->tail.len + len > TAIL_MAX)
		return err_set(e, ERR_WORKER, "an event of the worker is longer than %zu MiB",
			       TAIL_MAX >> 20);
	buf_add(&o->tail, data, len);
	while ((size = continuation_event(o->tail.data + at, o->tail.len - at)) > 0) {
		read_event(o, o->tail.data + at, size, ret);
		at += size;
	}
	buf_drop(&o->tail, at);
	return true;
}

void ollama_nothing(struct ollama *o, const char *reason, struct buf *ret)
{
	json_t *j = begin(o);

	o->reason = reason;
	add_words(o, j, NULL, NULL, NULL);
	json_object_set_new(j, "done", json_true());
	json_object_set_new(j, "done_reason", json_string(reason));
	print(ret, j, "\n");
}
