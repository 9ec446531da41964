/* SPDX-License-Identifier: Apache-2.0 */
/* load: starts a model's worker, or says what that would take. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/consent.h"
#include "cli/follow.h"
#include "cli/option_pair.h"
#include "cli/term.h"

static void add_row(struct term_table *t, const json_t *place)
{
	static const char *const keys[] = {"weights_bytes", "cache_bytes", "compute_bytes",
					   "other_bytes",   "bytes",       "free_bytes"};
	char cells[ARRAY_LEN(keys)][32];

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (json_is_integer(json_object_get(place, keys[i])))
			(void)term_size(client_int(place, keys[i]), cells[i], sizeof(cells[i]));
		else
			(void)snprintf(cells[i], sizeof(cells[i]), "not known");
	}
	term_row(t, client_text(place, "place"), TINT_BOLD, cells[0], TINT_NONE, cells[1],
		 TINT_NONE, cells[2], TINT_NONE, cells[3], TINT_NONE, cells[4], TINT_BOLD, cells[5],
		 TINT_NONE);
}

static void print_verdict(const json_t *estimate)
{
	const json_t *fits = json_object_get(estimate, "fits");
	enum tint tint = json_is_true(fits)    ? TINT_GOOD
			 : json_is_false(fits) ? TINT_BAD
					       : TINT_WARN;

	printf("%s%s%s (%s): %s\n", term_tint(stdout, tint),
	       json_is_true(fits)    ? "fits"
	       : json_is_false(fits) ? "does not fit"
				     : "not known whether it fits",
	       term_reset(stdout), client_text(estimate, "by"), client_text(estimate, "why"));
	if (!json_is_true(json_object_get(estimate, "environment_ready")))
		printf("its environment for %s is not made yet\n",
		       client_text(estimate, "gpu_backend"));
}

static void print_estimate(const json_t *estimate)
{
	CLEANUP(term_table_done) struct term_table t = {.columns = 7};
	const json_t *place;
	size_t i;

	term_row(&t, "MEMORY", TINT_DIM, "WEIGHTS", TINT_DIM, "CACHE", TINT_DIM, "COMPUTE",
		 TINT_DIM, "OTHER", TINT_DIM, "SUM", TINT_DIM, "FREE", TINT_DIM);
	json_array_foreach(json_object_get(estimate, "memory"), i, place)
		add_row(&t, place);
	term_print(&t, stdout);
	if (json_is_true(json_object_get(estimate, "shared")))
		printf("the memory of %s is RAM, whose sum has it too\n",
		       client_text(estimate, "device"));
	if (json_is_integer(json_object_get(estimate, "layers")))
		printf("%" PRId64 " of %" PRId64 " layers on %s\n",
		       client_int(estimate, "gpu_layers"), client_int(estimate, "layers"),
		       client_text(estimate, "device"));
	print_verdict(estimate);
}

/* Takes body. */
static bool estimate(const struct cli_options *o, const char *escaped, const struct args *a,
		     json_t *body, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;

	if (args_value(a, "backend"))
		json_object_set_new(body, "gpu_backend", json_string(args_value(a, "backend")));
	if (!client_call(o, NULL, body, &answer, e, "/llm/api/models/%s/estimate", escaped))
		return false;
	if (o->json)
		client_print(answer);
	else if (!o->quiet)
		print_estimate(json_object_get(answer, "estimate"));
	return true;
}

/* To its end unless detached. */
static bool begin(const struct cli_options *o, const char *escaped, const struct args *a,
		  json_t *body, bool provision, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;

	if (!client_call(o, NULL, json_incref(body), &answer, e,
			 "/llm/api/models/%s/load?wait=false%s", escaped,
			 provision ? "&provision=true" : ""))
		return false;
	if (!args_has(a, "detach"))
		return follow_task(o, client_text(answer, "task_id"), false, NULL, e);
	if (o->json)
		client_print(answer);
	return true;
}

static bool load(const struct cli_options *o, const char *escaped, const struct args *a,
		 json_t *body, struct err *e)
{
	if (!begin(o, escaped, a, body, args_has(a, "yes"), e) &&
	    !(consent_given(o, e) && begin(o, escaped, a, body, true, e)))
		return false;
	return args_has(a, "detach") || switch_print(o, escaped, e);
}

bool command_load(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *body = json_object();
	CLEANUP(free) char *id = NULL;
	CLEANUP(free) char *escaped = NULL;
	bool only = args_has(a, "estimate");

	if (!only && args_value(a, "backend")) {
		(void)err_set(e, ERR_INVALID, "load: --backend goes with --estimate");
		return err_hint(e, "shunt switch %s %s", a->words[0], args_value(a, "backend"));
	}
	for (int n = 1; n < a->count; n++)
		if (!option_pair_add(o, a->words[n], body, e))
			return false;
	if (!client_model(o, a->words[0], &id, &escaped, e))
		return false;
	return only ? estimate(o, escaped, a, STEAL(body), e) : load(o, escaped, a, body, e);
}
