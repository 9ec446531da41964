/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include <assert.h>
#include <stdlib.h>

#include "backend/hardware.h"
#include "backend/toolkit.h"
#include "engine/engine_priv.h"

static bool check_cpu(const char *cpu, struct err *e)
{
	CLEANUP(strv_done) struct strv flags = {0};

	if (hardware_cpu_flags(cpu, &flags))
		return true;
	(void)err_set(e, ERR_INVALID, "engine_cpu '%s' is not known here", cpu);
	return err_hint(e, "native, x86-64-v2, x86-64-v3 or x86-64-v4");
}

bool engine_open(const struct engine_settings *s, struct engine **ret, struct err *e)
{
	CLEANUP(engine_free) struct engine *en = mem_alloc(sizeof(*en));
	const char *cpu = s->cpu && s->cpu[0] ? s->cpu : "native";

	(void)pthread_mutex_init(&en->lock, NULL);
	en->cpu = mem_dup(cpu);
	en->cache_dir = mem_dup(s->cache_dir);
	en->jobs = s->jobs;
	en->hurry = s->hurry;
	en->no_provision = s->no_provision;
	if (!check_cpu(cpu, e) || !pin_find(s->data_dir, &en->pin, e) ||
	    !source_parse(s->source, en->pin, s->cache_dir, &en->source, e))
		return false;
	en->source->offline = s->offline;
	*ret = STEAL(en);
	return true;
}

void engine_stop(struct engine *en)
{
	if (en != NULL)
		atomic_store(&en->stopping, true);
}

void engine_free(struct engine *en)
{
	if (en == NULL)
		return;
	assert(en->builds == NULL);
	(void)pthread_mutex_destroy(&en->lock);
	pin_free(en->pin);
	source_free(en->source);
	python_done(&en->python);
	free(en->python_seen);
	free(en->cpu);
	free(en->cache_dir);
	free(en);
}

const char *engine_release(const struct engine *en)
{
	return en->pin->release;
}

void engine_base_needs(const struct engine *en, int64_t *ret_disk, int64_t *ret_memory)
{
	*ret_disk = en->pin->base_disk << 20;
	*ret_memory = en->pin->base_memory << 20;
}

/* The packages of the pins are for this machine. */
static bool can_offer(const struct engine *en)
{
#ifdef __x86_64__
	return en->pin->cuda != NULL && !en->no_provision;
#else
	return false;
#endif
}

void engine_ask(struct engine *en, char compiler[static ENGINE_COMPILER], struct toolkit_ask *ret)
{
	const struct pin *pin = en->pin;

	if (tools_compiler(compiler, ENGINE_COMPILER))
		ret->compiler = compiler;
	if (can_offer(en)) {
		ret->offer = pin->cuda_version;
		ret->offer_bytes = pin->compiler_size + pin->runtime_size;
	}
}

void engine_check(struct engine *en, const struct backend *b, const char *self, const char *arch,
		  struct toolkit *ret)
{
	char compiler[ENGINE_COMPILER];
	struct toolkit_ask ask = {.self = self, .arch = arch};

	engine_ask(en, compiler, &ask);
	b->check(&ask, ret);
	tools_check(ret, ret->fetched ||
				 (en->source->kind == SOURCE_PIP && !source_is_here(en->source)));
	toolkit_conclude(ret);
}

char *engine_cuda_stub(const struct engine *en)
{
	return mem_printf("%s/%s/stub.c", en->pin->folder, en->pin->cuda);
}
