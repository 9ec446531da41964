/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/gpu_watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backends.h"
#include "backend/drm_clients.h"
#include "backend/gpu_vulkan.h"
#include "backend/nvml.h"
#include "backend/pci.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	FRESH_MS = 5000,    /* health may be asked for every second */
	NOTHING_MS = 60000, /* one that hangs is not asked for ever */
};

struct gpu_watch {
	const char *self, *sys;
	pthread_mutex_t lock;
	pthread_cond_t read_once;
	/* guarded by lock */
	struct gpus gpus;   /* as last read: cards, and NVIDIA's processes */
	struct gpus vulkan; /* its devices */
	char nvidia[48];    /* "NVIDIA 580.159.04"; stays when the driver tells nothing later */
	int64_t until;      /* clock_ms() when it is old */
	bool known, reading, has_thread;
	pthread_t thread;
};

struct gpu_watch *gpu_watch_new(const char *self, const char *sys)
{
	struct gpu_watch *w = mem_alloc(sizeof(*w));

	w->self = self;
	w->sys = sys;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->read_once, NULL);
	return w;
}

void gpu_watch_free(struct gpu_watch *w)
{
	if (!w)
		return;
	if (w->has_thread)
		(void)pthread_join(w->thread, NULL);
	gpus_done(&w->gpus);
	gpus_done(&w->vulkan);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->read_once);
	free(w);
}

/* Lock held. Takes both. */
static void keep(struct gpu_watch *w, struct gpus *gpus, struct gpus *vulkan, bool answers)
{
	gpus_done(&w->gpus);
	w->gpus = *gpus;
	if (gpus->nvidia_driver[0])
		(void)snprintf(w->nvidia, sizeof(w->nvidia), "NVIDIA %s", gpus->nvidia_driver);
	if (!w->known)
		w->vulkan = *vulkan;
	w->until = clock_ms() + (answers ? FRESH_MS : NOTHING_MS);
	w->known = true;
	w->reading = false;
	pthread_cond_broadcast(&w->read_once);
}

static void *read_all(void *arg)
{
	struct gpu_watch *w = arg;
	struct gpus gpus = {0}, vulkan = {0};
	struct err no_nvml = {0}, no_vulkan = {0};
	bool answers, known;

	pthread_mutex_lock(&w->lock);
	known = w->known;
	pthread_mutex_unlock(&w->lock);
	pci_read(w->sys, &gpus);
	answers = nvml_read(w->self, &gpus, &no_nvml);
	if (!known && !vulkan_read(w->self, &vulkan, &no_vulkan))
		log_debug("Vulkan tells nothing: %s, continuing", no_vulkan.msg);
	pthread_mutex_lock(&w->lock);
	keep(w, &gpus, &vulkan, answers);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Lock held. */
static void read_if_old(struct gpu_watch *w)
{
	if (w->reading || (w->known && clock_ms() < w->until))
		return;
	if (w->has_thread)
		(void)pthread_join(w->thread, NULL); /* it has said that it ends */
	w->has_thread = w->reading = pthread_create(&w->thread, NULL, read_all, w) == 0;
	if (!w->has_thread)
		log_warn("no thread to ask the GPUs' drivers, continuing");
}

static void copy_cards(const struct gpus *from, struct gpus *to)
{
	if (from->count == 0)
		return;
	to->list = mem_array(from->count, sizeof(*to->list));
	memcpy(to->list, from->list, from->count * sizeof(*to->list));
	to->count = from->count;
}

int64_t gpu_watch_process_bytes(struct gpu_watch *w, pid_t pid)
{
	CLEANUP(gpus_done) struct gpus cards = {0};
	int64_t bytes;
	bool known;

	if (!w)
		return -1;
	pthread_mutex_lock(&w->lock);
	read_if_old(w);
	bytes = gpus_process_bytes(&w->gpus, pid);
	copy_cards(&w->gpus, &cards);
	known = w->known;
	pthread_mutex_unlock(&w->lock);
	/* A kernel driver that hangs keeps nobody but who asks for its process. */
	return bytes < 0 && known ? drm_process_bytes("/proc", pid, &cards) : bytes;
}

static const char *driver_of(const struct gpu_watch *w, const char *device)
{
	for (size_t i = 0; i < w->vulkan.vulkan_count; i++)
		if (strcmp(w->vulkan.vulkan[i].device, device) == 0)
			return w->vulkan.vulkan[i].driver;
	return backend_owns_device(&backend_cuda, device) ? w->nvidia : "";
}

void gpu_watch_driver(struct gpu_watch *w, const char *device, char *ret, size_t size)
{
	ret[0] = '\0';
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	if (!w->known)
		read_if_old(w);
	while (!w->known && w->reading)
		pthread_cond_wait(&w->read_once, &w->lock);
	(void)snprintf(ret, size, "%s", driver_of(w, device));
	pthread_mutex_unlock(&w->lock);
}
