/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/http.h"

char *client_escape(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	struct buf b = {0};

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		char code[3] = {'%', hex[*p >> 4], hex[*p & 15]};
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || strchr("-._~", *p);

		buf_add(&b, plain ? (const char *)p : code, plain ? 1 : 3);
	}
	return buf_steal(&b);
}

const char *client_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

const char *client_device(const json_t *worker)
{
	const char *device = client_text(worker, "device");

	return strcmp(device, "none") == 0 ? "CPU" : device;
}

const char *client_place(const json_t *worker, char *buf, size_t size)
{
	int64_t on = client_int(worker, "gpu_layers"), layers = client_int(worker, "layers");

	if (on == layers)
		return client_device(worker);
	(void)snprintf(buf, size, "%" PRId64 " of %" PRId64 " layers on %s", on, layers,
		       client_device(worker));
	return buf;
}

int64_t client_int(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

void client_print(const json_t *answer)
{
	(void)json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

bool client_check(const json_t *answer, int status, struct err *e)
{
	const json_t *error = json_object_get(answer, "error");
	const char *type = client_text(error, "type"), *hint = client_text(error, "hint");

	if (status < 400)
		return true;
	if (!json_is_object(error))
		return err_set(e, ERR_SYSTEM, "the daemon answered with status %d", status);
	(void)err_set(e, err_kind_from_name(type), "%s", client_text(error, "message"));
	return hint[0] ? err_hint(e, "%s", hint) : false;
}

/* Nobody listens: the most frequent first error, so it says what to do. */
static bool explain(const struct cli_options *o, struct err *e)
{
	if (e->kind != ERR_UNREACHABLE)
		return false;
	err_clear(e);
	err_set(e, ERR_UNREACHABLE, "no daemon answers on '%s'", o->socket);
	return err_hint(e, "start it with: shunt serve");
}

bool client_call(const struct cli_options *o, const char *method, json_t *body, json_t **ret,
		 struct err *e, const char *path, ...)
{
	CLEANUP(json_decref) json_t *owned = body;
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(free) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	CLEANUP(buf_done) struct buf url = {0};
	CLEANUP(http_response_done) struct http_response r = {0};
	CLEANUP(free) char *tail = NULL;
	va_list args;

	va_start(args, path);
	tail = mem_vprintf(path, args);
	va_end(args);
	buf_printf(&url, "http://localhost%s", tail);
	struct http_request req = {.socket = o->socket,
				   .method = method,
				   .url = url.data,
				   .body = text,
				   .cancelled = client_interrupted};

	if (!http_fetch(&req, &r, e))
		return explain(o, e);
	answer = json_loadb(r.body ? r.body : "", r.len, JSON_DECODE_ANY, NULL);
	if (!client_check(answer, r.status, e))
		return false;
	if (ret)
		*ret = STEAL(answer);
	return true;
}

bool client_stream(const struct cli_options *o, json_t *body, const char *path,
		   bool (*on_data)(void *arg, const char *data, size_t len),
		   bool (*cancelled)(void *arg), void *arg, struct err *e)
{
	CLEANUP(json_decref) json_t *owned = body;
	CLEANUP(free) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	CLEANUP(free) char *url = mem_printf("http://localhost%s", path);
	CLEANUP(http_response_done) struct http_response r = {0};
	struct http_request req = {.socket = o->socket,
				   .url = url,
				   .body = text,
				   .on_data = on_data,
				   .cancelled = cancelled,
				   .arg = arg};
	CLEANUP(json_decref) json_t *error = NULL;

	if (!http_fetch(&req, &r, e))
		return explain(o, e);
	error = json_loadb(r.body ? r.body : "", r.len, JSON_DECODE_ANY, NULL);
	return client_check(error, r.status, e);
}

/* Adds the id to the list shown when a name fits several. */
static void add_name(struct buf *names, const char *id)
{
	buf_printf(names, "%s%s", names->len ? ", " : "", id);
}

static bool has_alias(const json_t *model, const char *name)
{
	const json_t *list = json_object_get(json_object_get(model, "options"), "aliases"), *item;
	size_t i;

	json_array_foreach(list, i, item) {
		const char *alias = json_string_value(item);

		if (alias && strcmp(alias, name) == 0)
			return true;
	}
	return false;
}

/* The id in the list that name means; NULL: none or several, e says which. Borrowed. */
static const char *find_model(const json_t *models, const char *name, struct err *e)
{
	CLEANUP(buf_done) struct buf names = {0};
	const char *found = NULL;
	int count = 0;
	size_t i;
	json_t *m;

	json_array_foreach(models, i, m) {
		const char *id = client_text(m, "id");

		if (strcmp(id, name) == 0 || has_alias(m, name))
			return id;
		if (name[0] && strncasecmp(id, name, strlen(name)) == 0) {
			found = id;
			count++;
			add_name(&names, id);
		}
	}
	if (count == 1)
		return found;
	if (count > 1) {
		(void)err_set(e, ERR_INVALID, "'%s' may be any of: %s", name, names.data);
		return NULL;
	}
	(void)err_set(e, ERR_NOT_FOUND, "no model '%s'", name);
	(void)err_hint(e, "shunt status lists the models; shunt add FILE registers one");
	return NULL;
}

bool client_model(const struct cli_options *o, const char *name, char **ret_id, char **ret_escaped,
		  struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	const char *id;

	if (!client_call(o, NULL, NULL, &answer, e, "/llm/api/models"))
		return false;
	id = find_model(json_object_get(answer, "models"), name, e);
	if (!id)
		return false;
	*ret_id = mem_dup(id);
	if (ret_escaped)
		*ret_escaped = client_escape(id);
	return true;
}

static volatile sig_atomic_t interrupts;

static void on_interrupt(int signal)
{
	interrupts = 1;
}

bool client_interrupted(void *unused)
{
	static bool installed;

	if (!installed) {
		struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};

		sigaction(SIGINT, &sa, NULL);
		installed = true;
	}
	return interrupts != 0;
}
