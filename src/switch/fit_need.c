/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker needs: what its last load took, or an estimate. */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "model/estimate.h"
#include "switch/fit_priv.h"

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The same file on the same device with the same options. Caller frees. */
static char *what_of(const struct db_model *m, const char *device)
{
	CLEANUP(free) char *options = option_worker_part(m->options);

	return mem_printf("%s\n%" PRId64 "\n%s\n%s", m->path, m->size_bytes, device, options);
}

static bool recall(const struct fit_request *r, struct worker_took *ret)
{
	CLEANUP(db_load_done) struct db_load l = {0};
	CLEANUP(free) char *what = what_of(r->model, r->device);
	struct err ignored = {0};

	if (!db_load_get(r->db, r->run->name, &l, &ignored) || strcmp(l.what, what) != 0)
		return false;
	*ret = (struct worker_took){l.device_bytes, l.host_bytes, l.mapped_bytes, l.private_bytes};
	return true;
}

/* A draft model stands beside the model, whole on its device; adapters and projectors are as large
 * as their files. */
static bool add_companions(const struct option_memory *m, bool gpu, struct estimate *sum,
			   struct err *e)
{
	CLEANUP(gguf_free) struct gguf *draft = NULL;
	struct option_memory whole = *m;
	struct estimate one = {0};
	struct stat st;

	whole.gpu_layers = gpu ? INT64_MAX : 0;
	whole.cpu_moe = 0;
	if (m->draft) {
		if (!gguf_read(m->draft, &draft, e))
			return false;
		estimate_model(draft, &whole, &one);
		estimate_add(sum, &one);
	}
	for (size_t i = 0; i < m->files.count; i++) {
		one = (struct estimate){0};
		if (stat(m->files.items[i], &st) == 0)
			*(gpu ? &one.device : &one.host) = st.st_size;
		estimate_add(sum, &one);
	}
	return true;
}

static bool guess(const struct fit_request *r, struct worker_took *ret, struct err *e)
{
	CLEANUP(gguf_free) struct gguf *g = NULL;
	CLEANUP(option_memory_done) struct option_memory m = {0};
	struct option_facts facts = {.context_length = r->model->context_length,
				     .mode = r->model->mode};
	bool gpu = r->run->backend->device_prefix != NULL;
	struct estimate sum = {0};

	option_memory(r->model->options, &facts, gpu, &m);
	if (!gguf_read(r->model->path, &g, e))
		return false;
	estimate_model(g, &m, &sum);
	if (!add_companions(&m, gpu, &sum, e))
		return false;
	*ret = (struct worker_took){
		.device_bytes = sum.device, .host_bytes = sum.host, .mapped_bytes = sum.mapped};
	return true;
}

/* What its old worker uses of the same file is in memory, and comes for nothing. */
static int64_t pages_needed(const struct fit_request *r, int64_t mapped)
{
	struct worker_took old;

	if (!r->old)
		return mapped;
	worker_took(r->old, &old);
	/* It may have mapped more than it uses, and has its libraries in memory too. */
	return larger(mapped - smaller(old.mapped_bytes, proc_mapped_bytes(worker_pid(r->old))), 0);
}

static void add_up(const struct fit_request *r, const struct worker_took *t, bool one_pool,
		   struct fit_need *ret)
{
	const struct backend *b = r->run->backend;
	int64_t host = estimate_sum(t->host_bytes, b->host_extra_bytes);
	int64_t device = estimate_sum(t->device_bytes, b->device_extra_bytes);

	if (one_pool)
		host = estimate_sum(host, t->device_bytes);
	ret->device = b->device_prefix ? device : 0;
	/* Seen from outside it has all that the driver took; but not yet all of its buffers. */
	ret->ram = estimate_sum(larger(t->private_bytes, host), pages_needed(r, t->mapped_bytes));
}

bool fit_need(const struct fit_request *r, bool one_pool, struct fit_need *ret, struct err *e)
{
	struct worker_took took = {0};
	bool measured = recall(r, &took);

	if (!measured && !guess(r, &took, e))
		return false;
	*ret = (struct fit_need){.measured = measured};
	add_up(r, &took, one_pool, ret);
	return true;
}

void fit_remember(struct db *db, const struct db_model *m, const char *environment,
		  const struct worker *w)
{
	CLEANUP(free) char *what = what_of(m, worker_device(w));
	struct worker_took t;
	struct err e = {0};

	worker_took(w, &t);
	if (t.private_bytes == 0)
		return; /* it has gone */
	struct db_load l = {.environment = (char *)environment,
			    .what = what,
			    .device_bytes = t.device_bytes,
			    .host_bytes = t.host_bytes,
			    .mapped_bytes = t.mapped_bytes,
			    .private_bytes = t.private_bytes,
			    .at = clock_wall_ms()};
	if (!db_load_put(db, &l, &e))
		log_warn("memory of a load not kept model=%s reason=\"%s\", continuing", m->id,
			 e.msg);
}
