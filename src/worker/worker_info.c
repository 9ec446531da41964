/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/proc.h"
#include "worker/worker_priv.h"

struct worker *worker_ref(struct worker *w)
{
	atomic_fetch_add(&w->refs, 1);
	return w;
}

/* The supervisor holds a reference while the process lives, so the last one finds it gone. */
void worker_unref(struct worker *w)
{
	if (!w || atomic_fetch_sub(&w->refs, 1) > 1)
		return;
	close_p(&w->folder_fd);
	free(w->folder);
	free(w->socket_name);
	free(w->socket);
	free(w->pid_file);
	free(w->model_id);
	free(w->model_path);
	free(w->environment);
	free(w->backend);
	free(w->device);
	free(w->device_prefix);
	free(w->mode);
	free((char *)w->context.dir);
	free((char *)w->context.key);
	strv_done(&w->command);
	strv_done(&w->args);
	strv_done(&w->environ);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w);
}

bool worker_continues(const struct worker *w)
{
	return atomic_load(&w->continues);
}

const char *worker_socket(const struct worker *w)
{
	return w->socket;
}

const char *worker_model(const struct worker *w)
{
	return w->model_id;
}

const char *worker_environment(const struct worker *w)
{
	return w->environment;
}

const char *worker_backend(const struct worker *w)
{
	return w->backend;
}

const char *worker_device(const struct worker *w)
{
	return w->device;
}

const char *worker_mode(const struct worker *w)
{
	return w->mode;
}

const struct runtime *worker_runtime(const struct worker *w)
{
	return w->runtime;
}

int worker_pid(const struct worker *w)
{
	return atomic_load(&w->pid);
}

struct worker_traffic *worker_traffic(struct worker *w)
{
	return &w->traffic;
}

int worker_slots(const struct worker *w)
{
	return w->slots;
}

int64_t worker_started(const struct worker *w)
{
	struct worker *locked = (struct worker *)w;
	int64_t started;

	pthread_mutex_lock(&locked->lock);
	started = w->started;
	pthread_mutex_unlock(&locked->lock);
	return started;
}

void worker_took(const struct worker *w, struct worker_took *ret)
{
	struct worker *locked = (struct worker *)w;

	*ret = (struct worker_took){.private_bytes = proc_own_bytes(atomic_load(&w->pid))};
	pthread_mutex_lock(&locked->lock);
	ret->memory = w->memory;
	if (w->device_prefix) {
		ret->layers_on = w->layers_on;
		ret->layers = w->layers;
	}
	pthread_mutex_unlock(&locked->lock);
}

static struct memory memory_of(const struct worker *w)
{
	struct worker *locked = (struct worker *)w;
	struct memory m;

	pthread_mutex_lock(&locked->lock);
	m = w->memory;
	pthread_mutex_unlock(&locked->lock);
	return m;
}

/* Its own memory and, as it said when it loaded, its buffers on devices. */
int64_t worker_memory_bytes(const struct worker *w)
{
	int pid = atomic_load(&w->pid);
	struct memory said = memory_of(w);

	return pid == 0 ? 0 : proc_memory_bytes(pid) + memory_sum(&said.device);
}

char *worker_death(const struct worker *w)
{
	struct worker *locked = (struct worker *)w;
	char *why;

	pthread_mutex_lock(&locked->lock);
	why = mem_dup(w->over ? w->verdict.msg : "");
	pthread_mutex_unlock(&locked->lock);
	return why;
}

void worker_get_context(struct worker *w, struct worker_context *ret)
{
	struct memory said = memory_of(w);

	*ret = w->context;
	ret->bytes = memory_plus(said.device.cache, said.host.cache);
}
