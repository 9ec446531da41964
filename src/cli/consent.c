/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/consent.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"

bool consent_given(const struct cli_options *o, struct err *e)
{
	char answer[16] = "";

	if (e->kind != ERR_CONSENT || o->json || o->quiet || !isatty(STDIN_FILENO) ||
	    !isatty(STDERR_FILENO))
		return false;
	fprintf(stderr, "%s.\nFetch it? [y/N] ", e->msg);
	if (!fgets(answer, sizeof(answer), stdin) ||
	    (strcasecmp(answer, "y\n") != 0 && strcasecmp(answer, "yes\n") != 0))
		return false;
	err_clear(e);
	return true;
}

bool consent_call(const struct cli_options *o, const struct args *a, json_t *body, json_t **ret,
		  struct err *e, const char *path)
{
	CLEANUP(json_decref) json_t *all = body;

	if (a && args_value(a, "arch"))
		json_object_set_new(all, "arch", json_string(args_value(a, "arch")));
	if (a && args_has(a, "yes"))
		json_object_set_new(all, "provision", json_true());
	if (client_call(o, NULL, json_incref(all), ret, e, "%s", path))
		return true;
	if (!consent_given(o, e))
		return false;
	json_object_set_new(all, "provision", json_true());
	return client_call(o, NULL, json_incref(all), ret, e, "%s", path);
}
