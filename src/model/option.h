/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Model options: one table gives names, types, bounds, help, and the worker's arguments. Stored as
 * a JSON object that holds what the user set; what is absent has the default. A JSON null takes an
 * option back to its default.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum option_type {
	OPTION_INT,
	OPTION_NUMBER,
	OPTION_BOOL,
	OPTION_CHOICE,
	OPTION_TEXT,
	OPTION_PATH,
	OPTION_LIST,
	OPTION_OBJECT
};

struct option {
	const char *name;
	enum option_type type;
	double min, max;      /* numbers; length for text and lists */
	const char *choices;  /* "on|off|auto" */
	const char *fallback; /* default, in words, for people */
	const char *flag;     /* llama-server's argument, NULL: not one */
	bool reload;          /* takes effect at the next load */
	const char *help;
};

/* The table, ended by a NULL name. */
const struct option *option_table(void);
const struct option *option_find(const char *name); /* NULL: unknown */

/* Checks changes (an object) and merges them into `stored` (text of a JSON object). *ret_text is
 * the new text, caller frees. *ret_reload (may be NULL): one of the changed options needs a load.
 * Unknown names and bad values: ERR_INVALID that names them and the allowed. */
MUST_CHECK bool option_merge(const char *stored, const json_t *changes, char **ret_text,
			     bool *ret_reload, struct err *e);
/* "n_ctx=4096" as the command line has it, to an object with one JSON value of the right type. */
MUST_CHECK bool option_parse_pair(const char *pair, json_t *object, struct err *e);

struct option_facts { /* of the model, for defaults */
	int64_t context_length;
	const char *mode;
};
/* The numbers that Shunt itself needs. */
int option_parallel(const char *stored); /* slots, default 4 */
int64_t option_n_ctx(const char *stored, const struct option_facts *facts);
const char *option_device(const char *stored, char *buf,
			  size_t size); /* first of `devices`, "" when none */
/* llama-server's arguments for the options (−ngl, −c, −fa …, per engine.md "always"), without host,
 * model, alias, device. */
void option_args(const char *stored, const struct option_facts *facts, bool gpu,
		 struct strv *ret_args);
