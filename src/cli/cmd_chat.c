/* SPDX-License-Identifier: Apache-2.0 */
/* chat: one answer, or a conversation. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/sse.h"
#include "cli/term.h"

struct answer {
	const struct cli_options *o;
	struct sse sse;
	struct buf text; /* of the answer */
	struct err error;
};

static bool on_event(void *arg, const char *data)
{
	struct answer *an = arg;
	json_t *event = json_loads(data, 0, NULL), *error = json_object_get(event, "error");
	const char *piece = client_text(
		json_object_get(json_array_get(json_object_get(event, "choices"), 0), "delta"),
		"content");

	if (error && an->error.kind == ERR_NONE)
		(void)err_set(&an->error, ERR_WORKER, "%s", client_text(error, "message"));
	buf_str(&an->text, piece);
	if (!an->o->json) {
		fputs(piece, stdout);
		(void)fflush(stdout);
	}
	json_decref(event);
	return true;
}

static bool on_bytes(void *arg, const char *data, size_t len)
{
	struct answer *an = arg;

	return sse_feed(&an->sse, data, len, on_event, an);
}

/* An error in the middle of the stream. */
static bool check(const struct answer *an, struct err *e)
{
	if (an->error.kind != ERR_NONE)
		*e = an->error;
	return an->error.kind == ERR_NONE;
}

bool chat_once(const struct cli_options *o, const char *id, json_t *messages, char **ret_answer,
	       struct err *e)
{
	struct answer an = {.o = o};
	bool ok =
		client_stream(
			o, json_pack("{ss sO sb}", "model", id, "messages", messages, "stream", 1),
			"/v1/chat/completions", on_bytes, client_interrupted, &an, e) &&
		check(&an, e);

	if (!o->json && an.text.len > 0)
		puts("");
	if (ok && o->json) {
		CLEANUP(json_decref)
		json_t *out =
			json_pack("{ss ss}", "model", id, "text", an.text.data ? an.text.data : "");
		client_print(out);
	}
	if (ok && ret_answer)
		*ret_answer = buf_steal(&an.text);
	buf_done(&an.text);
	sse_done(&an.sse);
	return ok;
}

static void say(json_t *messages, const char *role, const char *text)
{
	json_array_append_new(messages, json_pack("{ss ss}", "role", role, "content", text));
}

bool chat_loop(const struct cli_options *o, const char *id, struct err *e)
{
	CLEANUP(json_decref) json_t *messages = json_array();
	CLEANUP(free) char *line = NULL;
	bool terminal = isatty(STDIN_FILENO), ok = true;
	size_t room = 0;
	ssize_t len;

	if (terminal && !o->quiet)
		fprintf(stderr, "%sTalking to %s. Ctrl-D ends.%s\n", term_tint(stderr, TINT_DIM),
			id, term_reset(stderr));
	while (ok) {
		CLEANUP(free) char *answer = NULL;

		if (terminal) {
			fprintf(stderr, "%s>%s ", term_tint(stderr, TINT_GOOD), term_reset(stderr));
			(void)fflush(stderr);
		}
		if ((len = getline(&line, &room, stdin)) < 0)
			break;
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			line[--len] = '\0';
		if (len == 0)
			continue;
		say(messages, "user", line);
		ok = chat_once(o, id, messages, &answer, e);
		say(messages, "assistant", answer ? answer : "");
	}
	if (terminal)
		fputc('\n', stderr);
	return ok;
}

/* The words of a prompt given without quotes, joined. */
static char *prompt_of(const struct args *a)
{
	struct buf b = {0};

	for (int i = 1; i < a->count; i++) {
		if (i > 1)
			buf_str(&b, " ");
		buf_str(&b, a->words[i]);
	}
	return buf_steal(&b);
}

static bool chat(const struct cli_options *o, const char *id, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *messages = json_array();
	CLEANUP(free) char *prompt = prompt_of(a);

	if (a->count < 2)
		return chat_loop(o, id, e);
	say(messages, "user", prompt);
	return chat_once(o, id, messages, NULL, e);
}

bool command_chat(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(free) char *id = NULL;

	return client_model(o, a->words[0], &id, NULL, e) && chat(o, id, a, e);
}

/* The id of what was named: registered, a file, or something to pull. */
static bool find_or_get(const struct cli_options *o, const char *name, char **ret_id, struct err *e)
{
	CLEANUP(free) char *path = NULL;
	CLEANUP(json_decref) json_t *answer = NULL;

	if (client_model(o, name, ret_id, NULL, e))
		return true;
	if (e->kind != ERR_NOT_FOUND)
		return false;
	err_clear(e);
	if (access(name, R_OK) != 0)
		return pull_model(o, name, NULL, ret_id, e);
	path = realpath(name, NULL);
	if (!client_call(o, NULL, json_pack("{ss}", "path", path ? path : name), &answer, e,
			 "/llm/api/models"))
		return false;
	*ret_id = mem_dup(client_text(json_object_get(answer, "model"), "id"));
	return true;
}

bool command_run(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;
	CLEANUP(json_decref) json_t *answer = NULL;
	const char *backend = args_value(a, "backend");

	if (!find_or_get(o, a->words[0], &id, e))
		return false;
	escaped = client_escape(id);
	if (!client_call(o, NULL, NULL, &answer, e, "/llm/api/models/%s", escaped))
		return false;
	if (!backend && !client_text(json_object_get(answer, "model"), "gpu_backend")[0])
		backend = "cpu";
	if (backend && !switch_model(o, id, backend, a, e))
		return false;
	return chat(o, id, a, e); /* the first question loads it */
}
