/* SPDX-License-Identifier: Apache-2.0 */
/* backends: what can be built and run here. */

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/term.h"

static const char *yes_no(const json_t *b, const char *key)
{
	return json_is_true(json_object_get(b, key)) ? "yes" : "no";
}

/* "Vulkan0 NVIDIA H200, Vulkan1 NVIDIA H200"; what stands in its way counts more. Caller frees. */
static char *remark(const json_t *b)
{
	CLEANUP(buf_done) struct buf text = {0};
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(b, "devices"), i, d)
		buf_printf(&text, "%s%s %s", i ? ", " : "", client_text(d, "device"),
			   client_text(d, "name"));
	if (client_text(b, "why_not")[0] || text.len == 0)
		return mem_dup(client_text(b, "why_not"));
	return buf_steal(&text);
}

bool command_backends(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	CLEANUP(term_table_done) struct term_table t = {.columns = 4};
	bool refresh = args_has(a, "refresh");
	size_t i;
	json_t *b;

	if (!client_call(o, refresh ? "POST" : NULL, NULL, &answer, e,
			 refresh ? "/llm/api/backends/refresh" : "/llm/api/backends"))
		return false;
	if (o->json) {
		client_print(answer);
		return true;
	}
	term_row(&t, "BACKEND", TINT_DIM, "BUILD", TINT_DIM, "RUN", TINT_DIM, "", TINT_DIM);
	json_array_foreach(json_object_get(answer, "backends"), i, b) {
		const char *build = yes_no(b, "can_build"), *run = yes_no(b, "can_run");
		CLEANUP(free) char *text = remark(b);

		term_row(&t, client_text(b, "name"), TINT_BOLD, build,
			 build[0] == 'y' ? TINT_GOOD : TINT_BAD, run,
			 run[0] == 'y' ? TINT_GOOD : TINT_BAD, text, TINT_DIM);
	}
	term_print(&t, stdout);
	return true;
}
