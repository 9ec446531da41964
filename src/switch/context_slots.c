/* SPDX-License-Identifier: Apache-2.0 */
/* What llama-server is asked about its slots. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/http.h"
#include "base/mem.h"
#include "switch/context_priv.h"

#define LIST_MS 2000

static void json_free(json_t *j)
{
	json_decref(j);
}
CLEANUP_DEFINE(json_free, json_t)

char *slot_file_name(int slot)
{
	return mem_printf("slot-%d.kv", slot);
}

static int64_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* The answer's JSON; any status. */
static bool ask(struct worker *w, const char *path, const char *body,
		const struct context_patience *p, int *ret_status, json_t **ret, struct err *e)
{
	CLEANUP(http_response_done) struct http_response answer = {0};
	CLEANUP(free) char *url = mem_printf("http://localhost%s", path);
	struct http_request request = {.socket = worker_socket(w),
				       .url = url,
				       .body = body,
				       .timeout_ms = p->timeout_ms,
				       .cancelled = p->cancelled,
				       .arg = p->arg};

	if (!http_fetch(&request, &answer, e))
		return false;
	*ret_status = answer.status;
	*ret = json_loadb(answer.body ? answer.body : "", answer.len, 0, NULL);
	return *ret ||
	       err_set(e, ERR_WORKER, "it answered %d to %s without JSON", answer.status, path);
}

/* True with JSON of a 200; else ERR_CONFLICT with what it said. */
static bool ask_well(struct worker *w, const char *path, const char *body,
		     const struct context_patience *p, json_t **ret, struct err *e)
{
	const char *said;
	int status = 0;

	if (!ask(w, path, body, p, &status, ret, e))
		return false;
	if (status == 200)
		return true;
	said = json_string_value(json_object_get(json_object_get(*ret, "error"), "message"));
	(void)err_set(e, ERR_CONFLICT, "the worker answered %d: %.160s", status, said ? said : "");
	json_decref(*ret);
	*ret = NULL;
	return false;
}

bool slots_list(struct worker *w, struct context_slot **ret, size_t *ret_count, struct err *e)
{
	struct context_patience patience = {.timeout_ms = LIST_MS};
	CLEANUP(json_free) json_t *list = NULL;
	size_t i, slots = (size_t)worker_slots(w);
	const json_t *item;

	if (!ask_well(w, "/slots", NULL, &patience, &list, e))
		return false;
	if (json_array_size(list) != slots)
		return err_set(e, ERR_WORKER, "it has %zu slots, not %zu", json_array_size(list),
			       slots);
	*ret = mem_array(slots, sizeof(**ret));
	*ret_count = slots;
	json_array_foreach(list, i, item) {
		const json_t *tokens = json_object_get(item, "n_prompt_tokens");

		(*ret)[i] = (struct context_slot){
			.id = (int)i,
			.busy = !json_is_false(json_object_get(item, "is_processing")),
			.fresh = !tokens,
			.tokens = json_integer_value(tokens),
		};
	}
	return true;
}

static bool act(struct worker *w, int slot, const char *action, const struct context_patience *p,
		json_t **ret, struct err *e)
{
	CLEANUP(free) char *path = mem_printf("/slots/%d?action=%s", slot, action);
	CLEANUP(free) char *name = slot_file_name(slot);
	CLEANUP(free) char *body = mem_printf("{\"filename\":\"%s\"}", name);

	return ask_well(w, path, body, p, ret, e);
}

bool slot_save(struct worker *w, int slot, const struct context_patience *p, int64_t *ret_tokens,
	       int64_t *ret_bytes, struct err *e)
{
	CLEANUP(json_free) json_t *answer = NULL;

	if (!act(w, slot, "save", p, &answer, e))
		return false;
	*ret_tokens = number(answer, "n_saved");
	*ret_bytes = number(answer, "n_written");
	return *ret_bytes > 0 || err_set(e, ERR_WORKER, "it saved nothing of slot %d", slot);
}

bool slot_restore(struct worker *w, const struct context_file *f, const struct context_patience *p,
		  struct err *e)
{
	CLEANUP(json_free) json_t *answer = NULL;

	if (!act(w, f->slot, "restore", p, &answer, e))
		return false;
	if (number(answer, "n_restored") == f->tokens)
		return true;
	slot_erase(w, f->slot);
	return err_set(e, ERR_CONFLICT, "it restored %lld tokens of %lld",
		       (long long)number(answer, "n_restored"), (long long)f->tokens);
}

void slot_erase(struct worker *w, int slot)
{
	struct context_patience patience = {.timeout_ms = LIST_MS};
	CLEANUP(json_free) json_t *answer = NULL;
	struct err ignored = {0};

	(void)act(w, slot, "erase", &patience, &answer, &ignored);
}
