/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/gpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/term.h"

static void add_part(struct buf *b, const char *text)
{
	if (text[0])
		buf_printf(b, "%s%s", b->len > 0 ? ", " : "", text);
}

static void add_memory(struct buf *b, const json_t *gpu)
{
	char all[32], free_now[32];

	if (!json_is_integer(json_object_get(gpu, "memory_bytes")))
		return;
	add_part(b, term_size(client_int(gpu, "memory_bytes"), all, sizeof(all)));
	if (json_is_integer(json_object_get(gpu, "memory_free_bytes")))
		buf_printf(b, ", %s free",
			   term_size(client_int(gpu, "memory_free_bytes"), free_now,
				     sizeof(free_now)));
}

static void print_gpu(const json_t *gpu)
{
	CLEANUP(free) char *name = term_clean(client_text(gpu, "name"));
	CLEANUP(free) char *text = NULL;
	CLEANUP(buf_done) struct buf b = {0};
	const char *driver = client_text(gpu, "driver");
	const json_t *devices = json_object_get(gpu, "devices");
	bool ok = driver[0] || json_array_size(devices) > 0;
	size_t i;
	json_t *d;

	json_array_foreach(devices, i, d)
		add_part(&b, client_text(d, "device"));
	add_memory(&b, gpu);
	add_part(&b, client_text(gpu, "kind"));
	add_part(&b, ok ? driver : "no driver");
	add_part(&b, client_text(gpu, "pci"));
	text = term_clean(b.data);
	printf("  %s%s%s %-22s %s\n", term_tint(stdout, ok ? TINT_GOOD : TINT_BAD),
	       term_utf8() ? (ok ? "✓" : "✗") : (ok ? "ok" : "--"), term_reset(stdout), name, text);
}

/* That there is no driver is wrong only where there is a card. */
static void print_nvidia(const json_t *nvidia, bool has_card)
{
	CLEANUP(free) char *why = term_clean(client_text(nvidia, "why_not"));
	CLEANUP(free) char *hint = term_clean(client_text(nvidia, "hint"));

	if (!why[0])
		return;
	printf("  %s%s%s %s\n", term_tint(stdout, has_card ? TINT_BAD : TINT_DIM),
	       !has_card     ? "-"
	       : term_utf8() ? "✗"
			     : "--",
	       term_reset(stdout), why);
	if (has_card)
		printf("    try: %s\n", hint);
}

bool gpus_print(const struct cli_options *o, struct err *e)
{
	CLEANUP(json_decref) json_t *answer = NULL;
	bool has_nvidia = false;
	size_t i;
	json_t *gpu;

	if (!client_call(o, NULL, NULL, &answer, e, "/llm/api/hardware/detect"))
		return false;
	printf("%sGPUs%s\n", term_tint(stdout, TINT_BOLD), term_reset(stdout));
	json_array_foreach(json_object_get(answer, "gpus"), i, gpu) {
		print_gpu(gpu);
		has_nvidia = has_nvidia || strcmp(client_text(gpu, "vendor"), "nvidia") == 0;
	}
	print_nvidia(json_object_get(answer, "nvidia"), has_nvidia);
	return true;
}
