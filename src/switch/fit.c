/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/fit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/option.h"

#define MIB ((int64_t)1024 * 1024)
#define MARGIN (256 * MIB)

/* The device that the worker will use; its free memory now. False: *ret says why not. */
static bool free_memory(const struct fit_request *q, char *name, size_t size, int64_t *ret_free,
			struct fit *ret)
{
	CLEANUP(free) struct env_device *devices = NULL;
	char wanted[64];
	size_t count = 0;
	struct err e = {0};

	option_device(q->m->options, wanted, sizeof(wanted));
	if (!envs_devices(q->envs, q->environment, &devices, &count, &e)) {
		(void)snprintf(ret->text, sizeof(ret->text), "in turn: %.200s", e.msg);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && strcmp(devices[i].name, wanted) != 0)
			continue;
		(void)snprintf(name, size, "%s", devices[i].name);
		*ret_free = devices[i].free_bytes;
	}
	return true;
}

void fit_check(const struct fit_request *q, struct fit *ret)
{
	int64_t need = worker_memory_bytes(q->old) + MARGIN, room = 0;
	char name[32] = "";

	ret->fits = false;
	if (!free_memory(q, name, sizeof(name), &room, ret))
		return;
	ret->fits = need <= room;
	(void)snprintf(ret->text, sizeof(ret->text),
		       "%s: %s has %" PRId64 " MiB free, and a worker like the one on %s takes "
		       "%" PRId64 " MiB with what is left spare",
		       ret->fits ? "beside" : "in turn",
		       strcmp(name, "none") == 0 ? "memory" : name, room / MIB,
		       worker_backend(q->old), need / MIB);
}
