/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker needs: what its last load took, or an estimate. */

#include "base/proc.h"
#include "switch/fit_priv.h"

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static struct memory measured(const struct db_load *l)
{
	return (struct memory){
		.device = {l->device_weights, l->device_cache, l->device_compute},
		.host = {l->host_weights, l->host_cache, l->host_compute},
		.mapped = l->mapped_bytes,
	};
}

static struct memory estimated(const struct fit_source *s, int64_t layers)
{
	struct option_memory options = s->options;
	struct memory m;

	if (layers >= 0)
		options.gpu_layers = layers;
	estimate_model(s->model, &options, &s->tuning, &m);
	memory_add(&m, &s->beside);
	return m;
}

/* What its old worker uses of the same file is in memory, and comes for nothing. */
static int64_t pages_needed(const struct fit_request *r, int64_t mapped)
{
	struct worker_took old;

	if (!r->old)
		return mapped;
	worker_took(r->old, &old);
	/* It may have mapped more than it uses, and has its libraries in memory too. */
	return larger(mapped - smaller(old.memory.mapped, proc_mapped_bytes(worker_pid(r->old))),
		      0);
}

static int64_t with_other(const struct fit_share *s)
{
	return memory_plus(memory_sum(&s->parts), s->other);
}

/* What the process has beside its buffers. Where the device's memory is RAM these are among what is
 * seen of it, as far as it has used them: the last load tells nothing of the next then. */
static int64_t process_bytes(const struct fit_request *r, const struct fit_source *s,
			     const struct memory *m, bool same, bool one_pool)
{
	int64_t least = r->run->backend->host_extra_bytes, buffers = memory_sum(&m->host);

	if (!one_pool)
		return larger(s->process_bytes, least);
	if (!same)
		return least;
	buffers = memory_plus(buffers, memory_sum(&m->device));
	return larger(s->last.private_bytes - buffers, least);
}

static enum fit_by known_by(const struct fit_source *s, bool measured)
{
	if (measured)
		return FIT_MEASURED;
	return s->tuning.device || s->tuning.host ? FIT_CALIBRATED : FIT_ESTIMATED;
}

/* The driver's own, on each device. */
static int64_t driver_bytes(const struct fit_request *r, const struct fit_source *s,
			    const struct fit_room *room)
{
	if (room->one_pool || !r->run->backend->device_prefix)
		return 0;
	if (s->driver_bytes < 0)
		return r->run->backend->device_extra_bytes;
	return s->driver_bytes / (room->count > 1 ? (int64_t)room->count : 1);
}

void fit_need(const struct fit_request *r, const struct fit_source *s, struct fit_room *room,
	      int64_t layers, struct fit_need *ret)
{
	bool same = s->same_options && layers < 0;
	struct memory m = same ? measured(&s->last) : estimated(s, layers);
	struct fit_need need = {.by = known_by(s, same)};

	need.of_device = (struct fit_share){m.device, driver_bytes(r, s, room)};
	need.device = with_other(&need.of_device);
	need.of_ram.parts = m.host;
	need.of_ram.other = process_bytes(r, s, &m, same, room->one_pool);
	need.of_ram.parts.weights = memory_plus(m.host.weights, pages_needed(r, m.mapped));
	need.ram = with_other(&need.of_ram);
	if (room->one_pool)
		need.ram = memory_plus(need.ram, memory_sum(&m.device));
	fit_narrow(r, &need, room);
	*ret = need;
}
