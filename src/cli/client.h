/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asks the daemon over its Unix socket; JSON in, JSON out. One thread. */

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/cli.h"

static inline void json_decref_p(json_t **j)
{
	json_decref(*j);
}

/* What the daemon answers; path is printf-like and must hold only what client_escape made of user
 * text. body: NULL for none, taken over. method NULL: GET. An error of the API comes back as e with
 * its kind, message and hint. *ret (may be NULL): the whole answer, the caller's. */
MUST_CHECK bool client_call(const struct cli_options *o, const char *method, json_t *body,
			    json_t **ret, struct err *e, const char *path, ...) PRINTF_LIKE(6, 7);
/* As client_call with GET or a POST, but a success's bytes go to on_data as they come. cancelled
 * may be NULL. */
MUST_CHECK bool client_stream(const struct cli_options *o, json_t *body, const char *path,
			      bool (*on_data)(void *arg, const char *data, size_t len),
			      bool (*cancelled)(void *arg), void *arg, struct err *e);
/* Percent-encoded for a path; caller frees. */
char *client_escape(const char *text);
/* Registered id that the user means: exact, or the only one that begins so, any case. *ret_escaped
 * (may be NULL): the same for a path. Caller frees both. */
MUST_CHECK bool client_model(const struct cli_options *o, const char *name, char **ret_id,
			     char **ret_escaped, struct err *e);
/* The API's error in an answer ("error": {"type", "message", "hint"}), if there is one. Returns
 * false and sets e then. */
MUST_CHECK bool client_check(const json_t *answer, int status, struct err *e);
/* A string field, "" when it is absent or no string. Borrowed from the object. */
const char *client_text(const json_t *object, const char *key);
/* A worker's device in words; null: "". */
const char *client_device(const json_t *worker);
/* The same, with the layers when not all are there: "31 of 33 layers on CUDA0". */
const char *client_place(const json_t *worker, char *buf, size_t size);
int64_t client_int(const json_t *object, const char *key); /* 0 when absent */
/* With --json: the answer as it came. */
void client_print(const json_t *answer);

/* True after the first Ctrl-C; installs the handler at the first call. The second Ctrl-C kills. */
bool client_interrupted(void *unused);
