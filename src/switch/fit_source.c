/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a worker's memory before it starts: its last load, its file, its options. */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "switch/fit_priv.h"

char *fit_file(const struct db_model *m)
{
	return mem_printf("%s\n%" PRId64, m->path, m->size_bytes);
}

static struct option_facts facts_of(const struct db_model *m)
{
	return (struct option_facts){.context_length = m->context_length, .mode = m->mode};
}

/* As a load with all layers has them. */
static char *worker_options(const struct db_model *m)
{
	CLEANUP(free) char *all = option_with_layers(m->options, -1);

	return option_worker_part(option_auto_layers(m->options) ? all : m->options);
}

/* False: the last load there was of another file or device, or there was none. */
static bool recall(const struct fit_request *r, struct fit_source *s)
{
	CLEANUP(free) char *file = fit_file(r->model);
	CLEANUP(free) char *options = worker_options(r->model);
	struct err ignored = {0};

	if (!db_load_beside(r->db, r->device, &s->driver_bytes, &s->process_bytes, &ignored))
		s->driver_bytes = s->process_bytes = -1;
	if (!db_load_get(r->db, r->run->name, &s->last, &ignored))
		return false;
	if (strcmp(s->last.file, file) != 0 || strcmp(s->last.device, r->device) != 0)
		return false;
	s->same_options = strcmp(s->last.options, options) == 0;
	if (s->same_options) {
		s->process_bytes = s->last.private_bytes - s->last.host_weights -
				   s->last.host_cache - s->last.host_compute;
		if (s->last.driver_bytes >= 0)
			s->driver_bytes = s->last.driver_bytes;
	}
	return true;
}

/* A draft model stands beside the model, whole on its device; adapters and projectors are as large
 * as their files. */
static bool add_companions(const struct option_memory *m, bool gpu, struct memory *sum,
			   struct err *e)
{
	CLEANUP(gguf_free) struct gguf *draft = NULL;
	struct option_memory whole = *m;
	struct memory one = {0};
	struct stat st;

	whole.gpu_layers = gpu ? INT64_MAX : 0;
	whole.cpu_moe = 0;
	if (m->draft) {
		if (!gguf_read(m->draft, &draft, e))
			return false;
		estimate_model(draft, &whole, NULL, &one);
		memory_add(sum, &one);
	}
	for (size_t i = 0; i < m->files.count; i++) {
		one = (struct memory){0};
		if (stat(m->files.items[i], &st) == 0)
			*(gpu ? &one.device.weights : &one.host.weights) = st.st_size;
		memory_add(sum, &one);
	}
	return true;
}

/* The buffers of a draft model are in the same sums: they would spoil it. */
static void tune(const struct fit_request *r, bool gpu, struct fit_source *s)
{
	CLEANUP(option_memory_done) struct option_memory then = {0};
	struct option_facts facts = facts_of(r->model);
	const struct memory said = {.device = {.compute = s->last.device_compute},
				    .host = {.compute = s->last.host_compute}};

	option_memory(s->last.options, &facts, gpu, &then);
	if (!then.draft)
		estimate_tune(s->model, &then, &said, &s->tuning);
}

bool fit_source_read(const struct fit_request *r, struct fit_source *ret, struct err *e)
{
	CLEANUP(fit_source_done) struct fit_source s = {.driver_bytes = -1, .process_bytes = -1};
	struct option_facts facts = facts_of(r->model);
	bool gpu = r->run->backend->device_prefix != NULL;
	bool known = recall(r, &s);

	option_memory(r->model->options, &facts, gpu, &s.options);
	if (!gguf_read(r->model->path, &s.model, e) ||
	    !add_companions(&s.options, gpu, &s.beside, e))
		return false;
	if (known)
		tune(r, gpu, &s);
	*ret = s;
	s = (struct fit_source){0};
	return true;
}

void fit_source_done(struct fit_source *s)
{
	gguf_free(s->model);
	option_memory_done(&s->options);
	db_load_done(&s->last);
	*s = (struct fit_source){0};
}
